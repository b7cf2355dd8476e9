/*
 * target.h - a server as people write it: HOST, HOST:PORT, or a URI; and all of its addresses
 *
 * This is how a command is told whom to ask. Which URIs may be handed out to clients is stricter: base/turn_uri.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_TURN_TARGET_H
#define TURNCRED_TURN_TARGET_H

#include "transport.h"

#define TURN_HOST_MAX 255
#define TURN_ADDRESSES_MAX 16 /* of one name; more are not tried */

struct turn_target {
  char host[TURN_HOST_MAX + 1]; /* name or address, without brackets and escapes */
  char port[6];                 /* 1 to 65535; "": the text has none */
  bool is_uri;                  /* the text says the protocol, too */
  enum turn_protocol protocol;  /* of a URI */
};

struct turn_address {
  struct sockaddr_storage addr;
  socklen_t len;
};

struct turn_addresses {
  size_t count;
  struct turn_address list[TURN_ADDRESSES_MAX];
};

/* Reads HOST, HOST:PORT, [V6], [V6]:PORT, V6, or a URI: turn: and turns: (RFC 7065), stun: and stuns: (RFC 7064), as
 * they stand in iceServers, and https:. A turn: URI without transport= means UDP, a turns: URI TLS; with transport=udp
 * it means DTLS. 0, or EINVAL with a sentence in error. */
int turn_target_parse(const char *text, struct turn_target *target, char *error, size_t cap);
/* Finds the addresses of a target, at least one; default_port is taken where it has no port. family: AF_UNSPEC for
 * all. 0, or ENOENT with a sentence in error. */
int turn_target_resolve(const struct turn_target *target, const char *default_port, int family, int socktype,
                        struct turn_addresses *out, char *error, size_t cap);

#endif
