/*
 * fuzz_jwks.c - libFuzzer: key sets of an authorization server
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "fuzz.h"

#include "turncredd/jwt/jwks.h"

#include <openssl/evp.h>

#define KEYS 8

static const char *const algs[] = {"RS256", "RS384", "PS256", "ES256", "ES512", "EdDSA", "none", "HS256", ""};
enum { SIGNATURES = 6 }; /* of these; the others have no keys */

/* No key but those of signatures, and no RSA key that is too small. */
static void find(const struct jwks *jwks, const char *kid, size_t alg) {
  EVP_PKEY *keys[KEYS];
  bool named = false;
  size_t count = jwks_find(jwks, kid, algs[alg], keys, KEYS, &named);
  MUST(alg < SIGNATURES || !count);
  for (size_t i = 0; i < count && i < KEYS; i++) {
    MUST(keys[i] && (!EVP_PKEY_is_a(keys[i], "RSA") || EVP_PKEY_get_bits(keys[i]) >= 2048));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz in = {data, size};
  struct jwks *jwks = NULL;
  char err[200];
  size_t len;
  char *text = (char *)fuzz_octets(&in, size, &len);
  memset(err, 'x', sizeof err);
  if (jwks_parse(&jwks, text, len, "fuzz", err, sizeof err)) {
    MUST(memchr(err, '\0', sizeof err) && *err && !jwks);
  } else {
    for (size_t i = 0; i < sizeof algs / sizeof *algs; i++) {
      find(jwks, "k1", i);
      find(jwks, NULL, i);
    }
    jwks_unref(jwks_ref(jwks));
    jwks_unref(jwks);
  }
  free(text);
  return 0;
}
