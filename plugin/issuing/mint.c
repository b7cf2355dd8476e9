/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "mint.h"

#include <openssl/rand.h>
#include <string.h>

enum turncred_err mint_token(struct turncred_ws *ws, const struct turncred_key *key,
                             const uint8_t *tag_key, const char *server_name, const char *subject,
                             const struct timespec *now, uint32_t lifetime, size_t mac_key_len,
                             struct mint_token *made) {
  uint8_t nonce[16];
  size_t nonce_len = key->alg == TURNCRED_A256CBC_HS512 ? 16 : 12;
  memset(made, 0, sizeof *made);
  made->token.mac_key_len = (uint16_t)mac_key_len;
  made->token.lifetime = lifetime;
  made->token.timestamp = (uint64_t)now->tv_sec << 16 | ((uint64_t)now->tv_nsec << 16) / 1000000000;
  if (RAND_priv_bytes(made->token.mac_key, (int)mac_key_len) != 1 ||
      RAND_bytes(nonce, (int)nonce_len) != 1)
    return TURNCRED_CRYPTO;
  enum turncred_err err =
      tag_key ? turncred_subject_tag(tag_key, 32, subject, made->token.mac_key) : TURNCRED_OK;
  if (!err)
    err = turncred_token_encode(ws, key, server_name, nonce, nonce_len, &made->token, made->octets,
                                sizeof made->octets, &made->len);
  if (!err)
    err = turncred_token_fingerprint(ws, made->octets, made->len, made->fingerprint);
  return err;
}

enum turncred_err mint_password(struct turncred_ws *ws, const struct turncred_key *key,
                                enum turncred_username_format format, const char *user_id,
                                const char *realm, int64_t expiry,
                                char username[TURNCRED_USERNAME_MAX + 1],
                                char password[TURNCRED_PASSWORD_MAX]) {
  struct turncred_username parsed;
  enum turncred_err err =
      turncred_username_format(user_id, expiry, format, username, TURNCRED_USERNAME_MAX + 1);
  if (!err)
    err = turncred_username_parse(username, strlen(username), format, &parsed);
  if (err)
    return err;
  if (key->use == TURNCRED_USE_REST)
    return turncred_rest_password(ws, key, username, strlen(username), password);
  return turncred_derived_password(ws, key, parsed.user_id, parsed.user_id_len, realm, expiry,
                                   password);
}

enum turncred_err mint_secret(char text[MINT_SECRET]) {
  uint8_t random[32];
  char base64[48];
  if (RAND_priv_bytes(random, sizeof random) != 1)
    return TURNCRED_CRYPTO;
  enum turncred_err err = turncred_base64_encode(random, sizeof random, base64, sizeof base64);
  turncred_cleanse(random, sizeof random);
  for (size_t i = 0; !err && i < MINT_SECRET - 1; i++)
    text[i] = (char)(base64[i] == '+' ? '-' : base64[i] == '/' ? '_' : base64[i]);
  text[MINT_SECRET - 1] = '\0';
  turncred_cleanse(base64, sizeof base64);
  return err;
}
