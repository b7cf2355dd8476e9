/*
 * fuzz_jwt.c - libFuzzer: access tokens of issuers
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * An input that begins with "r" is a token as it stands: none may be accepted, since the fuzzer has no key. Any other
 * input is a line of header and the claims, which are signed with the right key, so that the fuzzer gets behind the
 * signature to what a portal with a fault could send.
 */
#include "fuzz.h"

#include "base/base64url.h"
#include "turncredd/jwt/jwt_check.h"

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#define COORDINATE 32 /* octets, P-256 */

static EVP_PKEY *key;
static struct jwks *jwks;
static struct settings settings;

static void add_issuer(const char *url, const char *types, const char *require_claim) {
  struct issuer *issuer = &settings.issuers[settings.issuer_count++];
  strcpy(issuer->name, "fuzz");
  strcpy(issuer->url, url);
  strcpy(issuer->audience, "https://turn.example");
  strcpy(issuer->jwks, "/jwks");
  strcpy(issuer->realms, "*");
  strcpy(issuer->algorithms, "ES256 RS256");
  strcpy(issuer->user_claim, "sub");
  strcpy(issuer->types, types);
  strcpy(issuer->require_claim, require_claim);
  issuer->leeway = 5000;
}

static void start(void) {
  uint8_t point[1 + 2 * COORDINATE];
  char x[BASE64URL_SIZE(COORDINATE)], y[BASE64URL_SIZE(COORDINATE)], set[400], err[200];
  size_t len;
  MUST((key = EVP_EC_gen("P-256")));
  MUST(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &len) && len == sizeof point);
  MUST(!base64url_encode(point + 1, COORDINATE, x, sizeof x) &&
       !base64url_encode(point + 1 + COORDINATE, COORDINATE, y, sizeof y));
  snprintf(set, sizeof set, "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k1\",\"x\":\"%s\",\"y\":\"%s\"}]}",
           x, y);
  MUST(!jwks_parse(&jwks, set, strlen(set), "fuzz", err, sizeof err));
  add_issuer("https://portal.example", "at+jwt", "");
  add_issuer("https://idp.example", "at+jwt JWT", "scope=turn n=7");
}

/* Appends the octets in base64url. */
static void append(char **at, const char *end, const void *octets, size_t len) {
  MUST(!base64url_encode(octets, len, *at, (size_t)(end - *at)));
  *at += strlen(*at);
}

static void sign(char **at, const char *end, const char *token) {
  uint8_t der[80], raw[2 * COORDINATE];
  size_t len = sizeof der;
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  MUST(ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) > 0 &&
       EVP_DigestSign(ctx, der, &len, (const uint8_t *)token, (size_t)(*at - token)) > 0);
  EVP_MD_CTX_free(ctx);
  const uint8_t *p = der;
  ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
  MUST(sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, COORDINATE) == COORDINATE &&
       BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + COORDINATE, COORDINATE) == COORDINATE);
  ECDSA_SIG_free(sig);
  *(*at)++ = '.';
  append(at, end, raw, sizeof raw);
}

/* Is the token accepted of a client that has shown a certificate, or none? */
static bool accepted(const char *token, bool shown, char *out, size_t cap) {
  static const uint8_t certificate[32] = {0};
  bool unknown = false;
  char wrong[JWT_WRONG_MAX];
  memset(out, 'x', cap);
  memset(wrong, 'x', sizeof wrong);
  struct jwt *jwt = jwt_read(token, wrong);
  const struct issuer *issuer = jwt ? jwt_issuer(jwt, &settings, wrong) : NULL;
  struct jwt_against against = {issuer, jwks, shown ? certificate : NULL, FUZZ_NOW};
  int rc = issuer ? jwt_check(jwt, &against, &unknown, wrong, out, cap) : -1;
  jwt_free(jwt);
  MUST(rc ? memchr(wrong, '\0', sizeof wrong) && *wrong : memchr(out, '\0', cap) && *out);
  return !rc;
}

/* Do the claims name a subject, and are they not those of an ID token, which has a nonce? */
static bool access_claims(const char *text) {
  json_t *claims = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
  bool good = json_is_string(json_object_get(claims, "sub")) && !json_object_get(claims, "nonce");
  json_decref(claims);
  return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz in = {data, size};
  char out[64];
  if (!key) {
    start();
  }
  if (size && *data == 'r') {
    fuzz_octet(&in);
    char *token = fuzz_text(&in);
    MUST(!accepted(token, true, out, sizeof out));
    free(token);
    return 0;
  }
  char *header = fuzz_line(&in), *claims = fuzz_text(&in);
  size_t room = 4 * (size + 100);
  char *token = malloc(room), *at = token;
  MUST(token);
  append(&at, token + room, header, strlen(header));
  *at++ = '.';
  append(&at, token + room, claims, strlen(claims));
  sign(&at, token + room, token);
  /* what is accepted has a subject that the claims have, and whoever has no certificate gets no further with one */
  bool with = accepted(token, true, out, sizeof out), without = accepted(token, false, out, sizeof out);
  MUST(!with || access_claims(claims));
  MUST(!without || with);
  free(token);
  free(header);
  free(claims);
  return 0;
}
