/*
 * mint.c - makes credentials from a key that is ready for use
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "mint.h"

#include "base/base64url.h"

#include <openssl/rand.h>
#include <string.h>

enum turncred_err mint_token(struct turncred_ws *ws, const struct turncred_key *key, const uint8_t *tag_key,
                             const char *server_name, const char *subject, const struct timespec *now,
                             uint32_t lifetime, size_t mac_key_len, struct mint_token *made) {
  uint8_t nonce[16];
  size_t nonce_len = key->alg == TURNCRED_A256CBC_HS512 ? 16 : 12;
  memset(made, 0, sizeof *made);
  made->token.mac_key_len = (uint16_t)mac_key_len;
  made->token.lifetime = lifetime;
  made->token.timestamp = (uint64_t)now->tv_sec << 16 | ((uint64_t)now->tv_nsec << 16) / 1000000000;
  if (RAND_priv_bytes(made->token.mac_key, (int)mac_key_len) != 1 || RAND_bytes(nonce, (int)nonce_len) != 1) {
    return TURNCRED_CRYPTO;
  }
  enum turncred_err err = tag_key ? turncred_subject_tag(tag_key, 32, subject, made->token.mac_key) : TURNCRED_OK;
  if (!err) {
    err = turncred_token_encode(ws, key, server_name, nonce, nonce_len, &made->token, made->octets, sizeof made->octets,
                                &made->len);
  }
  if (!err) {
    err = turncred_token_fingerprint(ws, made->octets, made->len, made->fingerprint);
  }
  return err;
}

enum turncred_err mint_password(struct turncred_ws *ws, const struct turncred_key *key,
                                const struct turncred_rest_form *form, const char *user_id, const char *realm,
                                int64_t expiry, char username[TURNCRED_USERNAME_MAX + 1],
                                char password[TURNCRED_PASSWORD_MAX]) {
  const size_t cap = TURNCRED_USERNAME_MAX + 1;
  if (key->use == TURNCRED_USE_REST) {
    enum turncred_err err = turncred_rest_format(user_id, expiry, form, username, cap);
    return err ? err : turncred_rest_password(ws, key, username, strlen(username), password);
  }
  enum turncred_err err = turncred_username_format(user_id, expiry, TURNCRED_USER_ID_TIMESTAMP, username, cap);
  return err ? err : turncred_derived_password(ws, key, user_id, strlen(user_id), realm, expiry, password);
}

enum turncred_err mint_secret(char text[MINT_SECRET]) {
  uint8_t random[32];
  if (RAND_priv_bytes(random, sizeof random) != 1) {
    return TURNCRED_CRYPTO;
  }
  enum turncred_err err = base64url_encode(random, sizeof random, text, MINT_SECRET);
  turncred_cleanse(random, sizeof random);
  return err;
}

enum turncred_err mint_pushed(struct turncred_ws *ws, const uint8_t *kek, const struct turncred_credential_row *row,
                              const char *password, uint8_t octets[TURNCRED_CREDENTIAL_SEALED]) {
  uint8_t plain[TURNCRED_CREDENTIAL_PLAIN], nonce[12];
  size_t n = strlen(row->username);
  enum turncred_err err = turncred_long_term_md5(ws, row->username, n, row->realm, password, plain);
  if (!err) {
    err = turncred_long_term_sha256(ws, row->username, n, row->realm, password, plain + TURNCRED_LONG_TERM_MD5);
  }
  if (!err && !kek) {
    memcpy(octets, plain, sizeof plain);
  } else if (!err) {
    err = RAND_bytes(nonce, sizeof nonce) == 1 ? turncred_credential_seal(kek, row, nonce, plain, octets)
                                               : TURNCRED_CRYPTO;
  }
  turncred_cleanse(plain, sizeof plain);
  return err;
}
