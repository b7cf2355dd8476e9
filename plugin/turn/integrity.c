/*
 * integrity.c - MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256 (RFC 8489 14.5, 14.6)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The HMAC runs over the message up to the attribute, with the header's length field set as if the
 * attribute were the last one.
 */
#include "config.h"

#include "stun.h"

#include "wire.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

struct kind {
  unsigned type;
  size_t size;
  const EVP_MD *(*hash)(void);
};

static const struct kind sha1_kind = {STUN_MESSAGE_INTEGRITY, STUN_SHA1_SIZE, EVP_sha1};
static const struct kind sha256_kind = {STUN_MESSAGE_INTEGRITY_SHA256, STUN_SHA256_SIZE, EVP_sha256};

static int compute(const struct kind *kind, const uint8_t *raw, size_t offset, const uint8_t *key, size_t key_len,
                   uint8_t *mac) {
  uint8_t text[STUN_MESSAGE_MAX];
  unsigned len = 0;
  if (!key || !key_len || key_len > INT_MAX) {
    return EINVAL;
  }
  if (offset > sizeof text) {
    return ENOSPC;
  }
  memcpy(text, raw, offset);
  wire_put16(text + 2, (unsigned)(offset + 4 + kind->size - STUN_HEADER_SIZE));
  if (!HMAC(kind->hash(), key, (int)key_len, text, offset, mac, &len) || len != kind->size) {
    return EIO;
  }
  return 0;
}

static int add(const struct kind *kind, struct stun_writer *w, const uint8_t *key, size_t key_len) {
  uint8_t mac[EVP_MAX_MD_SIZE];
  if (w->err) {
    return w->err;
  }
  w->err = compute(kind, w->buf, w->len, key, key_len, mac);
  return w->err ? w->err : stun_add(w, kind->type, mac, kind->size);
}

static int check(const struct kind *kind, const struct stun_message *msg, const uint8_t *key, size_t key_len) {
  struct stun_attr attr;
  uint8_t mac[EVP_MAX_MD_SIZE];
  int err = stun_find(msg, kind->type, &attr);
  if (err) {
    return err;
  }
  if (attr.len != kind->size) {
    return EBADMSG;
  }
  err = compute(kind, msg->raw, attr.offset, key, key_len, mac);
  if (err) {
    return err;
  }
  return CRYPTO_memcmp(mac, attr.value, kind->size) ? EBADMSG : 0;
}

int stun_add_integrity(struct stun_writer *w, const uint8_t *key, size_t key_len) {
  return add(&sha1_kind, w, key, key_len);
}

int stun_check_integrity(const struct stun_message *msg, const uint8_t *key, size_t key_len) {
  return check(&sha1_kind, msg, key, key_len);
}

int stun_add_integrity_sha256(struct stun_writer *w, const uint8_t *key, size_t key_len) {
  return add(&sha256_kind, w, key, key_len);
}

int stun_check_integrity_sha256(const struct stun_message *msg, const uint8_t *key, size_t key_len) {
  return check(&sha256_kind, msg, key, key_len);
}
