/*
 * key_file.h - shared keys that come from files, and the form of REST usernames
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CTL_KEY_FILE_H
#define TURNCRED_CTL_KEY_FILE_H

#include "ctl.h"

/* Reads the raw octets of the file path, which the option what named: exactly as many as use, alg and derivation need.
 * A REST secret may be longer than k; its hash then becomes K, as in HMAC. CTL_USAGE when the file cannot be read,
 * CTL_REFUSED when it has another length, or when a REST secret ends with a newline. */
enum ctl_exit key_file_octets(const struct ctl *ctl, const char *what, const char *path, enum turncred_use use,
                              enum turncred_alg alg, enum turncred_derivation derivation, uint8_t k[TURNCRED_KEY_MAX],
                              size_t *k_len);
/* Makes *key from --key-file; results as key_file_octets. The caller clears *key with turncred_key_clear(). */
enum ctl_exit key_file_read(const struct ctl *ctl, enum turncred_use use, enum turncred_alg alg,
                            enum turncred_derivation derivation, struct turncred_key *key);

/* Reads --username-format and --separator; without them *form is that of use. CTL_USAGE when they name no form. */
enum ctl_exit key_file_form(const struct ctl *ctl, enum turncred_use use, struct turncred_rest_form *form);
/* Reads --alg of REST keys into *alg, which stays if it is not given. CTL_USAGE for any other name. */
enum ctl_exit key_file_rest_alg(const struct ctl *ctl, enum turncred_alg *alg);

#endif
