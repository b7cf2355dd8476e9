/*
 * delivery.h - the thread that takes the journal to the database, and brings callers and reserves
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * While the database is away, the thread tries again with growing pauses; issuing goes on from the
 * callers and the reserves that were brought before, or that sealed files of state_dir have.
 */
#ifndef TURNCREDD_DELIVERY_H
#define TURNCREDD_DELIVERY_H

#include "base/journal.h"
#include "directory.h"
#include "reserve.h"
#include "sealed_file.h"
#include "store/store.h"
#include "turncredd/metrics.h"
#include "turncredd/reloadable.h"

struct delivery;

/* The texts and the parts named here live as long as the delivery. */
struct delivery_config {
  const char *conninfo, *instance;
  const char *state_dir;  /* the folder set-aside in it keeps entries that the database refuses for good */
  size_t journal_entries; /* so many entries may be set aside */
  uint32_t poll_ms;       /* milliseconds between two loads of the callers */
  bool listen;            /* a notification makes them loaded at once */
  uint64_t token_reserve; /* tokens reserved at a time under each key */
  struct store *store;
  struct journal *journal;
  struct reserve *reserve;
  struct metrics *metrics;
  struct reloadable_slot *reloadable; /* for the key encryption keys in force */
  struct sealed_folder folder;        /* path NULL: no sealed files are kept */
  uint32_t callers_max_age;           /* seconds: older callers in a sealed file are refused */
};

/* 0, or -1 with a sentence in err. */
int delivery_start(struct delivery **out, const struct delivery_config *config, char *err, size_t err_cap);
/* Delivers the rest of the journal for wait_ms milliseconds at most and ends the thread. The store is
 * stopped later. NULL is allowed. */
void delivery_stop(struct delivery *delivery, uint32_t wait_ms);
/* To be called when neither the store nor the journal can call delivery_wake any more. NULL is allowed. */
void delivery_free(struct delivery *delivery);
/* Tells the thread that there are entries, that a reserve runs low, or that there is a new snapshot.
 * Any thread may call it. */
void delivery_wake(struct delivery *delivery);
/* Lets the thread try again to deliver entries that are set aside. Any thread may call it. */
void delivery_replay(struct delivery *delivery);
/* How many entries of the journal the database has refused for good. */
size_t delivery_set_aside(const struct delivery *delivery);
/* The newest directory, with a reference for the caller. NULL: none has been loaded yet. */
struct directory *delivery_directory(struct delivery *delivery);
/* Is the journal being delivered, or is the database away? */
bool delivery_connected(struct delivery *delivery);
/* May tokens under a key that has none be reserved in a moment? So it is while the database is there, for a while after
 * it was found away (it may restart), and after a start until it is known whether it is there. */
bool delivery_reserves(struct delivery *delivery);

#endif
