/*
 * readers.h - hands the newest snapshot to reader threads, and frees replaced ones
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A reader marks the snapshot that it reads. The store's thread frees a replaced snapshot when no
 * mark names it: neither side waits for the other.
 */
#ifndef TURNCRED_READERS_H
#define TURNCRED_READERS_H

#include "snapshot.h"

#include <pthread.h>
#include <stdatomic.h>

struct readers {
  _Atomic(struct store_snapshot *) current;
  struct store_snapshot *replaced; /* a list: some may still be read */
  pthread_mutex_t lock;            /* of the list of readers */
  struct store_reader *first;
};

void readers_init(struct readers *readers);
void readers_free(struct readers *readers);                /* with all snapshots; no reader may be left */
struct store_reader *readers_add(struct readers *readers); /* NULL: out of memory */
/* These three are for the store's thread alone. */
static inline struct store_snapshot *readers_current(struct readers *readers) { return atomic_load(&readers->current); }
void readers_publish(struct readers *readers, struct store_snapshot *snapshot);
void readers_reap(struct readers *readers); /* frees replaced snapshots that nobody reads */

#endif
