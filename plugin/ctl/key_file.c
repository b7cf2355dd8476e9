/*
 * key_file.c - shared keys that come from files, and the form of REST usernames
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "key_file.h"

#include "base/secret.h"

#include <string.h>

/* Turns the octets of the file into K. */
static enum ctl_exit make_k(const struct ctl *ctl, const char *what, enum turncred_use use, enum turncred_alg alg,
                            enum turncred_derivation derivation, const uint8_t *octets, size_t len,
                            uint8_t k[TURNCRED_KEY_MAX], size_t *k_len) {
  size_t need = turncred_key_length(use, alg, derivation);
  if (need && len != need) {
    return ctl_fail(ctl, CTL_REFUSED,
                    "%s: the file holds %zu octets, but %s with derivation %s needs exactly %zu raw octets (no "
                    "base64, no newline); nothing is padded or cut",
                    what, len, turncred_alg_name(alg), turncred_derivation_name(derivation), need);
  }
  if (need) {
    memcpy(k, octets, len);
    *k_len = len;
    return CTL_OK;
  }
  if (len && octets[len - 1] == '\n') {
    return ctl_fail(ctl, CTL_REFUSED,
                    "%s: the secret ends with a newline, which would be part of it; write the file "
                    "with printf %%s",
                    what);
  }
  enum turncred_err err = turncred_rest_secret(alg, octets, len, k, k_len);
  if (err == TURNCRED_BAD_KEY) {
    return ctl_fail(ctl, CTL_REFUSED, "%s: the file holds %zu octets; a secret has 1 to %d", what, len,
                    TURNCRED_SECRET_MAX);
  }
  return err ? ctl_core_error(ctl, what, err) : CTL_OK;
}

enum ctl_exit key_file_octets(const struct ctl *ctl, const char *what, const char *path, enum turncred_use use,
                              enum turncred_alg alg, enum turncred_derivation derivation, uint8_t k[TURNCRED_KEY_MAX],
                              size_t *k_len) {
  uint8_t octets[TURNCRED_SECRET_MAX + 1];
  size_t len = 0;
  char text[512];
  if (secret_read(path, what, octets, sizeof octets, &len, text, sizeof text)) {
    return ctl_fail(ctl, CTL_USAGE, "%s", text);
  }
  enum ctl_exit rc = make_k(ctl, what, use, alg, derivation, octets, len, k, k_len);
  turncred_cleanse(octets, sizeof octets);
  return rc;
}

enum ctl_exit key_file_read(const struct ctl *ctl, enum turncred_use use, enum turncred_alg alg,
                            enum turncred_derivation derivation, struct turncred_key *key) {
  uint8_t k[TURNCRED_KEY_MAX];
  size_t len = 0;
  enum ctl_exit rc = key_file_octets(ctl, "--key-file", ctl_get(ctl, "key-file"), use, alg, derivation, k, &len);
  enum turncred_err err = rc ? TURNCRED_OK : turncred_key_init(key, use, alg, derivation, k, len);
  turncred_cleanse(k, sizeof k);
  return err ? ctl_core_error(ctl, "--key-file", err) : rc;
}

enum ctl_exit key_file_form(const struct ctl *ctl, enum turncred_use use, struct turncred_rest_form *form) {
  const char *order = ctl_get(ctl, "username-format"), *separator = ctl_get(ctl, "separator");
  *form = (struct turncred_rest_form){
      use == TURNCRED_USE_REST ? TURNCRED_TIMESTAMP_USER_ID : TURNCRED_USER_ID_TIMESTAMP, ':'};
  if (order && turncred_username_format_parse(order, &form->order)) {
    return ctl_fail(ctl, CTL_USAGE,
                    "--username-format: \"%s\" is not one of timestamp:user-id, user-id:timestamp, "
                    "either",
                    order);
  }
  if (separator && (strlen(separator) != 1 || !turncred_rest_separator_ok(*separator))) {
    return ctl_fail(ctl, CTL_USAGE,
                    "--separator: \"%s\" is not one visible ASCII character other than letters, digits, + - and "
                    "quotes",
                    separator);
  }
  if (separator) {
    form->separator = *separator;
  }
  if (use != TURNCRED_USE_REST && (form->order != TURNCRED_USER_ID_TIMESTAMP || form->separator != ':')) {
    return ctl_fail(ctl, CTL_USAGE, "--username-format and --separator belong to rest");
  }
  return CTL_OK;
}

enum ctl_exit key_file_rest_alg(const struct ctl *ctl, enum turncred_alg *alg) {
  const char *text = ctl_get(ctl, "alg");
  enum turncred_alg named = TURNCRED_HMAC_SHA1;
  if (text && (turncred_alg_parse(text, &named) || named < TURNCRED_HMAC_SHA1)) {
    return ctl_fail(ctl, CTL_USAGE, "--alg: \"%s\" is not one of sha1, sha256, sha384, sha512", text);
  }
  if (text) {
    *alg = named;
  }
  return CTL_OK;
}
