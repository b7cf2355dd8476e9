/*
 * server.h - the HTTPS listener, and the monitor listener
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A listening socket lives as long as the server. A reload starts a new generation, a libmicrohttpd daemon with the new
 * certificates, on the socket; the old generation goes on until its last connection has ended.
 */
#ifndef TURNCREDD_SERVER_H
#define TURNCREDD_SERVER_H

#include "route.h"

struct server;

/* Both return 0, or -1 with a sentence in err. A reload that fails leaves everything as it was. routes: the table of
 * what the server serves. */
int server_start(struct server **out, struct daemon *daemon, const struct route *routes,
                 const struct reloadable *reloadable, char *err, size_t err_cap);
int server_reload(struct server *server, const struct reloadable *reloadable, char *err, size_t err_cap);
/* To be called several times a second: ends connections that take too long, and old generations without connections. */
void server_tick(struct server *server);
/* Accepts no more connections, and closes each connection after its next answer. */
void server_quiesce(struct server *server);
/* Is no request arriving or being answered? */
bool server_quiet(struct server *server);
void server_stop(struct server *server); /* no request may be waiting; NULL is allowed */

#endif
