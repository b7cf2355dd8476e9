/*
 * alternate.h - where clients of a drained server are sent
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_ALTERNATE_H
#define TURNCRED_ALTERNATE_H

#include "module.h"

struct alternates;
/* Starts the thread that looks up addresses. NULL: out of memory or threads. */
struct alternates *alternates_start(void);
void alternates_stop(struct alternates *alternates); /* NULL is allowed */
/* Takes a new list of servers, which is released here; it is in force at once. */
void alternates_put(struct alternates *alternates, struct store_servers *servers);
/* Fills in where the client is to go: a server that lives, advertises an address of the client's family, and takes its
 * transport; one of the region first. False: there is none. */
bool alternates_find(struct alternates *alternates, const struct coturn_auth_allocate *request, const char *region,
                     struct coturn_auth_denial *denial);

#endif
