/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "daemon.h"
#include "turncredd/jwt/jwks.h"

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
  if (!rc)
    rc = kek_ring_load(&reloadable->keks, s->store.kek, err, cap);
  if (!rc && *s->jwt_issuer && !settings_is_url(s->jwt_jwks))
    rc = jwks_read(&reloadable->jwks, s->jwt_jwks, err, cap);
  if (rc) {
    reloadable_unref(reloadable);
    return NULL;
  }
  return reloadable;
}

struct reloadable *reloadable_get(struct daemon *daemon) {
  pthread_mutex_lock(&daemon->lock);
  struct reloadable *reloadable = daemon->reloadable;
  atomic_fetch_add(&reloadable->refs, 1);
  pthread_mutex_unlock(&daemon->lock);
  return reloadable;
}

void reloadable_unref(struct reloadable *reloadable) {
  if (!reloadable || atomic_fetch_sub(&reloadable->refs, 1) != 1)
    return;
  jwks_unref(reloadable->jwks);
  kek_ring_free(reloadable->keks);
  explicit_bzero(&reloadable->settings, sizeof reloadable->settings); /* database may hold a password */
  free(reloadable);
}

/* --- of each thread ----------------------------------------------------------------------- */

static pthread_key_t reader_key, ws_key;

static void drop_reader(void *p) { store_reader_free(p); }
static void drop_ws(void *p) { turncred_ws_free(p); }

int threads_init(void) {
  return pthread_key_create(&reader_key, drop_reader) || pthread_key_create(&ws_key, drop_ws);
}

struct store_reader *thread_reader(struct daemon *daemon) {
  struct store_reader *reader = pthread_getspecific(reader_key);
  if (!reader && (reader = store_reader_new(daemon->store)) &&
      pthread_setspecific(reader_key, reader)) {
    store_reader_free(reader);
    reader = NULL;
  }
  return reader;
}

struct turncred_ws *thread_ws(void) {
  struct turncred_ws *ws = pthread_getspecific(ws_key);
  if (!ws && (ws = turncred_ws_new(16)) && pthread_setspecific(ws_key, ws)) {
    turncred_ws_free(ws);
    ws = NULL;
  }
  return ws;
}
