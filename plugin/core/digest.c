/*
 * digest.c - the digests of OpenSSL, with a context that is kept
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core.h"

static const char *const names[TC_DIGESTS] = {
    [TC_MD5] = "MD5", [TC_SHA1] = "SHA1", [TC_SHA256] = "SHA256", [TC_SHA384] = "SHA384", [TC_SHA512] = "SHA512"};

bool tc_digest_open(struct tc_digest *d, enum tc_digest_id id) {
  memset(d, 0, sizeof(*d));
  d->md = EVP_MD_fetch(NULL, names[id], NULL);
  d->ctx = d->md != NULL ? EVP_MD_CTX_new() : NULL;
  if (d->ctx == NULL || EVP_DigestInit_ex2(d->ctx, d->md, NULL) != 1) {
    tc_digest_close(d);
    return false;
  }
  d->size = (size_t)EVP_MD_get_size(d->md);
  d->block = (size_t)EVP_MD_get_block_size(d->md);
  if (d->size > TC_DIGEST_MAX || d->block > TC_BLOCK_MAX) {
    tc_digest_close(d);
    return false;
  }
  return true;
}

void tc_digest_close(struct tc_digest *d) {
  EVP_MD_CTX_free(d->ctx);
  EVP_MD_free(d->md);
  memset(d, 0, sizeof(*d));
}
