/*
 * key_file.h - --key-file of the commands that compute credentials without a database
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CTL_KEY_FILE_H
#define TURNCRED_CTL_KEY_FILE_H

#include "ctl.h"

/* Makes *key from the raw octets of --key-file, exactly as many as use, alg and derivation need.
 * CTL_USAGE when the file cannot be read, CTL_REFUSED when it has another length. The caller
 * clears *key with turncred_key_clear(). */
enum ctl_exit key_file_read(const struct ctl *ctl, enum turncred_use use, enum turncred_alg alg,
                            enum turncred_derivation derivation, struct turncred_key *key);

#endif
