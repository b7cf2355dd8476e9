/*
 * aead.c - the three ways to encrypt a token
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * GCM:       ciphertext | tag (16)
 * CBC-HS512: ciphertext (PKCS 7 padding) | first half of HMAC-SHA-512(AUTH key, AAD | IV |
 *            ciphertext | u64 bits of AAD), RFC 7518 section 5.2.
 *
 * In RFC 7635's literal form a CBC token has no IV: it is zero for the cipher and absent from the
 * HMAC.
 */
#include "core.h"

#include <openssl/err.h>

static const uint8_t zero_iv[TC_CBC_IV];

static bool is_gcm(enum turncred_alg alg) {
  return alg == TURNCRED_A256GCM || alg == TURNCRED_A128GCM;
}

size_t tc_aead_sealed_len(enum turncred_alg alg, size_t plain_len) {
  return is_gcm(alg) ? plain_len + TC_GCM_TAG : plain_len / 16 * 16 + 16 + TC_CBC_TAG;
}

bool tc_aead_nonce_ok(const struct turncred_key *key, size_t nonce_len) {
  if (is_gcm(key->alg)) {
    return nonce_len == TC_GCM_NONCE;
  }
  return nonce_len == TC_CBC_IV || (nonce_len == 0 && key->allow_zero_iv);
}

static const uint8_t *iv_of(const struct tc_aead *a) {
  return a->nonce_len == 0 ? zero_iv : a->nonce;
}

static bool gcm_seal(const struct tc_aead *a, const uint8_t *plain, size_t plain_len,
                     uint8_t *out) {
  EVP_CIPHER_CTX *ctx = tc_ws_cipher(a->ws, a->key, true);
  int n = 0;

  return ctx != NULL && EVP_EncryptInit_ex2(ctx, NULL, NULL, a->nonce, NULL) == 1 &&
         EVP_EncryptUpdate(ctx, NULL, &n, a->aad, (int)a->aad_len) == 1 &&
         EVP_EncryptUpdate(ctx, out, &n, plain, (int)plain_len) == 1 && n == (int)plain_len &&
         EVP_EncryptFinal_ex(ctx, out + plain_len, &n) == 1 && n == 0 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TC_GCM_TAG, out + plain_len) == 1;
}

static bool gcm_open(const struct tc_aead *a, const uint8_t *in, size_t in_len, uint8_t *out,
                     size_t *out_len) {
  EVP_CIPHER_CTX *ctx = tc_ws_cipher(a->ws, a->key, false);
  int n = 0;

  if (in_len < TC_GCM_TAG) {
    return false;
  }
  *out_len = in_len - TC_GCM_TAG;
  return ctx != NULL && EVP_DecryptInit_ex2(ctx, NULL, NULL, a->nonce, NULL) == 1 &&
         EVP_DecryptUpdate(ctx, NULL, &n, a->aad, (int)a->aad_len) == 1 &&
         EVP_DecryptUpdate(ctx, out, &n, in, (int)*out_len) == 1 && n == (int)*out_len &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TC_GCM_TAG, (void *)(in + *out_len)) ==
             1 &&
         EVP_DecryptFinal_ex(ctx, out + *out_len, &n) == 1 && n == 0;
}

static bool cbc_tag(const struct tc_aead *a, const uint8_t *sealed, size_t len,
                    uint8_t mac[TC_DIGEST_MAX]) {
  uint8_t aad_bits[8];
  const struct tc_part parts[] = {
      {a->aad, a->aad_len}, {a->nonce, a->nonce_len}, {sealed, len}, {aad_bits, sizeof(aad_bits)}};

  tc_put64(aad_bits, (uint64_t)a->aad_len * 8);
  return tc_hmac(a->ws, TC_SHA512, a->key->auth, a->key->auth_len, parts, TC_COUNT(parts), mac,
                 NULL);
}

static bool cbc_seal(const struct tc_aead *a, const uint8_t *plain, size_t plain_len,
                     uint8_t *out) {
  EVP_CIPHER_CTX *ctx = tc_ws_cipher(a->ws, a->key, true);
  uint8_t mac[TC_DIGEST_MAX];
  int n = 0;
  int last = 0;
  bool ok = ctx != NULL && EVP_EncryptInit_ex2(ctx, NULL, NULL, iv_of(a), NULL) == 1 &&
            EVP_EncryptUpdate(ctx, out, &n, plain, (int)plain_len) == 1 &&
            EVP_EncryptFinal_ex(ctx, out + n, &last) == 1 &&
            cbc_tag(a, out, (size_t)(n + last), mac);

  if (ok) {
    memcpy(out + n + last, mac, TC_CBC_TAG);
  }
  OPENSSL_cleanse(mac, sizeof(mac));
  return ok;
}

static bool cbc_open(const struct tc_aead *a, const uint8_t *in, size_t in_len, uint8_t *out,
                     size_t *out_len) {
  EVP_CIPHER_CTX *ctx = NULL;
  uint8_t mac[TC_DIGEST_MAX];
  size_t len = in_len - TC_CBC_TAG;
  int n = 0;
  int last = 0;
  bool ok;

  if (in_len < TC_CBC_TAG + 16) {
    return false;
  }
  /* nothing is decrypted before the tag is known to be right: there is no padding oracle */
  ok = cbc_tag(a, in, len, mac) && CRYPTO_memcmp(mac, in + len, TC_CBC_TAG) == 0;
  OPENSSL_cleanse(mac, sizeof(mac));
  if (ok) {
    ctx = tc_ws_cipher(a->ws, a->key, false);
  }
  ok = ctx != NULL && EVP_DecryptInit_ex2(ctx, NULL, NULL, iv_of(a), NULL) == 1 &&
       EVP_DecryptUpdate(ctx, out, &n, in, (int)len) == 1 &&
       EVP_DecryptFinal_ex(ctx, out + n, &last) == 1;
  if (ok) {
    *out_len = (size_t)(n + last);
  }
  return ok;
}

bool tc_aead_seal(const struct tc_aead *a, const uint8_t *plain, size_t plain_len, uint8_t *out) {
  bool ok;

  ERR_set_mark(); /* the caller's error queue stays as it was: TLS code reads it */
  ok =
      is_gcm(a->key->alg) ? gcm_seal(a, plain, plain_len, out) : cbc_seal(a, plain, plain_len, out);
  ERR_pop_to_mark();
  return ok;
}

bool tc_aead_open(const struct tc_aead *a, const uint8_t *in, size_t in_len, uint8_t *out,
                  size_t *out_len) {
  bool ok;

  ERR_set_mark();
  ok = is_gcm(a->key->alg) ? gcm_open(a, in, in_len, out, out_len)
                           : cbc_open(a, in, in_len, out, out_len);
  ERR_pop_to_mark();
  return ok;
}
