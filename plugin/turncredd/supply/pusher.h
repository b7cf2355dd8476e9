/*
 * pusher.h - the thread that pushes credentials and waits until the TURN servers have them
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A push is done when every server that was heard of in the last minute has reported the change. A
 * database that does not answer costs each push one time-out at the most: those that wait behind it
 * fail together with it.
 */
#ifndef TURNCREDD_PUSHER_H
#define TURNCREDD_PUSHER_H

#include "core/turncred.h"

#include <stdbool.h>
#include <stdint.h>

enum push_result {
  PUSH_DONE,    /* the live servers have it */
  PUSH_LATE,    /* it is in the database; not every server has reported it in time */
  PUSH_MISSING, /* there was nothing to take back */
  PUSH_REFUSED, /* a rule of the schema; see text */
  PUSH_REVOKED, /* the user is revoked */
  PUSH_UNKNOWN, /* the database is away: it may or may not have been done */
};

enum push_kind { PUSH_PUT, PUSH_REMOVE, PUSH_REVOKE };

struct push {
  enum push_kind kind;
  char realm[TURNCRED_REALM_MAX + 1];
  char username[TURNCRED_USERNAME_MAX + 1];
  char kek_id[65];                            /* "": plain */
  uint8_t octets[TURNCRED_CREDENTIAL_SEALED]; /* sealed, or MD5 and SHA-256 */
  int64_t expiry;
  char client_address[64];
  char caller[65];
  uint32_t wait_ms;
  void (*done)(struct push *push, enum push_result result, void *arg); /* on the pusher's thread */
  void *arg;
  char text[256]; /* what the database said */
  /* the pusher's own */
  struct push *next;
  uint64_t xid;
  int64_t deadline_ms;
};

struct pusher;
/* NULL: no memory, descriptors or threads. conninfo and instance live as long. */
struct pusher *pusher_start(const char *conninfo, const char *instance, uint32_t database_ms);
void pusher_stop(struct pusher *pusher); /* when nothing is pending; NULL is fine */
/* push lives until done is called. */
void pusher_add(struct pusher *pusher, struct push *push);

#endif
