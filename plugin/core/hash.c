/*
 * hash.c - hashes and HMAC over messages that lie in several pieces
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core.h"

static bool begin(struct tc_digest *d) { return EVP_DigestInit_ex2(d->ctx, NULL, NULL) == 1; }

static bool add(struct tc_digest *d, const void *data, size_t len) { return EVP_DigestUpdate(d->ctx, data, len) == 1; }

static bool end(struct tc_digest *d, uint8_t *out) {
  unsigned got = 0;

  return EVP_DigestFinal_ex(d->ctx, out, &got) == 1 && got == d->size;
}

static bool run(struct tc_digest *d, const struct tc_part *parts, size_t n, uint8_t *out) {
  size_t i;
  bool ok = begin(d);

  for (i = 0; ok && i < n; i++) {
    ok = parts[i].len == 0 || add(d, parts[i].data, parts[i].len);
  }
  return ok && end(d, out);
}

bool tc_hash(struct turncred_ws *ws, enum tc_digest_id id, const struct tc_part *parts, size_t n, uint8_t *out,
             size_t *out_len) {
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

enum turncred_err turncred_sha256(struct turncred_ws *ws, const uint8_t *in, size_t len, uint8_t digest[32]) {
  const struct tc_part part = {in, len};

  if ((in == NULL && len > 0) || digest == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  return tc_hash(ws, TC_SHA256, &part, 1, digest, NULL) ? TURNCRED_OK : TURNCRED_CRYPTO;
}

/* RFC 2104: H(K ^ opad | H(K ^ ipad | message)) */
static bool hmac(struct tc_digest *d, const uint8_t *key, size_t key_len, const struct tc_part *parts, size_t n,
                 uint8_t *out) {
  uint8_t pad[TC_BLOCK_MAX];
  uint8_t inner[TC_DIGEST_MAX];
  size_t i;
  bool ok;

  memset(pad, 0x36, d->block);
  for (i = 0; i < key_len; i++) {
    pad[i] ^= key[i];
  }
  ok = begin(d) && add(d, pad, d->block);
  for (i = 0; ok && i < n; i++) {
    ok = parts[i].len == 0 || add(d, parts[i].data, parts[i].len);
  }
  ok = ok && end(d, inner);
  for (i = 0; i < d->block; i++) {
    pad[i] ^= 0x36 ^ 0x5c;
  }
  ok = ok && begin(d) && add(d, pad, d->block) && add(d, inner, d->size) && end(d, out);
  explicit_bzero(pad, d->block);
  explicit_bzero(inner, sizeof(inner));
  return ok;
}

bool tc_hmac(struct turncred_ws *ws, enum tc_digest_id id, const uint8_t *key, size_t key_len,
             const struct tc_part *parts, size_t n, uint8_t *out, size_t *out_len) {
  struct tc_digest tmp;
  struct tc_digest *d = &tmp;
  bool ok;

  if (ws != NULL) {
    d = tc_ws_digest(ws, id);
  } else if (!tc_digest_open(d, id)) {
    return false;
  }
  ok = key_len <= d->block && hmac(d, key, key_len, parts, n, out);
  if (ok && out_len != NULL) {
    *out_len = d->size;
  }
  if (d == &tmp) {
    tc_digest_close(d);
  }
  return ok;
}
