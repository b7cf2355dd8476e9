/*
 * jwt_check.c - checks a user's access token of an issuer (RFC 9068 section 4)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "jwt_check.h"

#include "base/base64url.h"
#include "base/words.h"
#include "core/turncred.h"

#include <jansson.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Decodes base64url without padding into octets that the caller frees. NULL: it is none, or out of memory. */
static uint8_t *decode(const char *text, size_t n, size_t *len) {
  uint8_t *octets = n ? OPENSSL_malloc(n) : NULL; /* as jansson's and OpenSSL's own: library_memory.h */
  if (octets && !base64url_decode(text, n, octets, n, len)) {
    return octets;
  }
  OPENSSL_free(octets);
  return NULL;
}

/* The JSON object in n octets of base64url. NULL: there is none. */
static json_t *object_of(const char *text, size_t n) {
  size_t len;
  uint8_t *octets = decode(text, n, &len);
  json_t *object = octets ? json_loadb((const char *)octets, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
  OPENSSL_free(octets);
  if (json_is_object(object)) {
    return object;
  }
  json_decref(object);
  return NULL;
}

/* The parts of a compact JWS (RFC 7515 section 7.1). */
struct parts {
  const char *header, *claims, *signature;
  size_t header_len, claims_len, signature_len;
};

/* False: the token has not three parts. */
static bool split(const char *token, struct parts *parts) {
  const char *first = strchr(token, '.'), *second = first ? strchr(first + 1, '.') : NULL;
  if (!second || strchr(second + 1, '.')) {
    return false;
  }
  *parts = (struct parts){
      token, first + 1, second + 1, (size_t)(first - token), (size_t)(second - first - 1), strlen(second + 1)};
  return true;
}

/* Makes DER, which OpenSSL takes, from an ECDSA signature in which R stands beside S (RFC 7518 section 3.4). NULL: the
 * length is wrong. */
static uint8_t *ecdsa_der(const uint8_t *raw, size_t len, const EVP_PKEY *key, int *der_len) {
  int half = (EVP_PKEY_get_bits(key) + 7) / 8;
  ECDSA_SIG *sig = ECDSA_SIG_new();
  uint8_t *der = NULL;
  *der_len = 0;
  if (sig && len == 2 * (size_t)half) {
    BIGNUM *r = BN_bin2bn(raw, half, NULL), *s = BN_bin2bn(raw + half, half, NULL);
    if (r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
      *der_len = i2d_ECDSA_SIG(sig, &der);
    } else {
      BN_free(r);
      BN_free(s);
    }
  }
  ECDSA_SIG_free(sig);
  return *der_len > 0 ? der : NULL;
}

/* Sets how the algorithm pads, where it does. */
static bool set_padding(EVP_PKEY_CTX *ctx, const char *alg) {
  if (alg[0] != 'P') {
    return true;
  }
  return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1; /* RFC 7518 section 3.5 */
}

/* Is the signature right? alg is one of the allowed algorithms, and of the key's kind. */
static bool signed_by(const struct parts *parts, const char *alg, EVP_PKEY *key) {
  bool edwards = !strncmp(alg, "Ed", 2), ec = !edwards && alg[0] == 'E';
  const char *name = edwards                   ? NULL
                     : !strcmp(alg + 2, "256") ? "SHA256"
                     : !strcmp(alg + 2, "384") ? "SHA384"
                                               : "SHA512";
  size_t len = 0, input = parts->header_len + 1 + parts->claims_len;
  uint8_t *raw = decode(parts->signature, parts->signature_len, &len), *der = NULL;
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  EVP_PKEY_CTX *key_ctx = NULL;
  int der_len = 0;
  if (raw && ec) {
    der = ecdsa_der(raw, len, key, &der_len);
  }
  bool ok =
      ctx && raw && (!ec || der) && EVP_DigestVerifyInit_ex(ctx, &key_ctx, name, NULL, NULL, key, NULL) == 1 &&
      set_padding(key_ctx, alg) &&
      EVP_DigestVerify(ctx, ec ? der : raw, ec ? (size_t)der_len : len, (const uint8_t *)parts->header, input) == 1;
  EVP_MD_CTX_free(ctx);
  OPENSSL_free(der);
  OPENSSL_free(raw);
  return ok;
}

/* Is the audience the claim, or in the claim's list? */
static bool names(const json_t *aud, const char *audience) {
  size_t i;
  json_t *one;
  if (json_is_string(aud)) {
    return !strcmp(json_string_value(aud), audience);
  }
  json_array_foreach(aud, i, one) {
    if (json_is_string(one) && !strcmp(json_string_value(one), audience)) {
      return true;
    }
  }
  return false;
}

static int fail(char wrong[JWT_WRONG_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));
static int fail(char wrong[JWT_WRONG_MAX], const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(wrong, JWT_WRONG_MAX, format, args);
  va_end(args);
  return -1;
}

/* A claim as JSON; the caller frees it. */
static char *shown(const json_t *claim) {
  return claim ? json_dumps(claim, JSON_COMPACT | JSON_ENCODE_ANY) : strdup("missing");
}

/* Do two texts differ in a slash at the end alone? */
static bool slash_apart(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b);
  return (n == m + 1 && a[m] == '/' && !strncmp(a, b, m)) || (m == n + 1 && b[n] == '/' && !strncmp(a, b, n));
}

