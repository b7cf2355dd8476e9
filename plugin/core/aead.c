/*
 * aead.c - the three ways to encrypt a token
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * GCM:       ciphertext | tag (16)
 * CBC-HS512: ciphertext (PKCS 7 padding) | first half of HMAC-SHA-512(AUTH key, AAD | IV |
 *            ciphertext | u64 bits of AAD), RFC 7518 section 5.2.
 *
 * In RFC 7635's literal form a CBC token has no IV: the cipher then takes zeros, and the HMAC leaves
 * the IV out.
 */
#include "core.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

static const uint8_t zero_iv[TC_CBC_IV];

static bool is_gcm(enum turncred_alg alg) { return alg == TURNCRED_A256GCM || alg == TURNCRED_A128GCM; }

size_t tc_aead_sealed_len(enum turncred_alg alg, size_t plain_len) {
  return is_gcm(alg) ? plain_len + TC_GCM_TAG : plain_len / 16 * 16 + 16 + TC_CBC_TAG;
}

bool tc_aead_nonce_ok(const struct turncred_key *key, size_t nonce_len) {
  if (is_gcm(key->alg)) {
    return nonce_len == TC_GCM_NONCE;
  }
  return nonce_len == TC_CBC_IV || (nonce_len == 0 && key->allow_zero_iv);
}

static const uint8_t *iv_of(const struct tc_aead *a) { return a->nonce_len == 0 ? zero_iv : a->nonce; }

static bool gcm_seal(const struct tc_aead *a, const uint8_t *plain, size_t plain_len, uint8_t *out) {
  EVP_CIPHER_CTX *ctx = tc_ws_cipher(a->ws, a->key, true);
  int n = 0;

  return ctx != NULL && EVP_EncryptInit_ex2(ctx, NULL, NULL, a->nonce, NULL) == 1 &&
         EVP_EncryptUpdate(ctx, NULL, &n, a->aad, (int)a->aad_len) == 1 &&
         EVP_EncryptUpdate(ctx, out, &n, plain, (int)plain_len) == 1 && n == (int)plain_len &&
         EVP_EncryptFinal_ex(ctx, out + plain_len, &n) == 1 && n == 0 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TC_GCM_TAG, out + plain_len) == 1;
}

static enum turncred_err gcm_open(const struct tc_aead *a, const uint8_t *in, size_t in_len, uint8_t *out,
                                  size_t *out_len) {
  EVP_CIPHER_CTX *ctx = tc_ws_cipher(a->ws, a->key, false);
  size_t len = in_len - TC_GCM_TAG;
  OSSL_PARAM tag[] = {OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, NULL, TC_GCM_TAG), OSSL_PARAM_END};
  int n = 0;

  if (in_len < TC_GCM_TAG) {
    return TURNCRED_BAD_TOKEN;
  }
  tag[0].data = (void *)(in + len);
  *out_len = len;
  if (ctx == NULL || EVP_DecryptInit_ex2(ctx, NULL, NULL, a->nonce, tag) != 1 ||
      EVP_DecryptUpdate(ctx, NULL, &n, a->aad, (int)a->aad_len) != 1 ||
      EVP_DecryptUpdate(ctx, out, &n, in, (int)len) != 1 || n != (int)len) {
    return TURNCRED_CRYPTO;
  }
  return EVP_DecryptFinal_ex(ctx, out + len, &n) == 1 && n == 0 ? TURNCRED_OK : TURNCRED_BAD_TOKEN;
}

static bool cbc_tag(const struct tc_aead *a, const uint8_t *sealed, size_t len, uint8_t mac[TC_DIGEST_MAX]) {
  uint8_t aad_bits[8];
  const struct tc_part parts[] = {
      {a->aad, a->aad_len}, {a->nonce, a->nonce_len}, {sealed, len}, {aad_bits, sizeof(aad_bits)}};

  tc_put64(aad_bits, (uint64_t)a->aad_len * 8);
  return tc_hmac(a->ws, TC_SHA512, a->key->auth, a->key->auth_len, parts, TC_COUNT(parts), mac, NULL);
}

