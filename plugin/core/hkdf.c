/*
 * hkdf.c - HKDF-SHA-256 (RFC 5869) with an empty salt, for outputs of up to 32 octets
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * One block of output is two calls of HMAC. This file computes them itself because the store opens
 * millions of sealed rows, and EVP_KDF fetches and allocates at every call.
 */
#include "core.h"

bool tc_hkdf_sha256(struct turncred_ws *ws, const uint8_t *k, size_t k_len, const struct tc_part *info, size_t n,
                    uint8_t *out, size_t out_len) {
  static const uint8_t salt[32]; /* an empty salt is a block of zeros: RFC 5869 2.2 */
  static const uint8_t one = 1;
  struct tc_part parts[2 * TC_FIELDS_MAX + 2];
  const struct tc_part ikm = {k, k_len};
  uint8_t prk[TC_DIGEST_MAX];
  uint8_t okm[TC_DIGEST_MAX];
  bool ok;

  if (out_len > 32 || n >= TC_COUNT(parts)) {
    return false;
  }
  memcpy(parts, info, n * sizeof(*info));
  parts[n].data = &one;
  parts[n].len = 1;
  ok = tc_hmac(ws, TC_SHA256, salt, sizeof(salt), &ikm, 1, prk, NULL) &&
       tc_hmac(ws, TC_SHA256, prk, 32, parts, n + 1, okm, NULL);
  if (ok) {
    memcpy(out, okm, out_len);
  }
  explicit_bzero(prk, sizeof(prk));
  explicit_bzero(okm, sizeof(okm));
  return ok;
}