/* Says which value a claim has, and which the issuer's setting wants. */
static int fail_claim(char wrong[JWT_WRONG_MAX], const char *name, const json_t *claim, const struct issuer *issuer,
                      const char *setting, const char *wanted) {
  char *value = shown(claim);
  bool slash = json_is_string(claim) && slash_apart(json_string_value(claim), wanted);
  int rc =
      fail(wrong, "%.100s is %.300s, and this service wants \"%.300s\" (%s of [issuer %s])%s", name, value ? value : "",
           wanted, setting, issuer->name, slash ? ": they differ in the slash at the end" : "");
  free(value);
  return rc;
}

/* The times of the token (seconds since 1970), with the leeway of the settings. A fresh token that fails here shows
 * that two clocks differ. */
static int check_times(const json_t *claims, double leeway, int64_t now, char wrong[JWT_WRONG_MAX]) {
  static const char *const begins[][2] = {{"nbf", "it is not yet valid"}, {"iat", "it was issued in the future"}};
  static const char remedy[] = "run NTP here and at the token's issuer, or raise leeway";
  const json_t *exp = json_object_get(claims, "exp");
  if (!json_is_number(exp)) {
    return fail(wrong, "exp is missing");
  }
  if (json_number_value(exp) + leeway <= (double)now) {
    return fail(wrong, "it has expired (exp), %.0f s ago: get a new one; if it is new, the clocks differ: %s",
                (double)now - json_number_value(exp), remedy);
  }
  for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
    const json_t *begin = json_object_get(claims, begins[i][0]);
    if (begin && !json_is_number(begin)) {
      return fail(wrong, "%s is no number", begins[i][0]);
    }
    if (begin && json_number_value(begin) - leeway > (double)now) {
      return fail(wrong, "%s (%s), %.0f s ahead of this machine's clock: %s", begins[i][1], begins[i][0],
                  json_number_value(begin) - (double)now, remedy);
    }
  }
  return 0;
}

/* Is the value this text, or does a list, or a scope (RFC 8693 section 4.2), have it? */
static bool has_value(const char *name, const json_t *claim, const char *value) {
  if (json_is_string(claim) && (!strcmp(name, "scope") || !strcmp(name, "scp"))) {
    return words_have(json_string_value(claim), value);
  }
  if (json_is_string(claim) || json_is_array(claim)) {
    return names(claim, value);
  }
  char *text = json_is_object(claim) || !claim ? NULL : json_dumps(claim, JSON_COMPACT | JSON_ENCODE_ANY);
  bool same = text && !strcmp(text, value); /* numbers, true, false */
  free(text);
  return same;
}

/* Has the token all claims of require_claim? */
static int check_required(const json_t *claims, const struct issuer *issuer, char wrong[JWT_WRONG_MAX]) {
  char list[CONF_VALUE_MAX], *save = NULL;
  memcpy(list, issuer->require_claim, sizeof list);
  for (char *word = strtok_r(list, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
    char *value = strchr(word, '='); /* the settings have been checked */
    *value++ = '\0';
    const json_t *claim = json_object_get(claims, word);
    if (!has_value(word, claim, value)) {
      return fail_claim(wrong, word, claim, issuer, "require_claim", value);
    }
  }
  return 0;
}

/* Is it an access token? ID tokens (OpenID Connect Core 1.0 sections 2 and 3.3.2.11) are for the client alone. */
static int check_no_id_token(const json_t *claims, char wrong[JWT_WRONG_MAX]) {
  static const char *const marks[] = {"nonce", "at_hash", "c_hash", "s_hash"};
  for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
    if (json_object_get(claims, marks[i])) {
      return fail(wrong, "it has the claim %s, so it is an ID token: send the access token", marks[i]);
    }
  }
  return 0;
}

