/*
 * stun.h - STUN and TURN messages (RFC 8489, RFC 8656, RFC 7635): make and read, no I/O
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions that can fail return 0 or an errno value: EINVAL (the caller's mistake), EBADMSG (the
 * message is malformed), ENOENT (the message lacks the attribute), ENOSPC (the buffer is too small),
 * EIO (OpenSSL failed). Lengths are octets. The function that makes an attribute stands in the same
 * file as the one that reads it.
 */
#ifndef TURNCRED_STUN_H
#define TURNCRED_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define STUN_HEADER_SIZE 20
#define STUN_MAGIC 0x2112A442u
#define STUN_TRANSACTION_ID 12
#define STUN_MESSAGE_MAX 2048 /* of any message made here */
#define STUN_SHA1_SIZE 20
#define STUN_SHA256_SIZE 32

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

/* --- making ----------------------------------------------------------------------------- */

/* A message being made. The first error stays in err and makes every later step do nothing, so that
 * the caller checks once, at the end. */
struct stun_writer {
  uint8_t *buf;
  size_t cap, len;
  int err;
};

int stun_begin(struct stun_writer *w, uint8_t *buf, size_t cap, enum stun_class cls, unsigned method,
               const uint8_t transaction_id[STUN_TRANSACTION_ID]);
/* Adds an attribute, padded with zeros. */
int stun_add(struct stun_writer *w, unsigned type, const void *value, size_t len);
int stun_add_u32(struct stun_writer *w, unsigned type, uint32_t value);
/* XOR-PEER-ADDRESS, XOR-MAPPED-ADDRESS, XOR-RELAYED-ADDRESS; IPv4 and IPv6. */
int stun_add_xor_address(struct stun_writer *w, unsigned type, const struct sockaddr *addr);
/* MESSAGE-INTEGRITY (RFC 8489 14.5, HMAC-SHA1); key_len is at least 1. */
int stun_add_integrity(struct stun_writer *w, const uint8_t *key, size_t key_len);
/* MESSAGE-INTEGRITY-SHA256 (RFC 8489 14.6), not truncated. */
int stun_add_integrity_sha256(struct stun_writer *w, const uint8_t *key, size_t key_len);
/* FINGERPRINT (RFC 8489 14.7), which must be the last attribute. */
int stun_add_fingerprint(struct stun_writer *w);

/* --- reading ---------------------------------------------------------------------------- */

/* A message that was read; it points into the octets that stun_parse was given. */
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

/* Checks header, cookie and length, and that every attribute lies inside the message. EBADMSG. */
int stun_parse(const uint8_t *raw, size_t len, struct stun_message *msg);
/* Gives the attributes in order; *offset starts at 0. False: there are no more. */
bool stun_next(const struct stun_message *msg, size_t *offset, struct stun_attr *attr);
/* The first attribute of this type. Attributes after MESSAGE-INTEGRITY are ignored, but for
 * MESSAGE-INTEGRITY-SHA256 and FINGERPRINT (RFC 8489 14.5). ENOENT. */
int stun_find(const struct stun_message *msg, unsigned type, struct stun_attr *attr);
int stun_get_u32(const struct stun_message *msg, unsigned type, uint32_t *value);
/* Reads an XOR-PEER-, XOR-MAPPED- or XOR-RELAYED-ADDRESS. */
int stun_get_xor_address(const struct stun_message *msg, unsigned type, struct sockaddr_storage *addr,
                         socklen_t *addr_len);
/* Reads ERROR-CODE: code is 300 to 699; reason is cut to cap octets with the NUL, and its control
 * octets become '?'. */
int stun_get_error(const struct stun_message *msg, unsigned *code, char *reason, size_t cap);
/* Copies a text attribute and a NUL. EBADMSG: the text holds a NUL, or does not fit into cap octets. */
int stun_get_text(const struct stun_message *msg, unsigned type, char *out, size_t cap);
/* 0: the attribute is right. ENOENT: the message has none. EBADMSG: the key is another one, or the
 * message was changed. */
int stun_check_integrity(const struct stun_message *msg, const uint8_t *key, size_t key_len);
int stun_check_integrity_sha256(const struct stun_message *msg, const uint8_t *key, size_t key_len);
int stun_check_fingerprint(const struct stun_message *msg);

/* --- addresses, streams and channels ---------------------------------------------------- */

/* Writes "127.0.0.1:3478" or "[::1]:3478" to out, which has at least 64 octets. Returns out. */
char *stun_address_text(const struct sockaddr *addr, char *out, size_t cap);
bool stun_address_equal(const struct sockaddr *a, const struct sockaddr *b);

#define STUN_CHANNEL_MIN 0x4000u
#define STUN_CHANNEL_MAX 0x4FFFu

/* Makes ChannelData (RFC 8656 12.4), padded to four octets: streams need that, datagrams allow it. */
int stun_channel_data(uint16_t channel, const void *data, size_t len, uint8_t *out, size_t cap, size_t *out_len);
bool stun_is_channel_data(const uint8_t *raw, size_t len);
int stun_parse_channel_data(const uint8_t *raw, size_t len, uint16_t *channel, const uint8_t **data, size_t *data_len);
/* The octets of the frame at the front of a stream. 0: more octets are needed to say. SIZE_MAX: the
 * stream holds neither STUN nor ChannelData. */
size_t stun_frame_size(const uint8_t *raw, size_t len);

#endif