/* The cipher's own padding is switched off (ws.c): on a wrong padding OpenSSL would leave an error in
 * its queue, and TLS code of the same thread would take that for its own. */
static bool cbc_seal(const struct tc_aead *a, const uint8_t *plain, size_t plain_len, uint8_t *out) {
  EVP_CIPHER_CTX *ctx = tc_ws_cipher(a->ws, a->key, true);
  uint8_t last[16];
  uint8_t mac[TC_DIGEST_MAX];
  size_t whole = plain_len / 16 * 16;
  size_t len = whole + 16;
  int n = 0;
  bool ok;

  memset(last, (int)(len - plain_len), sizeof(last));
  memcpy(last, plain + whole, plain_len - whole);
  ok = ctx != NULL && EVP_EncryptInit_ex2(ctx, NULL, NULL, iv_of(a), NULL) == 1 &&
       EVP_EncryptUpdate(ctx, out, &n, plain, (int)whole) == 1 && n == (int)whole &&
       EVP_EncryptUpdate(ctx, out + whole, &n, last, sizeof(last)) == 1 && n == 16 && cbc_tag(a, out, len, mac);
  if (ok) {
    memcpy(out + len, mac, TC_CBC_TAG);
  }
  explicit_bzero(last, sizeof(last));
  explicit_bzero(mac, sizeof(mac));
  return ok;
}

/* Removes the padding of PKCS 7, whose octets all say how many there are. False: it is malformed. */
static bool unpad(const uint8_t *plain, size_t len, size_t *out_len) {
  size_t pad = plain[len - 1];
  size_t i;

  if (pad < 1 || pad > 16) {
    return false;
  }
  for (i = 1; i <= pad; i++) {
    if (plain[len - i] != pad) {
      return false;
    }
  }
  *out_len = len - pad;
  return true;
}

static enum turncred_err cbc_open(const struct tc_aead *a, const uint8_t *in, size_t in_len, uint8_t *out,
                                  size_t *out_len) {
  EVP_CIPHER_CTX *ctx;
  uint8_t mac[TC_DIGEST_MAX];
  size_t len = in_len - TC_CBC_TAG;
  enum turncred_err err = TURNCRED_OK;
  int n = 0;

  if (in_len < TC_CBC_TAG + 16 || len % 16 != 0) {
    return TURNCRED_BAD_TOKEN;
  }
  /* nothing is decrypted before the tag is known to be right: there is no padding oracle */
  if (!cbc_tag(a, in, len, mac)) {
    err = TURNCRED_CRYPTO;
  } else if (CRYPTO_memcmp(mac, in + len, TC_CBC_TAG) != 0) {
    err = TURNCRED_BAD_TOKEN;
  }
  explicit_bzero(mac, sizeof(mac));
  if (err != TURNCRED_OK) {
    return err;
  }
  ctx = tc_ws_cipher(a->ws, a->key, false);
  if (ctx == NULL || EVP_DecryptInit_ex2(ctx, NULL, NULL, iv_of(a), NULL) != 1 ||
      EVP_DecryptUpdate(ctx, out, &n, in, (int)len) != 1 || n != (int)len) {
    return TURNCRED_CRYPTO;
  }
  return unpad(out, len, out_len) ? TURNCRED_OK : TURNCRED_BAD_TOKEN;
}

bool tc_aead_seal(const struct tc_aead *a, const uint8_t *plain, size_t plain_len, uint8_t *out) {
  return is_gcm(a->key->alg) ? gcm_seal(a, plain, plain_len, out) : cbc_seal(a, plain, plain_len, out);
}

enum turncred_err tc_aead_open(const struct tc_aead *a, const uint8_t *in, size_t in_len, uint8_t *out,
                               size_t *out_len) {
  return is_gcm(a->key->alg) ? gcm_open(a, in, in_len, out, out_len) : cbc_open(a, in, in_len, out, out_len);
}
