/*
 * servers.h - the TURN servers of the fleet, as they may be named to clients
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The list is immutable and shared by reference; store.h has the part that readers see. The store's thread loads it
 * when the change feed names a server, and from time to time, since silence is no change.
 */
#ifndef TURNCRED_STORE_SERVERS_H
#define TURNCRED_STORE_SERVERS_H

#include "pg/pg.h"
#include "store.h"

#define SERVERS_SCHEMA 13 /* the first schema that has the function turncred.servers() */

/* Loads the list. old: the list before (NULL: none); self: the instance's own name. A server that was not heard of for
 * silent_ms is suspect, unless more than half of those that advertise something are silent: then each stays what it
 * was. 0, EIO (see db) or ENOMEM. */
int servers_load(struct store_servers **out, struct pg *db, const struct store_servers *old, const char *self,
                 int64_t silent_ms);
/* Whether this instance is drained; NULL: it is not. */
bool servers_self_draining(const struct store_servers *servers);

#endif
