/*
 * credential.c - pushed credentials at rest
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * nonce (12) | AES-256-GCM of the 48 octets | tag (16). The subkey is
 * HKDF-SHA256(kek, "turncred-credential-v1" | kek_id | realm), the AAD is
 * realm | username | u64 expiry | client address; every field has its length in two octets in
 * front.
 */
#include "core.h"

#include <openssl/err.h>

struct context {
  uint8_t subkey[32];
  uint8_t expiry[8];
  struct tc_fields aad;
};

static enum turncred_err begin(struct context *c, const uint8_t *kek,
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
      !tc_fields_add(&c->aad, c->expiry, sizeof(c->expiry)) ||
      !tc_fields_string(&c->aad, row->client_address)) {
    return TURNCRED_BAD_ARGUMENT;
  }
  return tc_hkdf_sha256(NULL, kek, TURNCRED_KEK, info.part, info.parts, c->subkey, 32)
             ? TURNCRED_OK
             : TURNCRED_CRYPTO;
}

static bool add_aad(EVP_CIPHER_CTX *ctx, const struct tc_fields *f) {
  size_t i;
  int n;

  for (i = 0; i < f->parts; i++) {
    if (f->part[i].len > 0 &&
        EVP_CipherUpdate(ctx, NULL, &n, f->part[i].data, (int)f->part[i].len) != 1) {
      return false;
    }
  }
  return true;
}

enum turncred_err turncred_credential_seal(const uint8_t kek[TURNCRED_KEK],
                                           const struct turncred_credential_row *row,
                                           const uint8_t nonce[12],
                                           const uint8_t plain[TURNCRED_CREDENTIAL_PLAIN],
                                           uint8_t sealed[TURNCRED_CREDENTIAL_SEALED]) {
  struct context c;
  EVP_CIPHER_CTX *ctx;
  enum turncred_err err;
  uint8_t *body;
  int n = 0;

  if (nonce == NULL || plain == NULL || sealed == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  err = begin(&c, kek, row);
  if (err != TURNCRED_OK) {
    return err;
  }
  body = sealed + TC_GCM_NONCE;
  memcpy(sealed, nonce, TC_GCM_NONCE);
  ERR_set_mark();
  ctx = EVP_CIPHER_CTX_new();
  if (ctx == NULL || EVP_EncryptInit_ex2(ctx, EVP_aes_256_gcm(), c.subkey, nonce, NULL) != 1 ||
      !add_aad(ctx, &c.aad) ||
      EVP_EncryptUpdate(ctx, body, &n, plain, TURNCRED_CREDENTIAL_PLAIN) != 1 ||
      EVP_EncryptFinal_ex(ctx, body + n, &n) != 1 ||
      EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TC_GCM_TAG,
                          body + TURNCRED_CREDENTIAL_PLAIN) != 1) {
    explicit_bzero(sealed, TURNCRED_CREDENTIAL_SEALED);
    err = TURNCRED_CRYPTO;
  }
  EVP_CIPHER_CTX_free(ctx);
  ERR_pop_to_mark();
  explicit_bzero(&c, sizeof(c));
  return err;
}

enum turncred_err turncred_credential_unseal(const uint8_t kek[TURNCRED_KEK],
                                             const struct turncred_credential_row *row,
                                             const uint8_t *sealed, size_t sealed_len,
                                             uint8_t plain[TURNCRED_CREDENTIAL_PLAIN]) {
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
  err = begin(&c, kek, row);
  if (err != TURNCRED_OK) {
    return err;
  }
  body = sealed + TC_GCM_NONCE;
  ERR_set_mark();
  ctx = EVP_CIPHER_CTX_new();
  if (ctx == NULL || EVP_DecryptInit_ex2(ctx, EVP_aes_256_gcm(), c.subkey, sealed, NULL) != 1 ||
      !add_aad(ctx, &c.aad) ||
      EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TC_GCM_TAG,
                          (void *)(body + TURNCRED_CREDENTIAL_PLAIN)) != 1) {
    err = TURNCRED_CRYPTO;
  } else if (EVP_DecryptUpdate(ctx, plain, &n, body, TURNCRED_CREDENTIAL_PLAIN) != 1 ||
             EVP_DecryptFinal_ex(ctx, plain + n, &n) != 1) {
    explicit_bzero(plain, TURNCRED_CREDENTIAL_PLAIN);
    err = TURNCRED_UNSEAL;
  }
  EVP_CIPHER_CTX_free(ctx);
  ERR_pop_to_mark();
  explicit_bzero(&c, sizeof(c));
  return err;
}
