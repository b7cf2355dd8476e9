/*
 * usage.h - who used what: records of allocations on their way from the relay threads to the database
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A relay thread only hands its record to memory: the room for a session's end is its record, which was made when it
 * began. The collector puts starts and ends into a journal in usage_dir five times a second, and what living sessions
 * have used so far into a table of bounded size, whose rows are dropped first. The deliverer takes both to the
 * database, a report after its start. A report that finds no room stays with its record. Nothing is opened, and no
 * folder is made, before a realm has sessions recorded.
 */
#ifndef TURNCRED_USAGE_H
#define TURNCRED_USAGE_H

#include "base/journal.h"
#include "module.h"
#include "pg/pg.h"

#include <stdatomic.h>

#define USAGE_REPORTS 16384 /* of living sessions, on their way */
#define USAGE_SENDING 2000  /* of them in a statement */
#define USAGE_ADDRESS 64    /* octets of ADDRESS:PORT with the NUL */
#define USAGE_STOP_MS 5000  /* for delivering when the server stops; what is left stays in the journal */

/* What is counted for a realm; never freed before the module is. */
struct usage_realm {
  struct usage_realm *next;
  atomic_uint_fast64_t live, sessions, received_octets, sent_octets;
  char name[TURNCRED_REALM_MAX + 1];
};

enum { USAGE_START = 1, USAGE_END = 2, USAGE_REPORT = 4 };

struct usage_record {
  struct usage_record *next;
  struct usage_realm *realm;
  uint64_t session;
  unsigned flags; /* what is new */
  bool queued;
  bool started;  /* its start is on disk: reports may follow */
  bool over;     /* its end is on its way */
  bool settled;  /* its end is on disk, or lost */
  unsigned held; /* entries of it that the journal has not answered for */
  size_t slot;   /* of its last report in usage.reports */
  enum store_mechanism mechanism;
  uint16_t transport;
  int64_t started_us, seen_us; /* seen: the end, once it is over */
  struct coturn_auth_traffic traffic;
  const char *why;
  char client[USAGE_ADDRESS], relayed[2 * USAGE_ADDRESS];
  bool addresses;
  char hash[33]; /* "": the user is named */
  char user[TURNCRED_USERNAME_MAX + 1], kid[TURNCRED_USERNAME_MAX + 1], fingerprint[33];
};

/* What a living session has used so far. A session has one, or more while a statement that failed is repeated. */
struct usage_report {
  uint64_t session;
  int64_t seen_us;
  struct coturn_auth_traffic traffic;
  char client[USAGE_ADDRESS];
};

struct usage {
  struct module *module;
  const char *folder; /* of the journal */
  size_t entries;
  int64_t life_us; /* when this life of the server began: sessions are numbered in it */
  pthread_t collector, deliverer;
  bool collecting, delivering;
  atomic_bool stop, stop_delivery;
  _Atomic(struct journal *) journal; /* NULL: none yet */
  atomic_uint_fast64_t dropped, lost, delivered;

  pthread_mutex_t lock;
  pthread_cond_t wake;
  /* under lock */
  struct usage_record *first, *last;
  size_t over; /* records whose end is not on disk */
  struct usage_realm *realms;
  struct usage_report *reports;
  size_t report_count;

  /* the collector's own */
  int64_t opened_ms; /* when the journal was tried last */
  char open_error[300];

  /* the deliverer's own */
  int wake_fd, stop_fd; /* stop_fd ends a statement */
  struct pg db;
  bool stream_open;
  struct usage_report *sending;
  int64_t quota_ms; /* when the fleet's quotas were asked for */
  uint64_t gone;    /* entries that are with the database, or given up */
  size_t batch;
  char error[PG_LINE];
};

/* --- usage.c --- */

/* NULL: out of memory or threads. */
struct usage *usage_start(struct module *module);
/* Ends the threads, after the journal has all that was handed over. NULL is allowed. */
void usage_stop(struct usage *usage);
/* A record for an allocation. NULL: nothing is to be recorded, or out of memory. */
struct usage_record *usage_begin(struct usage *usage, struct thread *thread, const struct subject *subject,
                                 const struct coturn_auth_allocation *allocation);
void usage_report(struct usage *usage, struct usage_record *record, const struct coturn_auth_session_report *report);
/* The record is usage's from now on. traffic NULL: as it was reported last. */
void usage_end(struct usage *usage, struct usage_record *record, const char *why,
               const struct coturn_auth_traffic *traffic);
int64_t usage_now(void); /* microseconds, UTC */
/* Calls fn for each realm. */
void usage_each_realm(struct usage *usage, void (*fn)(const struct usage_realm *realm, void *arg), void *arg);

/* --- usage_entry.c --- */

/* The octets of a journal's entry, behind its number. Returns their length. */
size_t usage_start_entry(const struct usage *usage, const struct usage_record *record, char out[JOURNAL_ENTRY_MAX]);
size_t usage_end_entry(const struct usage *usage, const struct usage_record *record, char out[JOURNAL_ENTRY_MAX]);
size_t usage_begin_entry(const struct usage *usage, char out[JOURNAL_ENTRY_MAX]);
/* Appends a report to a JSON array. */
size_t usage_report_entry(const struct usage_report *report, char *out, size_t cap);

/* --- usage_delivery.c --- */

void *usage_deliver(void *usage);

#endif
