/*
 * transport.h - the way to the TURN server: datagrams (UDP, DTLS), or frames in a stream (TCP, TLS)
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
  struct turn_tls *tls; /* NULL: in clear */
  uint8_t *stream;      /* octets of a stream not handed out yet */
  size_t stream_len;
};

/* "HOST", "HOST:PORT", "[V6]:PORT" to an address; default_port where none is given. text gets a
 * message when it fails. */
int turn_resolve(const char *host_port, const char *default_port, int socktype,
                 struct sockaddr_storage *addr, socklen_t *addr_len, char *text, size_t cap);
/* The HOST of it, for certificates. */
void turn_host(const char *host_port, char *out, size_t cap);
/* Connects, and shakes hands where TLS or DTLS is asked for (tls may be NULL otherwise). local may
 * be NULL (any). text gets a message when it fails. */
int turn_transport_open(struct turn_transport *t, enum turn_protocol protocol,
                        const struct sockaddr *remote, socklen_t remote_len,
                        const struct sockaddr *local, socklen_t local_len,
                        const struct turn_tls_options *tls, int64_t deadline, char *text,
                        size_t cap);
int turn_transport_send(struct turn_transport *t, const uint8_t *data, size_t len,
                        int64_t deadline);
/* One message or ChannelData. ETIMEDOUT; ECONNRESET when a stream has ended; ECONNREFUSED (ICMP);
 * EBADMSG when a stream holds something else. buf of TURN_FRAME_MAX octets. */
int turn_transport_receive(struct turn_transport *t, uint8_t *buf, size_t *len, int64_t deadline);
void turn_transport_close(struct turn_transport *t);

#endif
