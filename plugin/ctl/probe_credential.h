/*
 * probe_credential.h - the credential that a probe shows to the server, from JSON or from files
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CTL_PROBE_CREDENTIAL_H
#define TURNCRED_CTL_PROBE_CREDENTIAL_H

#include "ctl.h"
#include "turn/client.h"

/* The JSON of `token issue`, of `credential issue`, of RFC 7635 appendix B or an entry of
 * iceServers in file ("-": standard input). what names the option. 0, or an exit code with a
 * message. */
enum ctl_exit probe_credential_from_json(const struct ctl *ctl, const char *what, const char *file,
                                         struct turn_credential *out);
/* From --credential, or --kid, --token-file, --key-file, or --user, --password-file. */
enum ctl_exit probe_credential_from_options(const struct ctl *ctl, struct turn_credential *out);

#endif
