/*
 * fingerprint.c - FINGERPRINT (RFC 8489 14.7): CRC-32 of ISO 3309, xor 0x5354554e
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "stun.h"

#include "wire.h"

#include <errno.h>
#include <string.h>

#define FINGERPRINT_MASK 0x5354554Eu

static uint32_t crc32_of(const uint8_t *p, size_t len) {
  uint32_t crc = 0xFFFFFFFFu;
  while (len--) {
    crc ^= *p++;
    for (int bit = 0; bit < 8; bit++) {
      crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
  }
  return ~crc;
}

int stun_add_fingerprint(struct stun_writer *w) {
  if (w->err) {
    return w->err;
  }
  /* the CRC covers a length field that counts FINGERPRINT itself */
  size_t offset = w->len;
  if (stun_add_u32(w, STUN_FINGERPRINT, 0)) {
    return w->err;
  }
  wire_put32(w->buf + offset + 4, crc32_of(w->buf, offset) ^ FINGERPRINT_MASK);
  return 0;
}

int stun_check_fingerprint(const struct stun_message *msg) {
  struct stun_attr attr;
  int err = stun_find(msg, STUN_FINGERPRINT, &attr);
  if (err) {
    return err;
  }
  if (attr.len != 4 || attr.offset + 8 != msg->len) {
    return EBADMSG;
  }
  return wire_get32(attr.value) == (crc32_of(msg->raw, attr.offset) ^ FINGERPRINT_MASK) ? 0 : EBADMSG;
}
