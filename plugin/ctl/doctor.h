/*
 * doctor.h - findings of turncredctl doctor, and its checks of other hosts
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CTL_DOCTOR_H
#define TURNCRED_CTL_DOCTOR_H

#include "ctl.h"

#define SOON (7 * 86400) /* seconds before its end at which a key or a certificate is worth a warning */

struct doctor {
  json_t *findings;
  int64_t failed, warned;
};

/* How a check ended. */
enum grade { FINE, WARN, FAIL };

/* Adds a finding. remedy: what to do; "": nothing. */
void add_finding(struct doctor *d, const char *check, enum grade grade, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Whether --server, --tls-server and --issuer can be read: CTL_OK or CTL_USAGE. */
enum ctl_exit doctor_check_options(const struct ctl *ctl);
/* Checks every address of every --server, --tls-server and --issuer. */
void doctor_check_servers(const struct ctl *ctl, struct doctor *d);

#endif
