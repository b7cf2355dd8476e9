/*
 * rest.c - credentials of the TURN REST API (draft-uberti-behave-turn-rest)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core.h"

/* TC_DIGESTS: alg is not an HMAC. */
static enum tc_digest_id digest_of(enum turncred_alg alg) {
  switch (alg) {
  case TURNCRED_HMAC_SHA1:
    return TC_SHA1;
  case TURNCRED_HMAC_SHA256:
    return TC_SHA256;
  case TURNCRED_HMAC_SHA384:
    return TC_SHA384;
  case TURNCRED_HMAC_SHA512:
    return TC_SHA512;
  default:
    return TC_DIGESTS;
  }
}

enum turncred_err turncred_rest_secret(enum turncred_alg alg, const uint8_t *secret, size_t len,
                                       uint8_t k[TURNCRED_KEY_MAX], size_t *k_len) {
  const struct tc_part part = {secret, len};
  enum tc_digest_id id = digest_of(alg);

  if (secret == NULL || k == NULL || k_len == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (id == TC_DIGESTS) {
    return TURNCRED_BAD_ALGORITHM;
  }
  if (len < 1 || len > TURNCRED_SECRET_MAX) {
    return TURNCRED_BAD_KEY;
  }
  if (len > (id == TC_SHA1 || id == TC_SHA256 ? 64 : 128)) {
    return tc_hash(NULL, id, &part, 1, k, k_len) ? TURNCRED_OK : TURNCRED_CRYPTO;
  }
  memcpy(k, secret, len);
  *k_len = len;
  return TURNCRED_OK;
}

enum turncred_err turncred_rest_password(struct turncred_ws *ws, const struct turncred_key *key, const char *username,
                                         size_t username_len, char password[TURNCRED_PASSWORD_MAX]) {
  const struct tc_part part = {username, username_len};
  uint8_t mac[TC_DIGEST_MAX];
  size_t mac_len = 0;
  enum turncred_err err;

  if (key == NULL || username == NULL || username_len < 1 || username_len > TURNCRED_USERNAME_MAX || password == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (key->use != TURNCRED_USE_REST || key->auth_len == 0 || digest_of(key->alg) == TC_DIGESTS) {
    return TURNCRED_BAD_KEY;
  }
  if (!tc_hmac(ws, digest_of(key->alg), key->auth, key->auth_len, &part, 1, mac, &mac_len)) {
    return TURNCRED_CRYPTO;
  }
  err = turncred_base64_encode(mac, mac_len, password, TURNCRED_PASSWORD_MAX);
  explicit_bzero(mac, sizeof(mac));
  return err;
}

enum turncred_err turncred_rest_key(struct turncred_ws *ws, const struct turncred_key *key, const char *username,
                                    size_t username_len, const char *realm, uint8_t md5[TURNCRED_LONG_TERM_MD5]) {
  char password[TURNCRED_PASSWORD_MAX];
  enum turncred_err err = turncred_rest_password(ws, key, username, username_len, password);

  if (err == TURNCRED_OK) {
    err = turncred_long_term_md5(ws, username, username_len, realm, password, md5);
    explicit_bzero(password, sizeof(password));
  }
  return err;
}
