/*
 * key_file.c - --key-file of the commands that compute credentials without a database
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "key_file.h"

#include "base/secret.h"

enum ctl_exit key_file_read(const struct ctl *ctl, enum turncred_use use, enum turncred_alg alg,
                            enum turncred_derivation derivation, struct turncred_key *key) {
  uint8_t k[TURNCRED_KEY_MAX];
  size_t len = 0;
  char text[512];
  if (secret_read(ctl_get(ctl, "key-file"), "--key-file", k, sizeof k, &len, text, sizeof text)) {
    return ctl_fail(ctl, CTL_USAGE, "%s", text);
  }
  enum turncred_err err = turncred_key_init(key, use, alg, derivation, k, len);
  turncred_cleanse(k, sizeof k);
  if (err == TURNCRED_BAD_KEY) {
    size_t need = turncred_key_length(use, alg, derivation);
    return need ? ctl_fail(ctl, CTL_REFUSED,
                           "--key-file: the file holds %zu octets, but %s with derivation %s needs "
                           "exactly "
                           "%zu raw octets (no base64, no newline)",
                           len, turncred_alg_name(alg), turncred_derivation_name(derivation), need)
                : ctl_fail(ctl, CTL_REFUSED, "--key-file: the file holds %zu octets; 1 to %d are needed", len,
                           TURNCRED_KEY_MAX);
  }
  return err ? ctl_core_error(ctl, "--key-file", err) : CTL_OK;
}
