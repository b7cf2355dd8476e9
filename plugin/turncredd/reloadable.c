/*
 * reloadable.c - what a reload replaces at one stroke
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "reloadable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reloadable *reloadable_read(const char *path, char *err, size_t cap) {
  struct reloadable *reloadable = calloc(1, sizeof *reloadable);
  if (!reloadable) {
    snprintf(err, cap, "out of memory");
    return NULL;
  }
  atomic_init(&reloadable->refs, 1);
  struct settings *s = &reloadable->settings;
  int rc = settings_read(s, path, err, cap);
  if (!rc) {
    rc = kek_ring_load(&reloadable->keks, s->store.kek, err, cap);
  }
  if (!rc && *s->jwt_issuer && !settings_is_url(s->jwt_jwks)) {
    rc = jwks_read(&reloadable->jwks, s->jwt_jwks, err, cap);
  }
  if (rc) {
    reloadable_unref(reloadable);
    return NULL;
  }
  return reloadable;
}

void reloadable_unref(struct reloadable *reloadable) {
  if (!reloadable || atomic_fetch_sub(&reloadable->refs, 1) != 1) {
    return;
  }
  jwks_unref(reloadable->jwks);
  kek_ring_free(reloadable->keks);
  /* a connection string may hold a password */
  explicit_bzero(&reloadable->settings, sizeof reloadable->settings);
  free(reloadable);
}

void reloadable_slot_init(struct reloadable_slot *slot, struct reloadable *first) {
  pthread_mutex_init(&slot->lock, NULL);
  slot->current = first;
}

struct reloadable *reloadable_get(struct reloadable_slot *slot) {
  pthread_mutex_lock(&slot->lock);
  struct reloadable *reloadable = slot->current;
  atomic_fetch_add(&reloadable->refs, 1);
  pthread_mutex_unlock(&slot->lock);
  return reloadable;
}

void reloadable_replace(struct reloadable_slot *slot, struct reloadable *fresh) {
  pthread_mutex_lock(&slot->lock);
  struct reloadable *old = slot->current;
  slot->current = fresh;
  pthread_mutex_unlock(&slot->lock);
  reloadable_unref(old);
}
