/*
 * name.c - names of uses, algorithms, derivations and username formats, as in the database
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core.h"

static const char *const uses[] = {[TURNCRED_USE_TOKEN] = "token",
                                   [TURNCRED_USE_DERIVED] = "derived",
                                   [TURNCRED_USE_REST] = "rest",
                                   [TURNCRED_USE_TAG] = "tag"};
static const char *const algs[] = {
    [TURNCRED_A256GCM] = "A256GCM",   [TURNCRED_A128GCM] = "A128GCM",    [TURNCRED_A256CBC_HS512] = "A256CBC-HS512",
    [TURNCRED_HMAC_SHA1] = "sha1",    [TURNCRED_HMAC_SHA256] = "sha256", [TURNCRED_HMAC_SHA384] = "sha384",
    [TURNCRED_HMAC_SHA512] = "sha512"};
static const char *const derivations[] = {
    [TURNCRED_DERIVATION_NONE] = "none", [TURNCRED_DERIVATION_HKDF_SHA256] = "hkdf-sha256"};
static const char *const formats[] = {[TURNCRED_USER_ID_TIMESTAMP] = "user-id:timestamp",
                                      [TURNCRED_TIMESTAMP_USER_ID] = "timestamp:user-id",
                                      [TURNCRED_EITHER_ORDER] = "either"};

static const char *name_of(const char *const *names, size_t n, size_t i) {
  return i < n && names[i] != NULL ? names[i] : "unknown";
}

/* The index of a name, or n. */
static size_t index_of(const char *const *names, size_t n, const char *name) {
  size_t i;

  for (i = 0; i < n; i++) {
    if (names[i] != NULL && name != NULL && strcmp(names[i], name) == 0) {
      break;
    }
  }
  return i;
}

const char *turncred_use_name(enum turncred_use use) { return name_of(uses, TC_COUNT(uses), (size_t)use); }

enum turncred_err turncred_use_parse(const char *name, enum turncred_use *use) {
  size_t i = index_of(uses, TC_COUNT(uses), name);

  if (name == NULL || use == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (i == TC_COUNT(uses)) {
    return TURNCRED_BAD_ALGORITHM;
  }
  *use = (enum turncred_use)i;
  return TURNCRED_OK;
}

const char *turncred_alg_name(enum turncred_alg alg) {
  return alg == TURNCRED_ALG_NONE ? "none" : name_of(algs, TC_COUNT(algs), (size_t)alg);
}

enum turncred_err turncred_alg_parse(const char *name, enum turncred_alg *alg) {
  size_t i = index_of(algs, TC_COUNT(algs), name);

  if (name == NULL || alg == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (i == TC_COUNT(algs)) {
    return TURNCRED_BAD_ALGORITHM;
  }
  *alg = (enum turncred_alg)i;
  return TURNCRED_OK;
}

const char *turncred_derivation_name(enum turncred_derivation derivation) {
  return name_of(derivations, TC_COUNT(derivations), (size_t)derivation);
}

enum turncred_err turncred_derivation_parse(const char *name, enum turncred_derivation *derivation) {
  size_t i = index_of(derivations, TC_COUNT(derivations), name);

  if (name == NULL || derivation == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (i == TC_COUNT(derivations)) {
    return TURNCRED_BAD_ALGORITHM;
  }
  *derivation = (enum turncred_derivation)i;
  return TURNCRED_OK;
}

const char *turncred_username_format_name(enum turncred_username_format format) {
  return name_of(formats, TC_COUNT(formats), (size_t)format);
}

enum turncred_err turncred_username_format_parse(const char *name, enum turncred_username_format *format) {
  size_t i = index_of(formats, TC_COUNT(formats), name);

  if (name == NULL || format == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (i == TC_COUNT(formats)) {
    return TURNCRED_BAD_ALGORITHM;
  }
  *format = (enum turncred_username_format)i;
  return TURNCRED_OK;
}
