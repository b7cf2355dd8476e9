/*
 * key.c - which keys exist, how long they are, and what is derived from them
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core.h"

/* Octets of the encryption key; 0: alg is not an algorithm of tokens. */
static size_t enc_length(enum turncred_alg alg) {
  switch (alg) {
  case TURNCRED_A256GCM:
  case TURNCRED_A256CBC_HS512:
    return 32;
  case TURNCRED_A128GCM:
    return 16;
  default:
    return 0;
  }
}

static bool is_hmac(enum turncred_alg alg) {
  return alg == TURNCRED_HMAC_SHA1 || alg == TURNCRED_HMAC_SHA256 || alg == TURNCRED_HMAC_SHA384 ||
         alg == TURNCRED_HMAC_SHA512;
}

static bool exists(enum turncred_use use, enum turncred_alg alg, enum turncred_derivation derivation) {
  switch (use) {
  case TURNCRED_USE_TOKEN:
    return enc_length(alg) > 0 &&
           (derivation == TURNCRED_DERIVATION_NONE || derivation == TURNCRED_DERIVATION_HKDF_SHA256);
  case TURNCRED_USE_DERIVED:
  case TURNCRED_USE_TAG:
    return alg == TURNCRED_HMAC_SHA256 && derivation == TURNCRED_DERIVATION_NONE;
  case TURNCRED_USE_REST:
    return is_hmac(alg) && derivation == TURNCRED_DERIVATION_NONE;
  default:
    return false;
  }
}

size_t turncred_key_length(enum turncred_use use, enum turncred_alg alg, enum turncred_derivation derivation) {
  if (!exists(use, alg, derivation) || use == TURNCRED_USE_REST) {
    return 0;
  }
  if (use != TURNCRED_USE_TOKEN || derivation == TURNCRED_DERIVATION_HKDF_SHA256) {
    return 32;
  }
  return alg == TURNCRED_A256CBC_HS512 ? 64 : enc_length(alg);
}

/* Derives both keys of a token from one shared key, as 3GPP's text has it. */
static bool derive_token_keys(struct turncred_key *key, const uint8_t *k, size_t k_len) {
  const struct tc_part as_rs = {"AS-RS key", 9};
  const struct tc_part auth = {"AUTH key", 8};

  return tc_hkdf_sha256(NULL, k, k_len, &as_rs, 1, key->enc, key->enc_len) &&
         (key->auth_len == 0 || tc_hkdf_sha256(NULL, k, k_len, &auth, 1, key->auth, key->auth_len));
}

/* The slot decides which memory a verification reads, so it comes from a hash and tells nothing of
 * the key. */
static bool choose_slot(struct turncred_key *key) {
  const struct tc_part parts[] = {{"turncred-slot", 13}, {key->enc, key->enc_len}};
  uint8_t hash[TC_DIGEST_MAX];
  bool ok = tc_hash(NULL, TC_SHA256, parts, TC_COUNT(parts), hash, NULL);

  if (ok) {
    key->slot = tc_get32(hash);
  }
  explicit_bzero(hash, sizeof(hash));
  return ok;
}

static bool init_token_key(struct turncred_key *key, const uint8_t *k, size_t k_len) {
  key->enc_len = (uint16_t)enc_length(key->alg);
  key->auth_len = key->alg == TURNCRED_A256CBC_HS512 ? 32 : 0;
  if (key->derivation == TURNCRED_DERIVATION_HKDF_SHA256) {
    if (!derive_token_keys(key, k, k_len)) {
      return false;
    }
  } else {
    memcpy(key->auth, k, key->auth_len);
    memcpy(key->enc, k + key->auth_len, key->enc_len);
  }
  return choose_slot(key);
}

static enum turncred_err init_rest_key(struct turncred_key *key, enum turncred_alg alg, const uint8_t *secret,
                                       size_t len) {
  uint8_t k[TURNCRED_KEY_MAX];
  size_t k_len = 0;
  enum turncred_err err = turncred_rest_secret(alg, secret, len, k, &k_len);

  if (err == TURNCRED_OK) {
    key->use = TURNCRED_USE_REST;
    key->alg = alg;
    memcpy(key->auth, k, k_len);
    key->auth_len = (uint16_t)k_len;
  }
  explicit_bzero(k, sizeof(k));
  return err;
}

enum turncred_err turncred_key_init(struct turncred_key *key, enum turncred_use use, enum turncred_alg alg,
                                    enum turncred_derivation derivation, const uint8_t *k, size_t k_len) {
  size_t need;

  if (key == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  turncred_key_clear(key);
  if (k == NULL && k_len > 0) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (!exists(use, alg, derivation)) {
    return TURNCRED_BAD_ALGORITHM;
  }
  if (use == TURNCRED_USE_REST) {
    return init_rest_key(key, alg, k, k_len);
  }
  need = turncred_key_length(use, alg, derivation);
  if (k_len == 0 || k_len > TURNCRED_KEY_MAX || k_len != need) {
    return TURNCRED_BAD_KEY;
  }
  key->use = use;
  key->alg = alg;
  key->derivation = derivation;
  if (use != TURNCRED_USE_TOKEN) {
    memcpy(key->auth, k, k_len);
    key->auth_len = (uint16_t)k_len;
  } else if (!init_token_key(key, k, k_len)) {
    turncred_key_clear(key);
    return TURNCRED_CRYPTO;
  }
  return TURNCRED_OK;
}

void turncred_key_clear(struct turncred_key *key) { turncred_cleanse(key, sizeof(*key)); }
