/*
 * message.c - the header of a STUN message, and the walk over its attributes
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "stun.h"

#include "wire.h"

#include <errno.h>
#include <string.h>

/* The type field of RFC 8489 section 5; its bits are M11..M7 C1 M6..M4 C0 M3..M0. */
static unsigned type_of(enum stun_class cls, unsigned method) {
  return (method & 0x00F) | ((method & 0x070) << 1) | ((method & 0xF80) << 2) | (((unsigned)cls & 1) << 4) |
         (((unsigned)cls & 2) << 7);
}

static enum stun_class class_of(unsigned type) { return (enum stun_class)(((type >> 4) & 1) | ((type >> 7) & 2)); }

static unsigned method_of(unsigned type) { return (type & 0x00F) | ((type >> 1) & 0x070) | ((type >> 2) & 0xF80); }

int stun_begin(struct stun_writer *w, uint8_t *buf, size_t cap, enum stun_class cls, unsigned method,
               const uint8_t transaction_id[STUN_TRANSACTION_ID]) {
  memset(w, 0, sizeof *w);
  if (!buf || cap < STUN_HEADER_SIZE || method > 0xFFF) {
    return w->err = EINVAL;
  }
  w->buf = buf;
  w->cap = cap;
  w->len = STUN_HEADER_SIZE;
  wire_put16(buf, type_of(cls, method));
  wire_put16(buf + 2, 0);
  wire_put32(buf + 4, STUN_MAGIC);
  memcpy(buf + 8, transaction_id, STUN_TRANSACTION_ID);
  return 0;
}

int stun_parse(const uint8_t *raw, size_t len, struct stun_message *msg) {
  if (!raw || len < STUN_HEADER_SIZE || raw[0] & 0xC0 || wire_get32(raw + 4) != STUN_MAGIC) {
    return EBADMSG;
  }
  size_t body = wire_get16(raw + 2);
  if (body % 4 || body != len - STUN_HEADER_SIZE) {
    return EBADMSG;
  }
  unsigned type = wire_get16(raw);
  msg->raw = raw;
  msg->len = len;
  msg->cls = class_of(type);
  msg->method = method_of(type);
  msg->transaction_id = raw + 8;
  for (size_t at = STUN_HEADER_SIZE; at < len;) {
    if (len - at < 4) {
      return EBADMSG;
    }
    size_t padded = wire_padded(wire_get16(raw + at + 2));
    if (padded > len - at - 4) {
      return EBADMSG;
    }
    at += 4 + padded;
  }
  return 0;
}

bool stun_next(const struct stun_message *msg, size_t *offset, struct stun_attr *attr) {
  size_t at = *offset ? *offset : STUN_HEADER_SIZE;
  if (at >= msg->len) {
    return false;
  }
  attr->type = wire_get16(msg->raw + at);
  attr->len = wire_get16(msg->raw + at + 2);
  attr->value = msg->raw + at + 4;
  attr->offset = at;
  *offset = at + 4 + wire_padded(attr->len);
  return true;
}

int stun_find(const struct stun_message *msg, unsigned type, struct stun_attr *attr) {
  size_t offset = 0;
  bool behind_integrity = false;
  while (stun_next(msg, &offset, attr)) {
    if (attr->type == type &&
        (!behind_integrity || type == STUN_MESSAGE_INTEGRITY_SHA256 || type == STUN_FINGERPRINT)) {
      return 0;
    }
    if (attr->type == STUN_MESSAGE_INTEGRITY) {
      behind_integrity = true;
    }
  }
  return ENOENT;
}
