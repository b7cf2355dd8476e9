/*
 * longterm.c - long-term keys: H(username ":" realm ":" password), RFC 8489 9.2.2 and 18.5.1
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core.h"

static enum turncred_err long_term(struct turncred_ws *ws, enum tc_digest_id id, size_t size, const char *username,
                                   size_t username_len, const char *realm, const char *password, uint8_t *key) {
  uint8_t hash[TC_DIGEST_MAX];
  size_t realm_len;
  bool ok;

  if (username == NULL || username_len > TURNCRED_USERNAME_MAX || realm == NULL || password == NULL || key == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  realm_len = strnlen(realm, TURNCRED_REALM_MAX + 1);
  if (realm_len > TURNCRED_REALM_MAX) {
    return TURNCRED_BAD_ARGUMENT;
  }
  {
    const struct tc_part parts[] = {
        {username, username_len}, {":", 1}, {realm, realm_len}, {":", 1}, {password, strlen(password)}};

    ok = tc_hash(ws, id, parts, TC_COUNT(parts), hash, NULL);
  }
  if (ok) {
    memcpy(key, hash, size);
  }
  explicit_bzero(hash, sizeof(hash));
  return ok ? TURNCRED_OK : TURNCRED_CRYPTO;
}

enum turncred_err turncred_long_term_md5(struct turncred_ws *ws, const char *username, size_t username_len,
                                         const char *realm, const char *password, uint8_t key[TURNCRED_LONG_TERM_MD5]) {
  return long_term(ws, TC_MD5, TURNCRED_LONG_TERM_MD5, username, username_len, realm, password, key);
}

enum turncred_err turncred_long_term_sha256(struct turncred_ws *ws, const char *username, size_t username_len,
                                            const char *realm, const char *password,
                                            uint8_t key[TURNCRED_LONG_TERM_SHA256]) {
  return long_term(ws, TC_SHA256, TURNCRED_LONG_TERM_SHA256, username, username_len, realm, password, key);
}
