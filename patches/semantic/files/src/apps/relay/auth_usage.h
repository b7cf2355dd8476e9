/*
 * auth_usage.h - tells the module of allocations and what they have relayed; include auth_exchange.h
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#ifndef __AUTH_USAGE__
#define __AUTH_USAGE__

/* The hook allocated. */
void auth_usage_allocated(ts_ur_super_session *ss);
/* The session ends: no report of it follows. Fills in what end says of its allocation. */
void auth_usage_ended(ts_ur_super_session *ss, struct coturn_auth_session_end *end);
/* The host's report_sessions(). */
int auth_usage_report_every(uint32_t interval_ms);

#endif /* __AUTH_USAGE__ */
