/*
 * attr.c - attributes of STUN messages (RFC 8489 section 14)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "stun.h"

#include "wire.h"

#include <errno.h>
#include <string.h>

int stun_add(struct stun_writer *w, unsigned type, const void *value, size_t len) {
  if (w->err) {
    return w->err;
  }
  size_t padded = wire_padded(len);
  if (len > 0xFFFF || type > 0xFFFF) {
    return w->err = EINVAL;
  }
  if (w->cap - w->len < 4 || w->cap - w->len - 4 < padded || w->len + 4 + padded - STUN_HEADER_SIZE > 0xFFFF) {
    return w->err = ENOSPC;
  }
  uint8_t *at = w->buf + w->len;
  wire_put16(at, type);
  wire_put16(at + 2, (unsigned)len);
  memset(at + 4, 0, padded);
  if (len) {
    memcpy(at + 4, value, len);
  }
  w->len += 4 + padded;
  wire_put16(w->buf + 2, (unsigned)(w->len - STUN_HEADER_SIZE));
  return 0;
}

int stun_add_u32(struct stun_writer *w, unsigned type, uint32_t value) {
  uint8_t octets[4];
  wire_put32(octets, value);
  return stun_add(w, type, octets, sizeof octets);
}

int stun_get_u32(const struct stun_message *msg, unsigned type, uint32_t *value) {
  struct stun_attr attr;
  int err = stun_find(msg, type, &attr);
  if (err) {
    return err;
  }
  if (attr.len != 4) {
    return EBADMSG;
  }
  *value = wire_get32(attr.value);
  return 0;
}

int stun_get_error(const struct stun_message *msg, unsigned *code, char *reason, size_t cap) {
  struct stun_attr attr;
  int err = stun_find(msg, STUN_ERROR_CODE, &attr);
  if (err) {
    return err;
  }
  if (attr.len < 4) {
    return EBADMSG;
  }
  unsigned cls = attr.value[2] & 7, number = attr.value[3];
  if (cls < 3 || cls > 6 || number > 99) {
    return EBADMSG;
  }
  *code = cls * 100 + number;
  if (cap) {
    size_t len = attr.len - 4 < cap - 1 ? attr.len - 4 : cap - 1;
    for (size_t i = 0; i < len; i++) {
      uint8_t c = attr.value[4 + i];
      reason[i] = (char)(c < 0x20 || c == 0x7F ? (uint8_t)'?' : c);
    }
    reason[len] = '\0';
  }
  return 0;
}

int stun_get_text(const struct stun_message *msg, unsigned type, char *out, size_t cap) {
  struct stun_attr attr;
  int err = stun_find(msg, type, &attr);
  if (err) {
    return err;
  }
  if (attr.len >= cap || memchr(attr.value, 0, attr.len)) {
    return EBADMSG;
  }
  memcpy(out, attr.value, attr.len);
  out[attr.len] = '\0';
  return 0;
}
