/*
 * credential.c - seals and opens pushed credentials at rest
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * nonce (12) | AES-256-GCM of the 48 octets | tag (16). The subkey is
 * HKDF-SHA256(kek, "turncred-credential-v1" | kek_id | realm), the AAD is
 * realm | username | u64 expiry | client address, and | user id where the row has one. Every field has
 * its length in two octets before it.
 */
#include "core.h"

struct context {
  uint8_t subkey[32];
  uint8_t expiry[8];
  struct tc_fields aad;
};

/* Derives the subkey as tc_hkdf_sha256 does, and remembers the last result in ws. */
static bool subkey_of(struct turncred_ws *ws, const uint8_t *kek, const struct tc_fields *info, uint8_t subkey[32]) {
  struct tc_subkey *last = ws != NULL ? tc_ws_subkey(ws) : NULL;
  uint8_t flat[sizeof(last->info)];
  size_t len = 0;
  size_t i;

  for (i = 0; i < info->parts && len + info->part[i].len <= sizeof(flat); i++) {
    memcpy(flat + len, info->part[i].data, info->part[i].len);
    len += info->part[i].len;
  }
  if (last == NULL || i < info->parts) {
    return tc_hkdf_sha256(ws, kek, TURNCRED_KEK, info->part, info->parts, subkey, 32);
  }
  if (last->info_len != len || memcmp(last->info, flat, len) != 0 || CRYPTO_memcmp(last->kek, kek, TURNCRED_KEK) != 0) {
    last->info_len = 0;
    if (!tc_hkdf_sha256(ws, kek, TURNCRED_KEK, info->part, info->parts, last->subkey, 32)) {
      return false;
    }
    memcpy(last->kek, kek, TURNCRED_KEK);
    memcpy(last->info, flat, len);
    last->info_len = len;
  }
  memcpy(subkey, last->subkey, 32);
  return true;
}

static enum turncred_err begin(struct context *c, struct turncred_ws *ws, const uint8_t *kek,
                               const struct turncred_credential_row *row) {
  struct tc_fields info;

  if (kek == NULL || row == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  tc_fields_begin(&info, "turncred-credential-v1", 22);
  tc_fields_begin(&c->aad, "", 0);
  tc_put64(c->expiry, (uint64_t)row->expiry);
  if (!tc_fields_string(&info, row->kek_id) || !tc_fields_string(&info, row->realm) ||
      !tc_fields_string(&c->aad, row->realm) || !tc_fields_string(&c->aad, row->username) ||
      !tc_fields_add(&c->aad, c->expiry, sizeof(c->expiry)) || !tc_fields_string(&c->aad, row->client_address) ||
      (row->user_id != NULL && !tc_fields_string(&c->aad, row->user_id))) {
    return TURNCRED_BAD_ARGUMENT;
  }
  return subkey_of(ws, kek, &info, c->subkey) ? TURNCRED_OK : TURNCRED_CRYPTO;
}

static bool add_aad(EVP_CIPHER_CTX *ctx, const struct tc_fields *f) {
  size_t i;
  int n;

  for (i = 0; i < f->parts; i++) {
    if (f->part[i].len > 0 && EVP_CipherUpdate(ctx, NULL, &n, f->part[i].data, (int)f->part[i].len) != 1) {
      return false;
    }
  }
  return true;
}

enum turncred_err turncred_credential_seal(const uint8_t kek[TURNCRED_KEK], const struct turncred_credential_row *row,
                                           const uint8_t nonce[12], const uint8_t plain[TURNCRED_CREDENTIAL_PLAIN],
                                           uint8_t sealed[TURNCRED_CREDENTIAL_SEALED]) {
  struct context c;
  EVP_CIPHER_CTX *ctx;
  enum turncred_err err;
  uint8_t *body;
  int n = 0;

  if (nonce == NULL || plain == NULL || sealed == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  err = begin(&c, NULL, kek, row);
  if (err != TURNCRED_OK) {
    return err;
  }
  body = sealed + TC_GCM_NONCE;
  memcpy(sealed, nonce, TC_GCM_NONCE);
  ctx = EVP_CIPHER_CTX_new();
  if (ctx == NULL || EVP_EncryptInit_ex2(ctx, EVP_aes_256_gcm(), c.subkey, nonce, NULL) != 1 || !add_aad(ctx, &c.aad) ||
      EVP_EncryptUpdate(ctx, body, &n, plain, TURNCRED_CREDENTIAL_PLAIN) != 1 ||
      EVP_EncryptFinal_ex(ctx, body + n, &n) != 1 ||
      EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TC_GCM_TAG, body + TURNCRED_CREDENTIAL_PLAIN) != 1) {
    explicit_bzero(sealed, TURNCRED_CREDENTIAL_SEALED);
    err = TURNCRED_CRYPTO;
  }
  EVP_CIPHER_CTX_free(ctx);
  explicit_bzero(&c, sizeof(c));
  return err;
}

/* A context that opens with subkey: the workspace's or, if ws is NULL, a new one that the caller
 * frees. NULL: OpenSSL failed. */
static EVP_CIPHER_CTX *opener(struct turncred_ws *ws, const uint8_t subkey[32]) {
  EVP_CIPHER_CTX *ctx;

  if (ws != NULL) {
    return tc_ws_credential_cipher(ws, subkey);
  }
  ctx = EVP_CIPHER_CTX_new();
  if (ctx != NULL && EVP_DecryptInit_ex2(ctx, EVP_aes_256_gcm(), subkey, NULL, NULL) != 1) {
    EVP_CIPHER_CTX_free(ctx);
    ctx = NULL;
  }
  return ctx;
}

enum turncred_err turncred_credential_unseal(struct turncred_ws *ws, const uint8_t kek[TURNCRED_KEK],
                                             const struct turncred_credential_row *row, const uint8_t *sealed,
                                             size_t sealed_len, uint8_t plain[TURNCRED_CREDENTIAL_PLAIN]) {
  struct context c;
  EVP_CIPHER_CTX *ctx;
  enum turncred_err err;
  const uint8_t *body;
  int n = 0;

  if ((sealed == NULL && sealed_len > 0) || plain == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (sealed_len != TURNCRED_CREDENTIAL_SEALED) {
    return TURNCRED_UNSEAL;
  }
  err = begin(&c, ws, kek, row);
  if (err != TURNCRED_OK) {
    return err;
  }
  body = sealed + TC_GCM_NONCE;
  ctx = opener(ws, c.subkey);
  if (ctx == NULL || EVP_DecryptInit_ex2(ctx, NULL, NULL, sealed, NULL) != 1 || !add_aad(ctx, &c.aad) ||
      EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TC_GCM_TAG, (void *)(body + TURNCRED_CREDENTIAL_PLAIN)) != 1) {
    err = TURNCRED_CRYPTO;
  } else if (EVP_DecryptUpdate(ctx, plain, &n, body, TURNCRED_CREDENTIAL_PLAIN) != 1 ||
             EVP_DecryptFinal_ex(ctx, plain + n, &n) != 1) {
    explicit_bzero(plain, TURNCRED_CREDENTIAL_PLAIN);
    err = TURNCRED_UNSEAL;
  }
  if (ws == NULL) {
    EVP_CIPHER_CTX_free(ctx);
  }
  explicit_bzero(&c, sizeof(c));
  return err;
}
