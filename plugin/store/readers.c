/*
 * readers.c - hands the newest snapshot to reader threads, and frees replaced ones
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "readers.h"

#include <stdlib.h>

struct store_reader {
  _Alignas(64) _Atomic(const struct store_snapshot *) using; /* a cache line of its own */
  struct readers *readers;
  struct store_reader *next;
};

void readers_init(struct readers *readers) {
  pthread_mutex_init(&readers->lock, NULL);
  atomic_init(&readers->current, NULL);
}

void readers_free(struct readers *readers) {
  snapshot_free(readers_current(readers));
  while (readers->replaced) {
    struct store_snapshot *next = readers->replaced->next;
    snapshot_free(readers->replaced);
    readers->replaced = next;
  }
  pthread_mutex_destroy(&readers->lock);
}

struct store_reader *readers_add(struct readers *readers) {
  struct store_reader *reader = aligned_alloc(64, sizeof *reader);
  if (!reader) {
    return NULL;
  }
  atomic_init(&reader->using, NULL);
  reader->readers = readers;
  pthread_mutex_lock(&readers->lock);
  reader->next = readers->first;
  readers->first = reader;
  pthread_mutex_unlock(&readers->lock);
  return reader;
}

void store_reader_free(struct store_reader *reader) {
  if (!reader) {
    return;
  }
  struct readers *readers = reader->readers;
  pthread_mutex_lock(&readers->lock);
  struct store_reader **at = &readers->first;
  while (*at != reader) {
    at = &(*at)->next;
  }
  *at = reader->next;
  pthread_mutex_unlock(&readers->lock);
  free(reader);
}

const struct store_snapshot *store_acquire(struct store_reader *reader) {
  struct store_snapshot *snapshot = atomic_load(&reader->readers->current);
  for (;;) {
    atomic_store(&reader->using, snapshot);
    struct store_snapshot *now = atomic_load(&reader->readers->current);
    if (now == snapshot) {
      return snapshot;
    }
    snapshot = now; /* the snapshot was replaced before this thread had marked it: it may be freed */
  }
}

void store_release(struct store_reader *reader) { atomic_store_explicit(&reader->using, NULL, memory_order_release); }

void readers_reap(struct readers *readers) {
  struct store_snapshot **at = &readers->replaced;
  while (*at) {
    struct store_snapshot *snapshot = *at;
    bool in_use = false;
    pthread_mutex_lock(&readers->lock);
    for (struct store_reader *r = readers->first; r && !in_use; r = r->next) {
      in_use = atomic_load(&r->using) == snapshot;
    }
    pthread_mutex_unlock(&readers->lock);
    if (in_use) {
      at = &snapshot->next;
    } else {
      *at = snapshot->next;
      snapshot_free(snapshot);
    }
  }
}

void readers_publish(struct readers *readers, struct store_snapshot *snapshot) {
  struct store_snapshot *old = atomic_load(&readers->current);
  snapshot->generation = old ? old->generation + 1 : 1;
  atomic_store(&readers->current, snapshot);
  if (old) {
    old->next = readers->replaced;
    readers->replaced = old;
  }
  readers_reap(readers);
}
