/*
 * pusher.h - the thread that pushes credentials and waits until the TURN servers have them
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A push is done when every server that has not stopped, and reported anything lately, has reported the change. A
 * database that does not answer costs a push one time-out at most: the pushes that wait behind it fail together with
 * it.
 */
#ifndef TURNCREDD_PUSHER_H
#define TURNCREDD_PUSHER_H

#include "base/conf.h"
#include "core/turncred.h"

#include <stdbool.h>
#include <stdint.h>

enum push_result {
  PUSH_DONE,    /* the live servers have the change */
  PUSH_LATE,    /* the change is in the database; not every server has reported it in time */
  PUSH_MISSING, /* there was no credential to remove */
  PUSH_REFUSED, /* a rule of the schema refused it; see text */
  PUSH_REVOKED, /* the user or the realm is revoked */
  PUSH_FAILED,  /* the database is there and has failed, which is logged: nothing was changed */
  PUSH_UNKNOWN, /* the database is away: the change may or may not have been made */
};

enum push_kind { PUSH_PUT, PUSH_REMOVE, PUSH_REVOKE };

struct push {
  enum push_kind kind;
  char realm[TURNCRED_REALM_MAX + 1];
  char username[TURNCRED_USERNAME_MAX + 1];
  char user[TURNCRED_USERNAME_MAX + 1];       /* whose credential it is; "": the username is the user id */
  char kek_id[65];                            /* "": octets are not sealed */
  uint8_t octets[TURNCRED_CREDENTIAL_SEALED]; /* the sealed long-term keys, or the MD5 and the SHA-256 one */
  int64_t expiry;
  char client_address[64];
  int64_t max_bps, max_allocations; /* 0: as the realm has it */
  char caller[65];
  char provider[CONF_NAME_MAX]; /* whose access token the user showed; "": none */
  uint32_t wait_ms;
  int64_t silent_ms; /* a server that has not reported for so long is not waited for */
  void (*done)(struct push *push, enum push_result result, void *arg); /* called on the pusher's thread */
  void *arg;
  char text[PG_LINE]; /* the database's error */
  /* for the pusher alone */
  struct push *next;
  uint64_t xid;
  int64_t deadline_ms;
};

struct pusher;
/* conninfo and instance live as long as the pusher. database_ms: milliseconds until a database that is silent is away.
 * NULL: out of memory, descriptors or threads. */
struct pusher *pusher_start(const char *conninfo, const char *instance, uint32_t database_ms);
void pusher_stop(struct pusher *pusher); /* no push may be waiting; NULL is allowed */
/* Adds a push, which lives until its function done is called. */
void pusher_add(struct pusher *pusher, struct push *push);

#endif