/* Has the client proved that it may use the token? A bearer token has no cnf (RFC 7800). */
static int check_proof(const json_t *claims, const uint8_t *certificate, char wrong[JWT_WRONG_MAX]) {
  json_t *cnf = json_object_get(claims, "cnf");
  const char *thumbprint = json_string_value(json_object_get(cnf, "x5t#S256")), *kind;
  char shown_one[BASE64URL_SIZE(32)] = "";
  json_t *value;
  if (!cnf) {
    return 0;
  }
  if (!json_object_size(cnf)) {
    return fail(wrong, "cnf is no object that names a proof of possession");
  }
  json_object_foreach(cnf, kind, value) {
    if (strcmp(kind, "x5t#S256") != 0) {
      return fail(wrong, "cnf wants a proof of possession by %.60s, and this service checks x5t#S256 (RFC 8705) alone",
                  kind);
    }
  }
  if (!certificate) {
    return fail(wrong, "cnf binds it to a client certificate (x5t#S256), and the client has shown none in TLS");
  }
  if (base64url_encode(certificate, 32, shown_one, sizeof shown_one) || !thumbprint ||
      strcmp(thumbprint, shown_one) != 0) {
    return fail(wrong, "cnf binds it to another client certificate (x5t#S256) than the one that was shown in TLS");
  }
  return 0;
}

static int check_claims(const json_t *claims, const struct jwt_against *against, char wrong[JWT_WRONG_MAX], char *out,
                        size_t cap) {
  const struct issuer *issuer = against->issuer;
  const json_t *aud = json_object_get(claims, "aud"), *sub = json_object_get(claims, issuer->user_claim);
  if (check_no_id_token(claims, wrong)) {
    return -1;
  }
  if (!names(aud, issuer->audience)) {
    return fail_claim(wrong, "aud", aud, issuer, "audience", issuer->audience);
  }
  if (check_times(claims, (double)issuer->leeway / 1000, against->now, wrong) ||
      check_required(claims, issuer, wrong) || check_proof(claims, against->certificate, wrong)) {
    return -1;
  }
  if (!json_is_string(sub) || !json_string_length(sub) || json_string_length(sub) >= cap ||
      strlen(json_string_value(sub)) != json_string_length(sub)) {
    return fail(wrong,
                "the claim that names the user (%.100s, user_claim of [issuer %s]) is missing, empty or too long",
                issuer->user_claim, issuer->name);
  }
  memcpy(out, json_string_value(sub), json_string_length(sub) + 1);
  return 0;
}

/* Tries the keys that fit. */
static int check_signature(const struct parts *parts, const char *alg, const char *kid, const struct jwks *jwks,
                           bool *unknown_key, char wrong[JWT_WRONG_MAX]) {
  EVP_PKEY *keys[JWT_KEYS_TRIED];
  bool named = false;
  size_t count = jwks ? jwks_find(jwks, kid, alg, keys, JWT_KEYS_TRIED, &named) : 0;
  for (size_t i = 0; i < count && i < JWT_KEYS_TRIED; i++) {
    if (signed_by(parts, alg, keys[i])) {
      return 0;
    }
  }
  *unknown_key = !named; /* under the kid that it names the signature is wrong for good */
  if (!count) {
    return fail(wrong, named ? "the key that it names is for another algorithm than it names"
                             : "its key is not in the issuer's key set (jwks): give turncredd the set that has it");
  }
  if (count > JWT_KEYS_TRIED) {
    return fail(wrong, "its signature is wrong under the first %d of %zu keys that fit; keys need a kid each",
                JWT_KEYS_TRIED, count);
  }
  return kid ? fail(wrong, "its signature is wrong under the key of its kid in the issuer's key set (jwks)")
             : fail(wrong, "it names no kid, and its signature is wrong under each of the %zu keys that fit", count);
}

struct jwt {
  struct parts parts;
  json_t *header, *claims;
};

void jwt_free(struct jwt *jwt) {
  if (jwt) {
    json_decref(jwt->header);
    json_decref(jwt->claims);
    OPENSSL_free(jwt);
  }
}

