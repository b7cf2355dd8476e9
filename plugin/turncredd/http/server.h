/*
 * server.h - the HTTPS listener
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The listening socket lives as long as the daemon. A reload puts a new libmicrohttpd daemon on it,
 * with the new certificates; the old one goes on until its last connection has ended.
 */
#ifndef TURNCREDD_SERVER_H
#define TURNCREDD_SERVER_H

#include "route.h"

struct server;

/* Both: 0, or -1 with a sentence in err. A failed reload leaves everything as it was. */
int server_start(struct server **out, struct daemon *daemon, const struct route *routes,
                 const struct reloadable *reloadable, char *err, size_t err_cap);
int server_reload(struct server *server, const struct reloadable *reloadable, char *err, size_t err_cap);
/* Several times a second: ends connections that take too long, and daemons that are done. */
void server_tick(struct server *server);
/* Accepts nothing more and tells clients to go; true when no request is being answered. */
void server_quiesce(struct server *server);
bool server_quiet(struct server *server);
void server_stop(struct server *server); /* nothing may be pending; NULL is fine */

#endif
