/*
 * feed.h - follows the database: full load, then changes
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Transaction ids, not row numbers, say what is new: of two changes the smaller number may commit
 * later. A reader applies all visible changes with xid >= the xmin of the snapshot it read before
 * (once each, idempotently) and then knows that everything below the new xmin is in.
 */
#ifndef TURNCRED_FEED_H
#define TURNCRED_FEED_H

#include "rows.h"

/* A change that has been applied. */
struct feed_change {
  int64_t id;
  uint64_t xid;
  char random[37];
};

struct feed {
  struct pg db;
  struct rows rows;
  bool credentials; /* loads pushed credentials (servers do, issuers do not) */
  bool loaded;
  bool standby;              /* the database is in recovery */
  char identity[128];        /* of the database; a change of it is a reason to load anew */
  uint64_t xmin;             /* progress */
  struct feed_change *known; /* applied: all with xid >= xmin, and the newest others */
  size_t known_count, known_cap;
  bool from_disk;     /* identity and xmin are those of a snapshot from the disk */
  bool lost_told;     /* the log knows that history was lost; it is not yet loaded anew */
  int64_t lag_since; /* clock_ms since a standby is behind what we have; 0: it is not */
  char message[300];  /* why it failed, or what there is to say */
};

void feed_init(struct feed *feed, int wake_fd, bool credentials, const struct kek_ring *keks,
               store_log_fn log, void *arg);
void feed_clear(struct feed *feed);

enum feed_result {
  FEED_SAME,    /* nothing new; progress may have moved */
  FEED_CHANGED, /* *out is the next snapshot; the caller's */
  FEED_FAILED,  /* message says why; db.conn is NULL if the connection is lost */
  FEED_STOPPED, /* the wake descriptor is readable */
};

/* One look at the database, in one transaction. from: the newest snapshot, NULL if there is none
 * yet. full: load everything. */
enum feed_result feed_look(struct feed *feed, const struct store_snapshot *from, uint64_t seed,
                           bool full, struct store_snapshot **out);
/* True while transactions are open that were open when changes were read: look again soon. */
bool feed_unsettled(const struct feed *feed);

#endif
