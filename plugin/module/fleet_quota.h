/*
 * fleet_quota.h - how many allocations users at their quota have on other servers
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * For realms with quota_scope fleet. The thread that delivers usage asks the database for users who are at their quota;
 * relay threads look at its last answer, which stays while the database is away.
 */
#ifndef TURNCRED_FLEET_QUOTA_H
#define TURNCRED_FLEET_QUOTA_H

#include "module.h"
#include "pg/pg.h"

#define FLEET_QUOTA_MS 2000 /* between two questions */

struct fleet_quota;
struct fleet_quota *fleet_quota_new(void);        /* NULL: out of memory */
void fleet_quota_free(struct fleet_quota *quota); /* NULL is allowed */
/* Asks the database on this connection, in the name of this instance. False: it failed, the last answer stays. */
bool fleet_quota_load(struct fleet_quota *quota, struct pg *db, const char *instance);
/* Allocations of the subject on other servers; 0 unless it is at its quota in a realm with quota_scope fleet. */
uint64_t fleet_quota_elsewhere(struct fleet_quota *quota, struct thread *thread, const struct store_realm *realm,
                               const char *user, const char *fingerprint);

#endif
