/* shown.h - the credential that a probe shows, from JSON or from files
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CTL_SHOWN_H
#define TURNCRED_CTL_SHOWN_H

#include "turn/client.h"
#include "ctl.h"

/* The JSON of `token issue`, of `credential issue`, of RFC 7635 appendix B or an entry of
 * iceServers in file ("-": standard input). what names the option. 0, or an exit code with a
 * message. */
int shown_from_json(const struct ctl *ctl, const char *what, const char *file,
                    struct turn_credential *out);
/* From --credential, or --kid, --token-file, --key-file, or --user, --password-file. */
int shown_from_options(const struct ctl *ctl, struct turn_credential *out);

#endif
