/*
 * daemon.h - what the parts of turncredd share
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_DAEMON_H
#define TURNCREDD_DAEMON_H

#include "turncredd/supply/reserve.h"
#include "turncredd/supply/delivery.h"
#include "base/journal.h"
#include "base/kek.h"
#include "limits.h"
#include "metrics.h"
#include "turncredd/supply/pusher.h"
#include "daemon_settings.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct fetcher;
struct jwks;

/* What a reload replaces at one stroke; requests keep the one they began with. */
struct reloadable {
  atomic_uint refs;
  struct settings settings;
  struct jwks *jwks;     /* from a file; NULL: see fetcher, or no token exchange */
  struct kek_ring *keks; /* to seal pushed credentials with */
};

struct daemon {
  const char *config_path;
  char instance[256];
  char conninfo[CONF_VALUE_MAX]; /* read-write; a reload does not change it */
  pthread_mutex_t lock;
  struct reloadable *reloadable; /* under lock */
  struct store *store;
  struct journal *journal;
  struct reserve *reserve;
  struct limits *limits;
  struct delivery *delivery;
  struct pusher *pusher;
  struct fetcher *fetcher;
  struct metrics metrics;
  int64_t started_at;
  atomic_bool draining;
  atomic_uint pending; /* requests that wait for the journal or a push */
};

/* Reads the settings file and what it names. NULL with a sentence in err. */
struct reloadable *reloadable_read(const char *path, char *err, size_t err_cap);
struct reloadable *reloadable_get(struct daemon *daemon); /* with a reference */
void reloadable_unref(struct reloadable *reloadable);

/* Of the calling thread; made at its first use, gone with the thread. NULL: no memory. */
struct store_reader *thread_reader(struct daemon *daemon);
struct turncred_ws *thread_ws(void);
int threads_init(void);

#endif
