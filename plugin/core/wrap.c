/*
 * wrap.c - AES-256 key wrap with padding (RFC 5649)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core.h"

#include <openssl/err.h>

static EVP_CIPHER_CTX *wrap_ctx(const uint8_t *kek, int encrypt) {
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

  if (ctx == NULL) {
    return NULL;
  }
  EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  if (EVP_CipherInit_ex2(ctx, EVP_aes_256_wrap_pad(), kek, NULL, encrypt, NULL) != 1) {
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
  }
  return ctx;
}

enum turncred_err turncred_wrap(const uint8_t kek[TURNCRED_KEK], const uint8_t *key, size_t key_len, uint8_t *out,
                                size_t cap, size_t *out_len) {
  size_t need = (key_len + 7) / 8 * 8 + 8;
  uint8_t buf[TURNCRED_WRAPPED_MAX + 8];
  EVP_CIPHER_CTX *ctx;
  int n = 0;
  bool ok;

  if (kek == NULL || key == NULL || key_len < 1 || key_len > TURNCRED_KEY_MAX || out == NULL || out_len == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (need > cap) {
    return TURNCRED_NO_SPACE;
  }
  ERR_set_mark();
  ctx = wrap_ctx(kek, 1);
  ok = ctx != NULL && EVP_EncryptUpdate(ctx, buf, &n, key, (int)key_len) == 1 && n == (int)need;
  EVP_CIPHER_CTX_free(ctx);
  ERR_pop_to_mark();
  if (ok) {
    memcpy(out, buf, need);
    *out_len = need;
  }
  explicit_bzero(buf, sizeof(buf));
  return ok ? TURNCRED_OK : TURNCRED_CRYPTO;
}

enum turncred_err tc_unwrap(struct turncred_ws *ws, const uint8_t kek[TURNCRED_KEK], const uint8_t *in, size_t in_len,
                            uint8_t *out, size_t cap, size_t *out_len) {
  uint8_t buf[TURNCRED_WRAPPED_MAX + 8];
  EVP_CIPHER_CTX *ctx;
  enum turncred_err err = TURNCRED_UNSEAL;
  int n = 0;

  if (kek == NULL || (in == NULL && in_len > 0) || out == NULL || out_len == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (in_len < 16 || in_len > TURNCRED_WRAPPED_MAX || in_len % 8 != 0) {
    return TURNCRED_UNSEAL;
  }
  ERR_set_mark(); /* what a refusal adds to OpenSSL's error queue, TLS code of this thread would take for its own */
  ctx = ws != NULL ? tc_ws_wrap_cipher(ws) : wrap_ctx(kek, 0);
  if (ctx == NULL || (ws != NULL && EVP_DecryptInit_ex2(ctx, NULL, kek, NULL, NULL) != 1)) {
    err = TURNCRED_CRYPTO;
  } else if (EVP_DecryptUpdate(ctx, buf, &n, in, (int)in_len) == 1 && n > 0) {
    err = (size_t)n <= cap ? TURNCRED_OK : TURNCRED_NO_SPACE;
  }
  if (ws == NULL) {
    EVP_CIPHER_CTX_free(ctx);
  }
  ERR_pop_to_mark();
  if (err == TURNCRED_OK) {
    memcpy(out, buf, (size_t)n);
    *out_len = (size_t)n;
  }
  explicit_bzero(buf, sizeof(buf));
  return err;
}

enum turncred_err turncred_unwrap(const uint8_t kek[TURNCRED_KEK], const uint8_t *in, size_t in_len, uint8_t *out,
                                  size_t cap, size_t *out_len) {
  return tc_unwrap(NULL, kek, in, in_len, out, cap, out_len);
}
