/*
 * transport.h - sends and receives messages over UDP, DTLS, TCP or TLS
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions return 0 or an errno value. Deadlines are clock_ms() values.
 */
#ifndef TURNCRED_TURN_TRANSPORT_H
#define TURNCRED_TURN_TRANSPORT_H

#include "tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define TURN_FRAME_MAX 65556 /* header and 65535 octets, the longest STUN message */

enum turn_protocol { TURN_UDP, TURN_TCP, TURN_DTLS, TURN_TLS };

/* "UDP", "TCP", "DTLS", "TLS" */
const char *turn_protocol_name(enum turn_protocol protocol);
bool turn_protocol_is_stream(enum turn_protocol protocol);

struct turn_transport {
  int fd; /* -1: closed */
  enum turn_protocol protocol;
  struct sockaddr_storage local, remote;
  socklen_t local_len, remote_len;
  struct turn_tls *tls; /* NULL: UDP or TCP without TLS */
  uint8_t *stream;      /* octets of a stream that no call has returned yet */
  size_t stream_len;
};

/* Connects, and for TLS and DTLS makes the handshake (for other protocols tls may be NULL). local: the
 * address from which the client sends; NULL: any. When it fails, text gets a message. */
int turn_transport_open(struct turn_transport *t, enum turn_protocol protocol, const struct sockaddr *remote,
                        socklen_t remote_len, const struct sockaddr *local, socklen_t local_len,
                        const struct turn_tls_options *tls, int64_t deadline, char *text, size_t cap);
int turn_transport_send(struct turn_transport *t, const uint8_t *data, size_t len, int64_t deadline);
/* Receives one message or ChannelData into buf, which has TURN_FRAME_MAX octets. ETIMEDOUT; ECONNRESET:
 * the stream has ended; ECONNREFUSED: an ICMP message said so; EBADMSG: the stream holds neither. */
int turn_transport_receive(struct turn_transport *t, uint8_t *buf, size_t *len, int64_t deadline);
void turn_transport_close(struct turn_transport *t);

#endif