struct jwt *jwt_read(const char *token, char wrong[JWT_WRONG_MAX]) {
  size_t len = strlen(token);
  *wrong = '\0';
  if (len == 0 || len > JWT_TOKEN_MAX) {
    fail(wrong, "it is empty or longer than %d octets", JWT_TOKEN_MAX);
    return NULL;
  }
  struct jwt *jwt = OPENSSL_zalloc(sizeof *jwt);
  if (jwt && split(token, &jwt->parts)) {
    jwt->header = object_of(jwt->parts.header, jwt->parts.header_len);
    jwt->claims = jwt->header ? object_of(jwt->parts.claims, jwt->parts.claims_len) : NULL;
  }
  if (jwt && jwt->claims) {
    return jwt;
  }
  fail(wrong, jwt && jwt->header ? "it has no claims"
                                 : "it is not a JWT (opaque tokens, such as Google's, cannot be checked here)");
  jwt_free(jwt);
  return NULL;
}

/* Writes the urls of all issuers into out, as many as there is room for. */
static void list_urls(const struct settings *s, char *out, size_t cap) {
  size_t n = 0;
  *out = '\0';
  for (size_t i = 0; i < s->issuer_count && n + strlen(s->issuers[i].url) + 8 < cap; i++) {
    n += (size_t)snprintf(out + n, cap - n, "%s\"%s\"", i ? " or " : "", s->issuers[i].url);
  }
}

const struct issuer *jwt_issuer(const struct jwt *jwt, const struct settings *s, char wrong[JWT_WRONG_MAX]) {
  const json_t *iss = json_object_get(jwt->claims, "iss");
  const char *url = json_string_value(iss);
  const struct issuer *issuer = url ? settings_issuer(s, url) : NULL;
  char urls[500];
  if (issuer) {
    return issuer;
  }
  for (size_t i = 0; i < s->issuer_count; i++) {
    if (s->issuer_count == 1 || (url && slash_apart(url, s->issuers[i].url))) {
      fail_claim(wrong, "iss", iss, &s->issuers[i], "url", s->issuers[i].url);
      return NULL;
    }
  }
  char *value = shown(iss);
  list_urls(s, urls, sizeof urls);
  fail(wrong, "iss is %.300s, and this service wants %s (url in its sections [issuer NAME])", value ? value : "", urls);
  free(value);
  return NULL;
}

/* Is the token of a type that the issuer's access tokens have? The prefix of media types may be left out (RFC 7515
 * section 4.1.9). */
static int check_type(const struct jwt *jwt, const struct issuer *issuer, char wrong[JWT_WRONG_MAX]) {
  const json_t *typ = json_object_get(jwt->header, "typ");
  const char *name = json_string_value(typ);
  if (name && !strncasecmp(name, "application/", 12)) {
    name += 12;
  }
  if (name && *name && words_have_nocase(issuer->types, name)) {
    return 0;
  }
  fail_claim(wrong, "typ", typ, issuer, "types", issuer->types);
  size_t n = strlen(wrong);
  if (name && !strcasecmp(name, "JWT")) {
    snprintf(wrong + n, JWT_WRONG_MAX - n,
             ": the issuer may write at+jwt where it is told to, else types may have JWT");
  }
  return -1;
}

int jwt_check(const struct jwt *jwt, const struct jwt_against *against, bool *unknown_key, char wrong[JWT_WRONG_MAX],
              char *out, size_t cap) {
  const struct issuer *issuer = against->issuer;
  const char *alg = json_string_value(json_object_get(jwt->header, "alg"));
  *unknown_key = false;
  *wrong = '\0';
  if (!alg || !words_have(issuer->algorithms, alg)) {
    return fail_claim(wrong, "alg", json_object_get(jwt->header, "alg"), issuer, "algorithms", issuer->algorithms);
  }
  if (check_type(jwt, issuer, wrong)) {
    return -1;
  }
  if (json_object_get(jwt->header, "crit")) {
    return fail(wrong, "it has critical header parameters (crit), and this service knows none");
  }
  const char *kid = json_string_value(json_object_get(jwt->header, "kid"));
  if (check_signature(&jwt->parts, alg, kid, against->jwks, unknown_key, wrong)) {
    return -1;
  }
  return check_claims(jwt->claims, against, wrong, out, cap);
}
