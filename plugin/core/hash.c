/*
 * hash.c - hashes and HMAC over messages that lie in several pieces
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core.h"

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
  ok = ok && d->init(d->ctx, NULL) && d->update(d->ctx, pad, d->block) && d->update(d->ctx, inner, d->size) &&
       d->final(d->ctx, out, &got, d->size) && got == d->size;
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
