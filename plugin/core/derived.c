/*
 * derived.c - passwords that issuer and server both derive from a shared key
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core.h"

static const char label[] = "turncred-derived-v1"; /* its NUL is part of the message */

enum turncred_err turncred_derived_password(struct turncred_ws *ws, const struct turncred_key *key, const char *user_id,
                                            size_t user_id_len, const char *realm, int64_t expiry,
                                            char password[TURNCRED_PASSWORD_MAX]) {
  uint8_t user_id_length[2];
  uint8_t realm_length[2];
  uint8_t time[8];
  uint8_t mac[TC_DIGEST_MAX];
  size_t realm_len;
  bool ok;

  if (key == NULL || user_id == NULL || user_id_len < 1 || user_id_len > TURNCRED_USER_ID_MAX || realm == NULL ||
      expiry < 1 || password == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (key->use != TURNCRED_USE_DERIVED || key->auth_len != 32) {
    return TURNCRED_BAD_KEY;
  }
  realm_len = strnlen(realm, TURNCRED_REALM_MAX + 1);
  if (realm_len > TURNCRED_REALM_MAX) {
    return TURNCRED_BAD_ARGUMENT;
  }
  tc_put16(user_id_length, (uint16_t)user_id_len);
  tc_put16(realm_length, (uint16_t)realm_len);
  tc_put64(time, (uint64_t)expiry);
  {
    const struct tc_part parts[] = {{label, sizeof(label)}, {user_id_length, 2}, {user_id, user_id_len},
                                    {realm_length, 2},      {realm, realm_len},  {time, sizeof(time)}};

    ok = tc_hmac(ws, TC_SHA256, key->auth, key->auth_len, parts, TC_COUNT(parts), mac, NULL);
  }
  if (ok) {
    tc_base64url(mac, 32, password);
  }
  explicit_bzero(mac, sizeof(mac));
  return ok ? TURNCRED_OK : TURNCRED_CRYPTO;
}

enum turncred_err turncred_derived_key(struct turncred_ws *ws, const struct turncred_key *key, const char *username,
                                       size_t username_len, const struct turncred_username *parsed, const char *realm,
                                       uint8_t md5[TURNCRED_LONG_TERM_MD5]) {
  char password[TURNCRED_PASSWORD_MAX];
  enum turncred_err err;

  if (parsed == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  err = turncred_derived_password(ws, key, parsed->user_id, parsed->user_id_len, realm, parsed->expiry, password);
  if (err == TURNCRED_OK) {
    err = turncred_long_term_md5(ws, username, username_len, realm, password, md5);
    explicit_bzero(password, sizeof(password));
  }
  return err;
}
