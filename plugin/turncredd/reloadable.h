/*
 * reloadable.h - what a reload replaces at one stroke: settings, keys of issuers, key encryption keys
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Immutable once it has been read. A request keeps the one that it began with.
 */
#ifndef TURNCREDD_RELOADABLE_H
#define TURNCREDD_RELOADABLE_H

#include "base/kek.h"
#include "client_trust.h"
#include "daemon_settings.h"
#include "turncredd/jwt/jwks.h"

#include <pthread.h>
#include <stdatomic.h>

struct reloadable {
  atomic_uint refs;
  struct settings settings;
  struct jwks *jwks[ISSUERS_MAX]; /* of each issuer, from a file; NULL: the keys come from a URL */
  struct kek_ring *keks;
  struct client_trust *client_trust; /* NULL: callers show no certificates */
};

/* The place of the one that is in force. */
struct reloadable_slot {
  pthread_mutex_t lock;
  struct reloadable *current; /* under lock; the main thread, which alone replaces it, needs none */
};

/* Reads the settings file and the files that it names. NULL with a sentence in err. */
struct reloadable *reloadable_read(const char *path, char *err, size_t err_cap);
void reloadable_unref(struct reloadable *reloadable); /* NULL is allowed */

/* The slot takes over the caller's reference to first. */
void reloadable_slot_init(struct reloadable_slot *slot, struct reloadable *first);
/* The one in force, with a reference for the caller. */
struct reloadable *reloadable_get(struct reloadable_slot *slot);
/* Puts fresh, whose reference the slot takes over, in the place of the one in force. */
void reloadable_replace(struct reloadable_slot *slot, struct reloadable *fresh);

#endif
