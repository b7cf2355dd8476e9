/*
 * digest.c - digests and HMAC without heap allocation
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * OpenSSL 3.0's EVP_DigestInit_ex2 and EVP_MAC_init allocate at every call, even on a context that
 * is used again. So the digest is fetched through EVP, as the configuration of OpenSSL says, and
 * its context is driven through the provider's own functions (provider-digest(7)), which do not
 * allocate once the context exists.
 */
#include "core.h"

#include <openssl/provider.h>

static const char *const names[TC_DIGESTS] = {[TC_MD5] = "MD5",
                                              [TC_SHA1] = "SHA1",
                                              [TC_SHA256] = "SHA256",
                                              [TC_SHA384] = "SHA384",
                                              [TC_SHA512] = "SHA512"};

/* Is name one of the names in "A:B:C"? */
static bool listed(const char *list, const char *name) {
  size_t len = strlen(name);

  while (list != NULL) {
    if (OPENSSL_strncasecmp(list, name, len) == 0 && (list[len] == ':' || list[len] == '\0')) {
      return true;
    }
    list = strchr(list, ':');
    if (list != NULL) {
      list++;
    }
  }
  return false;
}

static void bind_functions(struct tc_digest *d, const OSSL_DISPATCH *fn, void *provctx) {
  OSSL_FUNC_digest_newctx_fn *newctx = NULL;

  for (; fn->function_id != 0; fn++) {
    switch (fn->function_id) {
    case OSSL_FUNC_DIGEST_NEWCTX:
      newctx = OSSL_FUNC_digest_newctx(fn);
      break;
    case OSSL_FUNC_DIGEST_INIT:
      d->init = OSSL_FUNC_digest_init(fn);
      break;
    case OSSL_FUNC_DIGEST_UPDATE:
      d->update = OSSL_FUNC_digest_update(fn);
      break;
    case OSSL_FUNC_DIGEST_FINAL:
      d->final = OSSL_FUNC_digest_final(fn);
      break;
    case OSSL_FUNC_DIGEST_FREECTX:
      d->freectx = OSSL_FUNC_digest_freectx(fn);
      break;
    default:
      break;
    }
  }
  if (newctx != NULL && d->init != NULL && d->update != NULL && d->final != NULL &&
      d->freectx != NULL) {
    d->ctx = newctx(provctx);
  }
}

bool tc_digest_open(struct tc_digest *d, enum tc_digest_id id) {
  const OSSL_PROVIDER *prov;
  const OSSL_ALGORITHM *algs;
  const OSSL_ALGORITHM *a;
  int no_cache = 0;

  memset(d, 0, sizeof(*d));
  d->md = EVP_MD_fetch(NULL, names[id], NULL);
  prov = d->md != NULL ? EVP_MD_get0_provider(d->md) : NULL;
  if (prov == NULL) {
    tc_digest_close(d);
    return false;
  }
  d->size = (size_t)EVP_MD_get_size(d->md);
  d->block = (size_t)EVP_MD_get_block_size(d->md);
  algs = OSSL_PROVIDER_query_operation(prov, OSSL_OP_DIGEST, &no_cache);
  for (a = algs; a != NULL && a->algorithm_names != NULL; a++) {
    if (listed(a->algorithm_names, names[id])) {
      bind_functions(d, a->implementation, OSSL_PROVIDER_get0_provider_ctx(prov));
      break;
    }
  }
  if (algs != NULL) {
    OSSL_PROVIDER_unquery_operation(prov, OSSL_OP_DIGEST, algs);
  }
  if (d->ctx == NULL || d->size > TC_DIGEST_MAX || d->block > TC_BLOCK_MAX ||
      d->block < TURNCRED_KEY_MAX) {
    tc_digest_close(d);
    return false;
  }
  return true;
}

void tc_digest_close(struct tc_digest *d) {
  if (d->ctx != NULL) {
    d->freectx(d->ctx);
  }
  EVP_MD_free(d->md);
  memset(d, 0, sizeof(*d));
}

static bool run(struct tc_digest *d, const struct tc_part *parts, size_t n, uint8_t *out) {
  size_t i;
  size_t got = 0;

  if (!d->init(d->ctx, NULL)) {
    return false;
  }
  for (i = 0; i < n; i++) {
    if (parts[i].len > 0 && !d->update(d->ctx, parts[i].data, parts[i].len)) {
      return false;
    }
  }
  return d->final(d->ctx, out, &got, d->size) && got == d->size;
}

bool tc_hash(struct turncred_ws *ws, enum tc_digest_id id, const struct tc_part *parts, size_t n,
             uint8_t *out, size_t *out_len) {
  struct tc_digest tmp;
  struct tc_digest *d = &tmp;
  bool ok;

  if (ws != NULL) {
    d = tc_ws_digest(ws, id);
  } else if (!tc_digest_open(d, id)) {
    return false;
  }
  ok = run(d, parts, n, out);
  if (ok && out_len != NULL) {
    *out_len = d->size;
  }
  if (d == &tmp) {
    tc_digest_close(d);
  }
  return ok;
}

enum turncred_err turncred_sha256(struct turncred_ws *ws, const uint8_t *in, size_t len,
                                  uint8_t digest[32]) {
  const struct tc_part part = {in, len};

  if ((in == NULL && len > 0) || digest == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  return tc_hash(ws, TC_SHA256, &part, 1, digest, NULL) ? TURNCRED_OK : TURNCRED_CRYPTO;
}

/* RFC 2104: H(K ^ opad | H(K ^ ipad | message)) */
static bool hmac(struct tc_digest *d, const uint8_t *key, size_t key_len,
                 const struct tc_part *parts, size_t n, uint8_t *out) {
  uint8_t pad[TC_BLOCK_MAX];
  uint8_t inner[TC_DIGEST_MAX];
  size_t i;
  size_t got = 0;
  bool ok;

  memset(pad, 0x36, d->block);
  for (i = 0; i < key_len; i++) {
    pad[i] ^= key[i];
  }
  ok = d->init(d->ctx, NULL) && d->update(d->ctx, pad, d->block);
  for (i = 0; ok && i < n; i++) {
    ok = parts[i].len == 0 || d->update(d->ctx, parts[i].data, parts[i].len);
  }
  ok = ok && d->final(d->ctx, inner, &got, d->size) && got == d->size;
  for (i = 0; i < d->block; i++) {
    pad[i] ^= 0x36 ^ 0x5c;
  }
  ok = ok && d->init(d->ctx, NULL) && d->update(d->ctx, pad, d->block) &&
       d->update(d->ctx, inner, d->size) && d->final(d->ctx, out, &got, d->size) && got == d->size;
  explicit_bzero(pad, d->block);
  explicit_bzero(inner, sizeof(inner));
  return ok;
}

bool tc_hmac(struct turncred_ws *ws, enum tc_digest_id id, const uint8_t *key, size_t key_len,
             const struct tc_part *parts, size_t n, uint8_t *out, size_t *out_len) {
  struct tc_digest tmp;
  struct tc_digest *d = &tmp;
  bool ok;

  if (key_len > TURNCRED_KEY_MAX) {
    return false;
  }
  if (ws != NULL) {
    d = tc_ws_digest(ws, id);
  } else if (!tc_digest_open(d, id)) {
    return false;
  }
  ok = hmac(d, key, key_len, parts, n, out);
  if (ok && out_len != NULL) {
    *out_len = d->size;
  }
  if (d == &tmp) {
    tc_digest_close(d);
  }
  return ok;
}
