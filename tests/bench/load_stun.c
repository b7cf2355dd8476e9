/*
 * load_stun.c - the few STUN messages that the load generator makes and reads (RFC 8489, 8656)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "load_stun.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define SHA1_OCTETS 20

static void put16(uint8_t *p, size_t v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}

static size_t get16(const uint8_t *p) { return (size_t)p[0] << 8 | p[1]; }

void stun_begin(struct stun_writer *w, uint8_t *buf, size_t cap, uint16_t method,
                const uint8_t txid[12]) {
  static const uint8_t cookie[4] = {0x21, 0x12, 0xa4, 0x42};
  *w = (struct stun_writer){.at = buf, .len = STUN_HEADER, .cap = cap};
  put16(buf, method);
  put16(buf + 2, 0);
  memcpy(buf + 4, cookie, sizeof(cookie));
  memcpy(buf + 8, txid, 12);
}

void stun_add(struct stun_writer *w, uint16_t type, const void *value, size_t len) {
  size_t padded = (len + 3) & ~(size_t)3;
  if (w->full || len > 0xffff || padded + 4 > w->cap - w->len) {
    w->full = true;
    return;
  }
  uint8_t *p = w->at + w->len;
  put16(p, type);
  put16(p + 2, len);
  memset(p + 4, 0, padded);
  memcpy(p + 4, value, len);
  w->len += padded + 4;
  put16(w->at + 2, w->len - STUN_HEADER);
}

void stun_add_u32(struct stun_writer *w, uint16_t type, uint32_t value) {
  uint8_t octets[4];
  put16(octets, value >> 16);
  put16(octets + 2, value & 0xffff);
  stun_add(w, type, octets, sizeof(octets));
}

void stun_add_integrity(struct stun_writer *w, const uint8_t *key, size_t key_len) {
  uint8_t mac[SHA1_OCTETS] = {0};
  size_t covered = w->len;
  stun_add(w, STUN_MESSAGE_INTEGRITY, mac, sizeof(mac)); /* the length counts it (RFC 8489 14.5) */
  if (w->full)
    return;
  HMAC(EVP_sha1(), key, (int)key_len, w->at, covered, mac, NULL);
  memcpy(w->at + covered + 4, mac, sizeof(mac));
}

bool stun_check(const uint8_t *msg, size_t len) {
  static const uint8_t cookie[4] = {0x21, 0x12, 0xa4, 0x42};
  if (len < STUN_HEADER || (msg[0] & 0xc0) || get16(msg + 2) + STUN_HEADER != len ||
      memcmp(msg + 4, cookie, sizeof(cookie)) != 0)
    return false;
  size_t at = STUN_HEADER;
  while (len - at >= 4) {
    size_t whole = 4 + ((get16(msg + at + 2) + 3) & ~(size_t)3);
    if (whole > len - at)
      return false;
    at += whole;
  }
  return at == len;
}

const uint8_t *stun_find(const uint8_t *msg, size_t len, uint16_t type, size_t *value_len) {
  for (size_t at = STUN_HEADER; len - at >= 4;) {
    size_t found = get16(msg + at), value = get16(msg + at + 2);
    if (found == type) {
      *value_len = value;
      return msg + at + 4;
    }
    if (found == STUN_MESSAGE_INTEGRITY)
      break;
    at += 4 + ((value + 3) & ~(size_t)3);
  }
  return NULL;
}

bool stun_verify(const uint8_t *msg, size_t len, const uint8_t *key, size_t key_len) {
  uint8_t mac[SHA1_OCTETS], copy[2048];
  size_t value_len;
  const uint8_t *value = stun_find(msg, len, STUN_MESSAGE_INTEGRITY, &value_len);
  if (!value || value_len != sizeof(mac) || len > sizeof(copy))
    return false;
  size_t covered = (size_t)(value - 4 - msg);
  memcpy(copy, msg, covered);
  put16(copy + 2, covered + 4 + sizeof(mac) - STUN_HEADER);
  HMAC(EVP_sha1(), key, (int)key_len, copy, covered, mac, NULL);
  return CRYPTO_memcmp(mac, value, sizeof(mac)) == 0;
}
