/*
 * digest.c - the digests of OpenSSL, driven through their provider's own functions
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * OpenSSL 3.0's EVP_DigestInit_ex2 allocates and frees the state of the digest at every call, even
 * on a context that is used again (EVP_MAC_init of a keyed HMAC does so, too). A relay thread that
 * verifies a credential shall not wait for the heap, so the digest is fetched through EVP, as the
 * configuration of OpenSSL says, and its context is driven through the functions that the provider
 * publishes (provider-digest(7)); these do not allocate once the context exists.
 *
 * What that saves, measured by building this file once with EVP_DigestInit_ex2, _Update and
 * _Final_ex instead and running tests/bench/bench_core 31 20000 on both builds (OpenSSL 3.0.19):
 *
 *                         as it is            through EVP         allocations saved
 *   derived               1.20 times bare     1.60 times bare     3
 *   rest sha1             1.05                1.33 to 1.46        3
 *   rest sha256           1.10                1.41 to 1.46        3
 *   token A256CBC-HS512   1.5                 1.8                 2
 *
 * "bare" is the same cryptography with keyed EVP contexts and no checks. Tokens with GCM need no
 * digest to be verified.
 */
#include "core.h"

#include <openssl/provider.h>

static const char *const names[TC_DIGESTS] = {
    [TC_MD5] = "MD5", [TC_SHA1] = "SHA1", [TC_SHA256] = "SHA256", [TC_SHA384] = "SHA384", [TC_SHA512] = "SHA512"};

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
  if (newctx != NULL && d->init != NULL && d->update != NULL && d->final != NULL && d->freectx != NULL) {
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
  if (d->ctx == NULL || d->size > TC_DIGEST_MAX || d->block > TC_BLOCK_MAX || d->block < TURNCRED_KEY_MAX) {
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
