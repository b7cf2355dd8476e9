/*
 * probe_credential.h - the credential that a probe shows to the server, from JSON or from files
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CTL_PROBE_CREDENTIAL_H
#define TURNCRED_CTL_PROBE_CREDENTIAL_H

#include "ctl.h"
#include "turn/client.h"

/* Reads a credential from the JSON in file ("-": standard input): the answer of `token issue` or
 * `credential issue`, JSON of RFC 7635 appendix B, or an entry of iceServers. what names the option
 * in messages. CTL_USAGE with a message if the JSON holds no credential. The caller clears *out. */
enum ctl_exit probe_credential_from_json(const struct ctl *ctl, const char *what, const char *file,
                                         struct turn_credential *out);
/* The same from --credential, or from --kid, --token-file and --key-file, or from --user and
 * --password-file. */
enum ctl_exit probe_credential_from_options(const struct ctl *ctl, struct turn_credential *out);

#endif
