/*
 * courier.h - the thread that takes the journal to the database, and brings callers and reserves
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_COURIER_H
#define TURNCREDD_COURIER_H

#include "reserve.h"
#include "directory.h"
#include "base/journal.h"
#include "turncredd/metrics.h"
#include "store/store.h"

struct courier;

struct courier_config {
  const char *conninfo, *instance;
  uint32_t poll_ms;
  bool listen;
  uint32_t keep_max_age;  /* seconds */
  uint64_t token_reserve; /* at a time */
  struct store *store;
  struct journal *journal;
  struct budget *budget;
  struct metrics *metrics;
  struct daemon *daemon; /* for the key encryption keys in force */
};

/* 0, or -1 with a sentence in err. All of config lives as long as the courier. */
int courier_start(struct courier **out, const struct courier_config *config, char *err,
                  size_t err_cap);
/* Tries to deliver what is left, for so long at the most, then ends. Before the store is stopped;
 * NULL is fine. */
void courier_stop(struct courier *courier, uint32_t wait_ms);
/* When nobody is left who could wake it: after the store and the journal. */
void courier_free(struct courier *courier);
/* There is something to do: entries, a reserve that runs low, a new snapshot. From any thread. */
void courier_wake(struct courier *courier);
/* The newest directory, with a reference for the caller; NULL: none has been loaded. */
struct directory *courier_directory(struct courier *courier);
bool courier_connected(struct courier *courier);

#endif
