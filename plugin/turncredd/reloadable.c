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
  for (size_t i = 0; !rc && i < s->issuer_count; i++) {
    if (!issuer_has_url(&s->issuers[i])) {
      rc = jwks_read(&reloadable->jwks[i], s->issuers[i].jwks, err, cap);
    }
  }
  if (!rc && *s->tls_client_ca) {
    rc = client_trust_read(&reloadable->client_trust, s->tls_client_ca, s->tls_client_crl, err, cap);
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
  for (size_t i = 0; i < ISSUERS_MAX; i++) {
    jwks_unref(reloadable->jwks[i]);
  }
  kek_ring_free(reloadable->keks);
  client_trust_free(reloadable->client_trust);
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
