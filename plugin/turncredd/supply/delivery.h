/*
 * delivery.h - the thread that takes the journal to the database, and brings callers and reserves
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_DELIVERY_H
#define TURNCREDD_DELIVERY_H

#include "reserve.h"
#include "directory.h"
#include "base/journal.h"
#include "turncredd/metrics.h"
#include "store/store.h"

struct delivery;

struct delivery_config {
  const char *conninfo, *instance;
  uint32_t poll_ms;
  bool listen;
  uint32_t keep_max_age;  /* seconds */
  uint64_t token_reserve; /* at a time */
  struct store *store;
  struct journal *journal;
  struct reserve *reserve;
  struct metrics *metrics;
  struct daemon *daemon; /* for the key encryption keys in force */
};

/* 0, or -1 with a sentence in err. All of config lives as long as the delivery. */
int delivery_start(struct delivery **out, const struct delivery_config *config, char *err,
                  size_t err_cap);
/* Tries to deliver what is left, for so long at the most, then ends. Before the store is stopped;
 * NULL is fine. */
void delivery_stop(struct delivery *delivery, uint32_t wait_ms);
/* When nobody is left who could wake it: after the store and the journal. */
void delivery_free(struct delivery *delivery);
/* There is something to do: entries, a reserve that runs low, a new snapshot. From any thread. */
void delivery_wake(struct delivery *delivery);
/* The newest directory, with a reference for the caller; NULL: none has been loaded. */
struct directory *delivery_directory(struct delivery *delivery);
bool delivery_connected(struct delivery *delivery);

#endif
