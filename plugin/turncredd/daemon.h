/*
 * daemon.h - the parts of turncredd, which main.c starts and a request finds
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_DAEMON_H
#define TURNCREDD_DAEMON_H

#include "base/journal.h"
#include "limits.h"
#include "metrics.h"
#include "reloadable.h"
#include "store/store.h"
#include "threads.h"
#include "turncredd/jwt/fetcher.h"
#include "turncredd/supply/delivery.h"
#include "turncredd/supply/pusher.h"
#include "turncredd/supply/reserve.h"

#include <stdatomic.h>
#include <stdbool.h>

struct daemon {
  const char *config_path;
  char instance[256];
  /* as they were at the start, which a reload does not change */
  char conninfo[CONF_VALUE_MAX]; /* read-write */
  char state_dir[CONF_VALUE_MAX];
  struct reloadable_slot reloadable;
  struct store *store;
  struct journal *journal;
  struct reserve *reserve;
  struct limits *limits;
  struct delivery *delivery;
  struct pusher *pusher;
  struct fetchers *fetchers;
  struct metrics metrics;
  int64_t started_at; /* UTC seconds */
  atomic_bool draining;
  atomic_bool closed;  /* no handler is called any more */
  atomic_uint pending; /* requests whose handler runs, or that wait for the journal or for a push */
};

#endif
