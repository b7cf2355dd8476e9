/*
 * feed.h - follows the database: a full load, then changes by transaction id
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Transaction ids, not row numbers, say which changes are new: of two changes the one with the smaller
 * number may commit later. The feed applies each visible change once whose xid is at or above the xmin
 * of the database snapshot that it read before. Everything below the new xmin is then in force.
 */
#ifndef TURNCRED_FEED_H
#define TURNCRED_FEED_H

#include "rows.h"

/* A change that has been applied. */
struct feed_change {
  int64_t id;
  uint64_t xid;
  int64_t at; /* UTC seconds of the database's clock */
  char random[37];
};

struct feed {
  struct pg db;
  struct rows rows;
  bool credentials; /* loads pushed credentials (servers do, issuers do not) */
  bool loaded;
  bool standby;              /* the database is in recovery */
  char identity[128];        /* of the database; if it changes, everything is loaded anew */
  uint64_t xmin;             /* progress */
  int64_t looked_at;         /* UTC seconds of the database's clock at the last look that succeeded */
  struct feed_change *known; /* applied changes: all with xid >= xmin, and the newest others */
  size_t known_count, known_cap;
  bool from_disk;               /* identity and xmin come from the snapshot on disk */
  bool servers_changed;         /* a look has seen that; the store takes it back */
  bool lost_told;               /* the log says already that history was lost; the load has not succeeded yet */
  int64_t lag_since;            /* clock_ms since a standby is behind what is loaded; 0: it is not */
  char message[PG_LINE];        /* why the last look failed */
  store_session_fn session_end; /* called for each session that was ended; may be NULL */
  void *session_end_arg;
};

void feed_init(struct feed *feed, int wake_fd, bool credentials, const struct kek_ring *keks, store_log_fn log,
               void *arg);
void feed_clear(struct feed *feed);

enum feed_result {
  FEED_SAME,    /* nothing is new; progress may have moved */
  FEED_CHANGED, /* *out is the next snapshot, which the caller frees */
  FEED_FAILED,  /* message says why; db.conn is NULL if the connection is lost */
  FEED_STOPPED, /* the wake descriptor is readable */
};

/* Looks at the database once, in one transaction. from: the newest snapshot; NULL: there is none yet.
 * seed: of the hashes of a new snapshot. full: everything is loaded. */
enum feed_result feed_look(struct feed *feed, const struct store_snapshot *from, uint64_t seed, bool full,
                           struct store_snapshot **out);
/* True while transactions are open that may yet commit a change below those read: the caller looks
 * again soon. */
bool feed_unsettled(const struct feed *feed);

#endif
