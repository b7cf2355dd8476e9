/*
 * connections.h - the connections of a listener: how long each may take, and which one makes way when there are too
 * many
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A connection is proven once a caller has authenticated on it. Where connections are too many, those of one address or
 * all of them, the oldest one that is not proven and is not being answered makes way. An IPv6 address counts with all
 * others of its /64, which is what one subscriber has.
 */
#ifndef TURNCREDD_CONNECTIONS_H
#define TURNCREDD_CONNECTIONS_H

#include <microhttpd.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

enum connection_phase {
  CONNECTION_NEW, /* the handshake, and until the first request begins */
  CONNECTION_ARRIVING,
  CONNECTION_ANSWERING,
  CONNECTION_IDLE
};

struct connection;

struct connections {
  pthread_mutex_t lock;
  struct connection *oldest, *newest;
  size_t count; /* without those that are being ended */
};

struct connection_limits {
  size_t all, unproven_per_address;
  int64_t first_ms, request_ms, idle_ms; /* until the first request begins; for a request to arrive; between requests */
};

void connections_init(struct connections *connections);
void connections_clear(struct connections *connections); /* it must be empty */

/* Adds a connection, and ends others where there are too many. owner: its own counter, which counts it until
 * connection_gone. NULL: out of memory; the connection is then ended. */
struct connection *connection_new(struct connections *connections, struct MHD_Connection *mhd, size_t *owner,
                                  const struct connection_limits *limits);
void connection_gone(struct connections *connections, struct connection *connection);
/* Sets the phase of the connection that mhd is. proven: a caller has authenticated on it. */
void connection_phase(struct connections *connections, struct MHD_Connection *mhd, enum connection_phase phase,
                      int proven);
/* Ends connections that take too long. Returns how many are not idle. */
size_t connections_end_slow(struct connections *connections, const struct connection_limits *limits);
/* Reads a counter of connection_new. */
size_t connections_of(struct connections *connections, const size_t *owner);

#endif
