/*
 * jwt_check.c - checks a portal's access token (RFC 9068 section 4)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "jwt_check.h"

#include "base/base64url.h"
#include "core/turncred.h"

#include <jansson.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Decodes base64url without padding into octets that the caller frees. NULL: it is none, or out of memory. */
static uint8_t *decode(const char *text, size_t n, size_t *len) {
  uint8_t *octets = n ? malloc(n) : NULL;
  if (octets && !base64url_decode(text, n, octets, n, len)) {
    return octets;
  }
  free(octets);
  return NULL;
}

/* The JSON object in n octets of base64url. NULL: there is none. */
static json_t *object_of(const char *text, size_t n) {
  size_t len;
  uint8_t *octets = decode(text, n, &len);
  json_t *object = octets ? json_loadb((const char *)octets, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
  free(octets);
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

/* Is the signature right? alg is one of the allowed algorithms, and of the key's kind. */
static bool signed_by(const struct parts *parts, const char *alg, EVP_PKEY *key) {
  const char *name = !strcmp(alg + 2, "256") ? "SHA256" : !strcmp(alg + 2, "384") ? "SHA384" : "SHA512";
  size_t len = 0, input = parts->header_len + 1 + parts->claims_len;
  uint8_t *raw = decode(parts->signature, parts->signature_len, &len), *der = NULL;
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  int der_len = 0;
  bool ec = alg[0] == 'E';
  if (raw && ec) {
    der = ecdsa_der(raw, len, key, &der_len);
  }
  bool ok =
      ctx && raw && (!ec || der) && EVP_DigestVerifyInit_ex(ctx, NULL, name, NULL, NULL, key, NULL) == 1 &&
      EVP_DigestVerify(ctx, ec ? der : raw, ec ? (size_t)der_len : len, (const uint8_t *)parts->header, input) == 1;
  EVP_MD_CTX_free(ctx);
  OPENSSL_free(der);
  free(raw);
  return ok;
}

/* Is the type "at+jwt", or its whole media type (RFC 9068 section 4)? */
static bool access_token(const char *typ) {
  return typ && (!strcasecmp(typ, "at+jwt") || !strcasecmp(typ, "application/at+jwt"));
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

/* Returns NULL, or what is wrong. */
static const char *check_claims(const json_t *claims, const struct settings *s, int64_t now, char *out, size_t cap) {
  const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf");
  const json_t *iat = json_object_get(claims, "iat");
  const char *iss = json_string_value(json_object_get(claims, "iss"));
  const json_t *sub = json_object_get(claims, s->jwt_subject);
  double leeway = (double)s->jwt_leeway / 1000;
  if (!iss || strcmp(iss, s->jwt_issuer) != 0) {
    return "subject_token: iss is not the issuer that this service trusts";
  }
  if (!names(json_object_get(claims, "aud"), s->jwt_audience)) {
    return "subject_token: aud does not name this service";
  }
  if (!json_is_number(exp)) {
    return "subject_token: exp is missing";
  }
  if (json_number_value(exp) + leeway <= (double)now) {
    return "subject_token: it has expired";
  }
  if (nbf && (!json_is_number(nbf) || json_number_value(nbf) - leeway > (double)now)) {
    return "subject_token: it is not yet valid (nbf)";
  }
  if (iat && (!json_is_number(iat) || json_number_value(iat) - leeway > (double)now)) {
    return "subject_token: it was issued in the future (iat)";
  }
  if (!json_is_string(sub) || !json_string_length(sub) || json_string_length(sub) >= cap ||
      strlen(json_string_value(sub)) != json_string_length(sub)) {
    return "subject_token: the claim that names the user is missing, empty or too long";
  }
  memcpy(out, json_string_value(sub), json_string_length(sub) + 1);
  return NULL;
}

const char *jwt_check(const char *token, const struct settings *s, const struct jwks *jwks, int64_t now,
                      bool *unknown_key, char *out, size_t cap) {
  size_t len = strlen(token);
  *unknown_key = false;
  if (len == 0 || len > JWT_TOKEN_MAX) {
    return "subject_token: it is empty or longer than 8192 octets";
  }
  struct parts parts;
  json_t *header = split(token, &parts) ? object_of(parts.header, parts.header_len) : NULL;
  if (!header) {
    return "subject_token: it is not a JWT";
  }
  const char *alg = json_string_value(json_object_get(header, "alg"));
  const char *kid = json_string_value(json_object_get(header, "kid"));
  const char *wrong = NULL;
  EVP_PKEY *key = NULL;
  if (!alg || !settings_has_word(s->jwt_algorithms, alg)) {
    wrong = "subject_token: its algorithm is not allowed here";
  } else if (!access_token(json_string_value(json_object_get(header, "typ")))) {
    wrong = "subject_token: typ must be at+jwt";
  } else if (json_object_get(header, "crit")) {
    wrong = "subject_token: it has critical header parameters";
  } else if (!(key = jwks ? jwks_find(jwks, kid, alg) : NULL)) {
    wrong = "subject_token: its key is not in the issuer's key set";
    *unknown_key = true;
  } else if (!signed_by(&parts, alg, key)) {
    wrong = "subject_token: its signature is wrong";
  }
  json_t *claims = wrong ? NULL : object_of(parts.claims, parts.claims_len);
  if (!wrong) {
    wrong = claims ? check_claims(claims, s, now, out, cap) : "subject_token: it has no claims";
  }
  json_decref(claims);
  json_decref(header);
  return wrong;
}
