/*
 * jwks.c - public keys of an authorization server (RFC 7517)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "jwks.h"

#include "base/base64url.h"
#include "turncredd/library_memory.h"
#include "turncredd/log.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 64

struct jwk {
  char *kid;              /* NULL: the key has none */
  char *alg;              /* NULL: any algorithm of its kind */
  const char *kind;       /* the beginning of its algorithms' names: "RS", "ES256", "EdDSA" */
  const char *other_kind; /* the same key serves these too: "PS", "Ed25519"; NULL: none */
  EVP_PKEY *pkey;
};

struct jwks {
  atomic_uint refs;
  struct jwk keys[KEYS_MAX];
  size_t count, left_out;
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

/* Edwards curves (RFC 8037). */
static EVP_PKEY *okp(const json_t *key, const char *curve) {
  const char *x = json_string_value(json_object_get(key, "x"));
  uint8_t octets[64];
  size_t len;
  if (!x || base64url_decode(x, strlen(x), octets, sizeof octets, &len)) {
    return NULL;
  }
  return EVP_PKEY_new_raw_public_key_ex(NULL, curve, NULL, octets, len);
}

/* Do use and key_ops (RFC 7517 sections 4.2 and 4.3) let the key check signatures? */
static bool for_signatures(const json_t *key) {
  const char *use = json_string_value(json_object_get(key, "use"));
  const json_t *ops = json_object_get(key, "key_ops"), *op;
  size_t i;
  bool verify = !json_is_array(ops);
  json_array_foreach(ops, i, op) {
    const char *name = json_string_value(op);
    verify |= name && !strcmp(name, "verify");
  }
  return verify && (!use || !strcmp(use, "sig"));
}

/* Adds a key to the set. False: it cannot be used. */
static bool take(struct jwks *jwks, const json_t *key) {
  struct jwk made = {NULL, NULL, NULL, NULL, NULL}, *jwk = &made;
  const char *kty = json_string_value(json_object_get(key, "kty"));
  const char *kid = json_string_value(json_object_get(key, "kid"));
  const char *alg = json_string_value(json_object_get(key, "alg"));
  const char *crv = json_string_value(json_object_get(key, "crv"));
  if (!kty || !for_signatures(key)) {
    return false;
  }
  if (!strcmp(kty, "RSA")) {
    jwk->kind = "RS";
    jwk->other_kind = "PS";
    jwk->pkey = rsa(key);
  }
  if (!strcmp(kty, "OKP") && crv && (!strcmp(crv, "Ed25519") || !strcmp(crv, "Ed448"))) {
    jwk->kind = "EdDSA";
    jwk->other_kind = !strcmp(crv, "Ed448") ? "Ed448" : "Ed25519"; /* RFC 9864 */
    jwk->pkey = okp(key, crv);
  }
  for (size_t i = 0; crv && !strcmp(kty, "EC") && i < sizeof curves / sizeof *curves; i++) {
    if (!strcmp(crv, curves[i].name)) {
      jwk->kind = curves[i].alg;
      jwk->pkey = ec(key, &curves[i]);
    }
  }
  if (!jwk->pkey) {
    return false;
  }
  if (jwks->count == KEYS_MAX) {
    jwks->left_out++;
    EVP_PKEY_free(jwk->pkey);
    return false;
  }
  jwk->kid = kid ? OPENSSL_strdup(kid) : NULL;
  jwk->alg = alg ? OPENSSL_strdup(alg) : NULL;
  jwks->keys[jwks->count++] = made;
  return true;
}

/* What is wrong with a set that has no usable key. */
static void explain(const json_t *set, const json_error_t *why, const char *where, char *err, size_t cap) {
  if (!set) {
    snprintf(err, cap, "jwks: %.300s is no JWK set: it is not JSON: line %d, column %d: %.160s", where, why->line,
             why->column, why->text);
  } else if (json_is_array(set)) {
    snprintf(err, cap, "jwks: %.300s is no JWK set: it is a list; a set is {\"keys\": [...]} (RFC 7517 section 5)",
             where);
  } else if (json_object_get(set, "kty")) {
    snprintf(err, cap, "jwks: %.300s is no JWK set: it is one key; a set is {\"keys\": [...]} (RFC 7517 section 5)",
             where);
  } else if (!json_is_array(json_object_get(set, "keys"))) {
    snprintf(err, cap, "jwks: %.300s is no JWK set: it has no list \"keys\" (RFC 7517 section 5)", where);
  } else {
    snprintf(err, cap,
             "jwks: %.300s holds no RSA key of 2048 bits, EC key (P-256, P-384, P-521) or Edwards key (Ed25519, "
             "Ed448) for signatures",
             where);
  }
}

int jwks_parse(struct jwks **out, const char *text, size_t len, const char *where, char *err, size_t cap) {
  static atomic_size_t told; /* keys that were left out when it was logged last */
  json_error_t why = {.line = 0};
  size_t i;
  json_t *key;
  if (len > JWKS_OCTETS_MAX) {
    snprintf(err, cap, "jwks: %.300s is larger than %d octets", where, JWKS_OCTETS_MAX);
    return -1;
  }
  if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) { /* RFC 8259 section 8.1 lets a byte order mark be ignored */
    text += 3;
    len -= 3;
  }
  library_memory_was_short();
  json_t *set = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
  struct jwks *jwks = OPENSSL_zalloc(sizeof *jwks);
  if (jwks) {
    atomic_init(&jwks->refs, 1);
    json_array_foreach(json_object_get(set, "keys"), i, key) { take(jwks, key); }
  }
  /* a key that is missing, or has no alg, for want of memory would be a key that is unknown, or serves too much */
  bool no_memory = library_memory_was_short(), good = jwks && jwks->count && !no_memory;
  if (no_memory) {
    snprintf(err, cap, "jwks: %.300s: out of memory", where);
    jwks_unref(jwks);
  } else if (!good) {
    explain(set, &why, where, err, cap);
    jwks_unref(jwks);
  } else {
    if (jwks->left_out && atomic_exchange(&told, jwks->left_out) != jwks->left_out) {
      log_line(LOG_WARNING, "jwks: %.300s holds more than %d usable keys: the last %zu are left out", where, KEYS_MAX,
               jwks->left_out);
    }
    *out = jwks;
  }
  json_decref(set);
  return good ? 0 : -1;
}

