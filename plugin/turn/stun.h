/*
 * stun.h - STUN and TURN messages (RFC 8489, RFC 8656, RFC 7635): make and read, no I/O
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions that can fail return 0 or an errno value: EINVAL (the caller's mistake), EBADMSG
 * (octets from the network), ENOENT (not there), ENOSPC (buffer too small), EIO (OpenSSL).
 * Lengths are octets. Encode and decode of a thing stand in the same file.
 */
#ifndef TURNCRED_STUN_H
#define TURNCRED_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define STUN_HEADER_SIZE    20
#define STUN_MAGIC          0x2112A442u
#define STUN_TRANSACTION_ID 12
#define STUN_MESSAGE_MAX    2048 /* of any message that we make */
#define STUN_SHA1_SIZE      20
#define STUN_SHA256_SIZE    32

enum stun_class { STUN_REQUEST = 0, STUN_INDICATION = 1, STUN_SUCCESS = 2, STUN_ERROR = 3 };

enum stun_method {
  STUN_BINDING = 0x001,
  STUN_ALLOCATE = 0x003,
  STUN_REFRESH = 0x004,
  STUN_SEND = 0x006,
  STUN_DATA = 0x007,
  STUN_CREATE_PERMISSION = 0x008,
  STUN_CHANNEL_BIND = 0x009
};

enum stun_attr_type {
  STUN_MAPPED_ADDRESS = 0x0001,
  STUN_USERNAME = 0x0006,
  STUN_MESSAGE_INTEGRITY = 0x0008,
  STUN_ERROR_CODE = 0x0009,
  STUN_UNKNOWN_ATTRIBUTES = 0x000A,
  STUN_CHANNEL_NUMBER = 0x000C,
  STUN_LIFETIME = 0x000D,
  STUN_XOR_PEER_ADDRESS = 0x0012,
  STUN_DATA_ATTR = 0x0013,
  STUN_REALM = 0x0014,
  STUN_NONCE = 0x0015,
  STUN_XOR_RELAYED_ADDRESS = 0x0016,
  STUN_REQUESTED_ADDRESS_FAMILY = 0x0017,
  STUN_REQUESTED_TRANSPORT = 0x0019,
  STUN_ACCESS_TOKEN = 0x001B,
  STUN_MESSAGE_INTEGRITY_SHA256 = 0x001C,
  STUN_XOR_MAPPED_ADDRESS = 0x0020,
  STUN_SOFTWARE = 0x8022,
  STUN_ALTERNATE_SERVER = 0x8023,
  STUN_FINGERPRINT = 0x8028,
  STUN_THIRD_PARTY_AUTHORIZATION = 0x802E,
  STUN_ORIGIN = 0x802F /* draft-ietf-tram-stun-origin, as coturn has it */
};

/* "Allocate", "Refresh", ... Never NULL. */
const char *stun_method_name(unsigned method);

/* --- making ----------------------------------------------------------------------------- */

/* Faults are kept: check the last step, or stun_writer.err once at the end. */
struct stun_writer {
  uint8_t *buf;
  size_t cap, len;
  int err;
};

int stun_begin(struct stun_writer *w, uint8_t *buf, size_t cap, enum stun_class cls,
               unsigned method, const uint8_t transaction_id[STUN_TRANSACTION_ID]);
/* Padding octets are zero. */
int stun_add(struct stun_writer *w, unsigned type, const void *value, size_t len);
int stun_add_u32(struct stun_writer *w, unsigned type, uint32_t value);
/* XOR-PEER-ADDRESS, XOR-MAPPED-ADDRESS, XOR-RELAYED-ADDRESS; IPv4 and IPv6. */
int stun_add_xor_address(struct stun_writer *w, unsigned type, const struct sockaddr *addr);
/* RFC 8489 14.5, HMAC-SHA1. Keys of 1 octet and more. */
int stun_add_integrity(struct stun_writer *w, const uint8_t *key, size_t key_len);
/* RFC 8489 14.6, HMAC-SHA256, not truncated. */
int stun_add_integrity_sha256(struct stun_writer *w, const uint8_t *key, size_t key_len);
/* RFC 8489 14.7. Last. */
int stun_add_fingerprint(struct stun_writer *w);

/* --- reading ---------------------------------------------------------------------------- */

/* Points into the octets it was read from. */
struct stun_message {
  const uint8_t *raw;
  size_t len;
  enum stun_class cls;
  unsigned method;
  const uint8_t *transaction_id;
};

struct stun_attr {
  unsigned type;
  size_t len; /* without padding */
  const uint8_t *value;
  size_t offset; /* of the attribute's header in the message */
};

/* Header, cookie, length, and that every attribute lies inside. EBADMSG. */
int stun_parse(const uint8_t *raw, size_t len, struct stun_message *msg);
/* Goes through the attributes in order: *offset starts at 0; false at the end. */
bool stun_next(const struct stun_message *msg, size_t *offset, struct stun_attr *attr);
/* The first of its type. Attributes after MESSAGE-INTEGRITY are ignored, but for
 * MESSAGE-INTEGRITY-SHA256 and FINGERPRINT (RFC 8489 14.5). ENOENT. */
int stun_find(const struct stun_message *msg, unsigned type, struct stun_attr *attr);
int stun_get_u32(const struct stun_message *msg, unsigned type, uint32_t *value);
/* Any of the XOR-* addresses. */
int stun_get_xor_address(const struct stun_message *msg, unsigned type,
                         struct sockaddr_storage *addr, socklen_t *addr_len);
/* code 300 to 699; reason (NUL-terminated, cut if need be; control octets become '?'). */
int stun_get_error(const struct stun_message *msg, unsigned *code, char *reason, size_t cap);
/* Copies a text attribute (NUL-terminated; EBADMSG if it holds NUL or does not fit). */
int stun_get_text(const struct stun_message *msg, unsigned type, char *out, size_t cap);
/* 0: right. ENOENT: none there. EBADMSG: wrong key or damaged. */
int stun_check_integrity(const struct stun_message *msg, const uint8_t *key, size_t key_len);
int stun_check_integrity_sha256(const struct stun_message *msg, const uint8_t *key, size_t key_len);
int stun_check_fingerprint(const struct stun_message *msg);

/* --- addresses, streams and channels ---------------------------------------------------- */

/* "127.0.0.1:3478", "[::1]:3478". out of at least 64 octets. Returns out. */
char *stun_address_text(const struct sockaddr *addr, char *out, size_t cap);
bool stun_address_equal(const struct sockaddr *a, const struct sockaddr *b);

#define STUN_CHANNEL_MIN 0x4000u
#define STUN_CHANNEL_MAX 0x4FFFu

/* ChannelData (RFC 8656 12.4), padded to four octets (always, which streams need). */
int stun_channel_data(uint16_t channel, const void *data, size_t len, uint8_t *out, size_t cap,
                      size_t *out_len);
bool stun_is_channel_data(const uint8_t *raw, size_t len);
int stun_parse_channel_data(const uint8_t *raw, size_t len, uint16_t *channel, const uint8_t **data,
                            size_t *data_len);
/* Octets of the frame at the front of a TCP stream, or 0 if more octets are needed to tell.
 * SIZE_MAX: neither STUN nor ChannelData. */
size_t stun_frame_size(const uint8_t *raw, size_t len);

#endif
