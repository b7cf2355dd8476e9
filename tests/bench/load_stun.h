/*
 * load_stun.h - the few STUN messages that the load generator makes and reads (RFC 8489, 8656)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef LOAD_STUN_H
#define LOAD_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STUN_HEADER 20

enum { STUN_ALLOCATE = 0x003, STUN_REFRESH = 0x004, STUN_CHANNEL_BIND = 0x009 };
enum { STUN_CLASS_MASK = 0x110, STUN_SUCCESS = 0x100, STUN_ERROR = 0x110 };
enum {
  STUN_USERNAME = 0x0006,
  STUN_MESSAGE_INTEGRITY = 0x0008,
  STUN_ERROR_CODE = 0x0009,
  STUN_CHANNEL_NUMBER = 0x000c,
  STUN_LIFETIME = 0x000d,
  STUN_XOR_PEER_ADDRESS = 0x0012,
  STUN_REALM = 0x0014,
  STUN_NONCE = 0x0015,
  STUN_REQUESTED_TRANSPORT = 0x0019,
  STUN_ACCESS_TOKEN = 0x001b
};

struct stun_writer {
  uint8_t *at;
  size_t len, cap;
  bool full; /* an attribute did not fit: the message is void */
};
void stun_begin(struct stun_writer *w, uint8_t *buf, size_t cap, uint16_t method,
                const uint8_t txid[12]);
void stun_add(struct stun_writer *w, uint16_t type, const void *value, size_t len);
void stun_add_u32(struct stun_writer *w, uint16_t type, uint32_t value);
void stun_add_integrity(struct stun_writer *w, const uint8_t *key, size_t key_len);

/* True if this is one whole STUN message whose attributes fill it exactly. */
bool stun_check(const uint8_t *msg, size_t len);
/* The first attribute of the type before MESSAGE-INTEGRITY (or that one); NULL: there is none. */
const uint8_t *stun_find(const uint8_t *msg, size_t len, uint16_t type, size_t *value_len);
/* MESSAGE-INTEGRITY is there and right. */
bool stun_verify(const uint8_t *msg, size_t len, const uint8_t *key, size_t key_len);

#endif
