/*
 * jwks.c - public keys of an authorization server (RFC 7517)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "jwks.h"

#include "base/base64url.h"

#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 64

struct jwk {
  char *kid;    /* NULL: the key has none */
  char *alg;    /* NULL: any algorithm of its kind */
  char kind[8]; /* "RS", "ES256", ...: the beginning of its algorithms' names */
  EVP_PKEY *pkey;
};

struct jwks {
  atomic_uint refs;
  struct jwk keys[KEYS_MAX];
  size_t count;
};

/* The number in a member of a key. NULL: there is none. */
static BIGNUM *number(const json_t *key, const char *member) {
  const char *text = json_string_value(json_object_get(key, member));
  uint8_t octets[1536];
  size_t n = text ? strlen(text) : 0, len;
  if (!n || base64url_decode(text, n, octets, sizeof octets, &len)) {
    return NULL;
  }
  return BN_bin2bn(octets, (int)len, NULL);
}

static EVP_PKEY *key_of(const char *type, OSSL_PARAM *params) {
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
  EVP_PKEY *pkey = NULL;
  if (!ctx || !params || EVP_PKEY_fromdata_init(ctx) != 1 ||
      EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1 ||
      (!strcmp(type, "RSA") && EVP_PKEY_get_bits(pkey) < 2048)) {
    EVP_PKEY_free(pkey);
    pkey = NULL;
  }
  EVP_PKEY_CTX_free(ctx);
  return pkey;
}

static EVP_PKEY *rsa(const json_t *key) {
  BIGNUM *n = number(key, "n"), *e = number(key, "e");
  OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
  OSSL_PARAM *params = NULL;
  if (n && e && bld && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) &&
      OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e)) {
    params = OSSL_PARAM_BLD_to_param(bld);
  }
  EVP_PKEY *pkey = key_of("RSA", params);
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(bld);
  BN_free(n);
  BN_free(e);
  return pkey;
}

static const struct curve {
  const char *name, *group, *alg;
  int octets;
} curves[] = {
    {"P-256", "prime256v1", "ES256", 32}, {"P-384", "secp384r1", "ES384", 48}, {"P-521", "secp521r1", "ES512", 66}};

static EVP_PKEY *ec(const json_t *key, const struct curve *curve) {
  BIGNUM *x = number(key, "x"), *y = number(key, "y");
  OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
  OSSL_PARAM *params = NULL;
  uint8_t point[1 + 2 * 66] = {POINT_CONVERSION_UNCOMPRESSED};
  if (x && y && bld && BN_bn2binpad(x, point + 1, curve->octets) == curve->octets &&
      BN_bn2binpad(y, point + 1 + curve->octets, curve->octets) == curve->octets &&
      OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) &&
      OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, (size_t)(1 + 2 * curve->octets))) {
    params = OSSL_PARAM_BLD_to_param(bld);
  }
  EVP_PKEY *pkey = key_of("EC", params);
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(bld);
  BN_free(x);
  BN_free(y);
  return pkey;
}

/* Adds a key to the set. False: it cannot be used. */
static bool take(struct jwks *jwks, const json_t *key) {
  struct jwk *jwk = &jwks->keys[jwks->count];
  const char *kty = json_string_value(json_object_get(key, "kty"));
  const char *use = json_string_value(json_object_get(key, "use"));
  const char *kid = json_string_value(json_object_get(key, "kid"));
  const char *alg = json_string_value(json_object_get(key, "alg"));
  const char *crv = json_string_value(json_object_get(key, "crv"));
  if (!kty || (use && strcmp(use, "sig") != 0) || jwks->count == KEYS_MAX) {
    return false;
  }
  if (!strcmp(kty, "RSA")) {
    strcpy(jwk->kind, "RS");
    jwk->pkey = rsa(key);
  }
  for (size_t i = 0; crv && !strcmp(kty, "EC") && i < sizeof curves / sizeof *curves; i++) {
    if (!strcmp(crv, curves[i].name)) {
      strcpy(jwk->kind, curves[i].alg);
      jwk->pkey = ec(key, &curves[i]);
    }
  }
  if (!jwk->pkey) {
    return false;
  }
  jwk->kid = kid ? strdup(kid) : NULL;
  jwk->alg = alg ? strdup(alg) : NULL;
  jwks->count++;
  return true;
}

int jwks_parse(struct jwks **out, const char *text, size_t len, const char *where, char *err, size_t cap) {
  json_t *set = len && len <= JWKS_OCTETS_MAX ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
  struct jwks *jwks = calloc(1, sizeof *jwks);
  size_t i;
  json_t *key;
  if (jwks) {
    atomic_init(&jwks->refs, 1);
    json_array_foreach(json_object_get(set, "keys"), i, key) { take(jwks, key); }
  }
  json_decref(set);
  if (!jwks || !jwks->count) {
    jwks_unref(jwks);
    snprintf(err, cap,
             "jwt_jwks: %.300s cannot be read, is no JWK set of at most %d octets, or holds no RSA key "
             "of 2048 bits or EC key for signatures",
             where, JWKS_OCTETS_MAX);
    return -1;
  }
  *out = jwks;
  return 0;
}

int jwks_read(struct jwks **out, const char *path, char *err, size_t cap) {
  FILE *file = fopen(path, "re");
  char *text = file ? malloc(JWKS_OCTETS_MAX + 1) : NULL;
  size_t n = text ? fread(text, 1, JWKS_OCTETS_MAX + 1, file) : 0;
  if (file) {
    fclose(file);
  }
  int rc = jwks_parse(out, text ? text : "", n, path, err, cap);
  free(text);
  return rc;
}

struct jwks *jwks_ref(struct jwks *jwks) {
  if (jwks) {
    atomic_fetch_add(&jwks->refs, 1);
  }
  return jwks;
}

void jwks_unref(struct jwks *jwks) {
  if (!jwks || atomic_fetch_sub(&jwks->refs, 1) != 1) {
    return;
  }
  for (size_t i = 0; i < jwks->count; i++) {
    free(jwks->keys[i].kid);
    free(jwks->keys[i].alg);
    EVP_PKEY_free(jwks->keys[i].pkey);
  }
  free(jwks);
}

EVP_PKEY *jwks_find(const struct jwks *jwks, const char *kid, const char *alg) {
  if (!kid && jwks->count != 1) {
    return NULL;
  }
  for (size_t i = 0; i < jwks->count; i++) {
    const struct jwk *k = &jwks->keys[i];
    bool named = !kid || (k->kid && !strcmp(k->kid, kid));
    if (named && !strncmp(alg, k->kind, strlen(k->kind)) && (!k->alg || !strcmp(k->alg, alg))) {
      return k->pkey;
    }
  }
  return NULL;
}
