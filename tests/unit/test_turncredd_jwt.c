/*
 * test_turncredd_jwt.c - without memory no token is forged and no key of a key set is missing: nothing is known of them
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "testing.h"

#include <stdbool.h>
#include <stdlib.h>

/* the file itself, with allocations that fail */
static long left = -1; /* allocations that work; -1: all */
static void *failing_malloc(size_t size) { return left >= 0 && left-- == 0 ? NULL : malloc(size); }
#define malloc failing_malloc
#include "turncredd/library_memory.c" // NOLINT(bugprone-suspicious-include)
#undef malloc

#include "base/base64url.h"
#include "turncredd/jwt/jwt_check.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#define COORDINATE 32 /* octets, P-256 */
#define NOW 1764000000
#define ALLOCATIONS_MAX 2000

static EVP_PKEY *key;
static char set[600], token[1200];

static void append(char *out, size_t cap, const void *octets, size_t len) {
  size_t n = strlen(out);
  assert_int_equal(base64url_encode(octets, len, out + n, cap - n), 0);
}

static void make_set(void) {
  uint8_t point[1 + 2 * COORDINATE];
  char x[BASE64URL_SIZE(COORDINATE)], y[BASE64URL_SIZE(COORDINATE)];
  size_t len;
  key = EVP_EC_gen("P-256");
  assert_int_equal(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &len), 1);
  assert_int_equal(base64url_encode(point + 1, COORDINATE, x, sizeof x), 0);
  assert_int_equal(base64url_encode(point + 1 + COORDINATE, COORDINATE, y, sizeof y), 0);
  snprintf(set, sizeof set,
           "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\",\"alg\":\"ES256\",\"x\":\"%s\",\"y\":\"%s\"},"
           "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"b\",\"alg\":\"none\",\"x\":\"%s\",\"y\":\"%s\"}]}",
           x, y, x, y);
}

static void make_token(void) {
  static const char header[] = "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"a\"}",
                    claims[] = "{\"iss\":\"https://portal.test\",\"aud\":\"https://turn.test\",\"exp\":2000000000,"
                               "\"sub\":\"alice\",\"scope\":\"openid turn\",\"client\":7,"
                               "\"cnf\":{\"x5t#S256\":\"AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}}";
  uint8_t der[80], raw[2 * COORDINATE];
  size_t len = sizeof der;
  append(token, sizeof token, header, sizeof header - 1);
  strcat(token, ".");
  append(token, sizeof token, claims, sizeof claims - 1);
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
  assert_int_equal(EVP_DigestSign(ctx, der, &len, (const uint8_t *)token, strlen(token)), 1);
  EVP_MD_CTX_free(ctx);
  const uint8_t *p = der;
  ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
  assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, COORDINATE), COORDINATE);
  assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + COORDINATE, COORDINATE), COORDINATE);
  ECDSA_SIG_free(sig);
  strcat(token, ".");
  append(token, sizeof token, raw, sizeof raw);
}

static const struct settings *settings(void) {
  static struct settings s;
  struct issuer *issuer = &s.issuers[0];
  s.issuer_count = 1;
  strcpy(issuer->name, "portal");
  strcpy(issuer->url, "https://portal.test");
  strcpy(issuer->audience, "https://turn.test");
  strcpy(issuer->algorithms, "ES256");
  strcpy(issuer->types, "at+jwt");
  strcpy(issuer->user_claim, "sub");
  strcpy(issuer->require_claim, "scope=turn client=7");
  return &s;
}

static const uint8_t certificate[32] = {1, 2, 3};

static int check(const struct jwks *jwks) {
  char wrong[JWT_WRONG_MAX], user[64];
  bool unknown;
  struct jwt *jwt = jwt_read(token, wrong);
  const struct issuer *issuer = jwt ? jwt_issuer(jwt, settings(), wrong) : NULL;
  struct jwt_against against = {issuer, jwks, certificate, NOW};
  int rc = issuer ? jwt_check(jwt, &against, &unknown, wrong, user, sizeof user) : -1;
  jwt_free(jwt);
  return rc;
}

/* Is the set whole: both keys there, and each for its own algorithm alone? */
static bool whole(const struct jwks *jwks) {
  EVP_PKEY *keys[2];
  bool named = false;
  size_t good = jwks_find(jwks, "a", "ES256", keys, 2, &named);
  bool first = named && good == 1;
  named = false;
  size_t none = jwks_find(jwks, "b", "ES256", keys, 2, &named);
  return first && named && none == 0;
}

static void key_sets(void **state) {
  char err[300];
  int failed = 0;
  long n = 0;
  (void)state;
  for (bool reached = true; reached; n++) {
    struct jwks *jwks = NULL;
    assert_in_range(n, 0, ALLOCATIONS_MAX);
    left = n;
    int rc = jwks_parse(&jwks, set, strlen(set), "test", err, sizeof err);
    reached = left < 0;
    left = -1;
    assert_true(reached || !rc);
    if (rc) {
      assert_non_null(strstr(err, "out of memory"));
      failed++;
    } else {
      assert_true(whole(jwks));
      jwks_unref(jwks);
    }
  }
  assert_true(failed > 20);
}

static void tokens(void **state) {
  struct jwks *jwks;
  char err[300];
  int failed = 0;
  long n = 0;
  (void)state;
  assert_int_equal(jwks_parse(&jwks, set, strlen(set), "test", err, sizeof err), 0);
  assert_int_equal(check(jwks), 0);
  for (bool reached = true; reached; n++) {
    assert_in_range(n, 0, ALLOCATIONS_MAX);
    library_memory_was_short();
    left = n;
    int rc = check(jwks);
    reached = left < 0;
    left = -1;
    assert_true(reached || !rc);
    if (rc) {
      assert_true(library_memory_was_short());
      failed++;
    }
  }
  assert_true(failed > 20);
  token[strlen(token) - 4] ^= 1; /* a forged one is a forged one */
  library_memory_was_short();
  assert_int_equal(check(jwks), -1);
  assert_false(library_memory_was_short());
  jwks_unref(jwks);
}

static int prepare(void **state) {
  (void)state;
  make_set();
  make_token();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(key_sets),
      cmocka_unit_test(tokens),
  };
  assert_true(library_memory_init());
  return cmocka_run_group_tests(tests, prepare, NULL);
}