int jwks_read(struct jwks **out, const char *path, char *err, size_t cap) {
  FILE *file = fopen(path, "re");
  char *text = file ? malloc(JWKS_OCTETS_MAX + 1) : NULL;
  size_t n = text ? fread(text, 1, JWKS_OCTETS_MAX + 1, file) : 0;
  int rc = -1;
  if (!text || ferror(file)) {
    snprintf(err, cap, "jwks: %.300s cannot be read: %s", path, strerror(errno));
  } else {
    rc = jwks_parse(out, text, n, path, err, cap);
  }
  if (file) {
    fclose(file);
  }
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
    OPENSSL_free(jwks->keys[i].kid);
    OPENSSL_free(jwks->keys[i].alg);
    EVP_PKEY_free(jwks->keys[i].pkey);
  }
  OPENSSL_free(jwks);
}

static bool fits(const struct jwk *key, const char *alg) {
  bool kind = !strncmp(alg, key->kind, strlen(key->kind)) ||
              (key->other_kind && !strncmp(alg, key->other_kind, strlen(key->other_kind)));
  return kind && (!key->alg || !strcmp(key->alg, alg));
}

size_t jwks_find(const struct jwks *jwks, const char *kid, const char *alg, EVP_PKEY **keys, size_t max, bool *named) {
  size_t count = 0;
  *named = false;
  for (int without = 0; without < 2; without++) {
    for (size_t i = 0; i < jwks->count; i++) {
      const struct jwk *key = &jwks->keys[i];
      bool same = kid && key->kid && !strcmp(key->kid, kid);
      *named |= same;
      if (!fits(key, alg) || (kid ? (without ? key->kid != NULL : !same) : without)) {
        continue;
      }
      if (count < max) {
        keys[count] = key->pkey;
      }
      count++;
    }
  }
  return count;
}
