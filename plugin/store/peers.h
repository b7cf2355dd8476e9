/*
 * peers.h - tells the host which addresses the database has, each once, so that it can deny them
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_PEERS_H
#define TURNCRED_PEERS_H

#include "store.h"

#include <libpq-fe.h>
#include <sys/socket.h>

#define PEERS_MAX 32

struct peers {
  store_peer_fn tell; /* NULL: the host does not want to know */
  void *arg;
  size_t count;
  struct sockaddr_storage known[PEERS_MAX]; /* told already */
};

/* All addresses that the connection string names, whether a server answers there now or not.
 * Nothing is looked up when *all_told is true; it becomes true when every name has been found. */
void peers_tell_named(struct peers *peers, PGconn *conn, bool *all_told);
/* The address that the connection uses: a name may lead elsewhere than it did. */
void peers_tell_connected(struct peers *peers, PGconn *conn);

#endif
