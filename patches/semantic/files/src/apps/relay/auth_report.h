/*
 * auth_report.h - counters of the authentication module and the log of refusals; include auth_private.h
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#ifndef __AUTH_REPORT__
#define __AUTH_REPORT__

void auth_report_init(void);
void auth_count(enum auth_count which);

void auth_report_refusal(const struct auth_refusal *refusal);
/* One line, at a capped rate. */
void auth_report_line(TURN_LOG_LEVEL level, const char *line);
int auth_register_counter(const struct coturn_auth_counter *counter);
void auth_visit_counters(coturn_auth_counter_fn fn, void *arg);

#endif /* __AUTH_REPORT__ */
