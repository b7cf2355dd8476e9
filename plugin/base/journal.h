/*
 * journal.h - what was issued, on disk before it is answered
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * One folder, one process (it is locked). Files of lines "CHECK JSON", where CHECK is the beginning
 * of the JSON's SHA-256; entries are numbered without gaps within a stream, whose random id stands
 * in the folder. A thread writes what has come together and syncs it once. A file is removed when
 * all of it has been delivered. A line that was being written when the power went is cut off at the
 * next start: nobody was answered for it.
 */
#ifndef TURNCREDD_JOURNAL_H
#define TURNCREDD_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_STREAM 37 /* a UUID with the NUL */

struct journal;

struct journal_issue {
  const char *realm, *kind, *kid, *fingerprint, *subject, *caller; /* UTF-8; never NULL */
  int64_t expiry;                                                  /* UTC seconds */
};

/* On the journal's thread, once. err: 0 (it is on disk), or an errno value. */
typedef void (*journal_done_fn)(int err, void *arg);

/* entries: how many undelivered ones it holds. 0, or -1 with a sentence in err. */
int journal_open(struct journal **out, const char *folder, size_t entries, char *err,
                 size_t err_cap);
void journal_close(struct journal *journal); /* after the last entry is done; NULL is fine */
const char *journal_stream(const struct journal *journal);

/* ENOSPC: full, ENOMEM; then done is not called. */
int journal_add(struct journal *journal, const struct journal_issue *issue, journal_done_fn done,
                void *arg);

/* The oldest undelivered entries that are on disk, at most max, as a JSON array, which the caller
 * frees; NULL: none, or no memory. *last: the number of the last of them. */
char *journal_batch(struct journal *journal, size_t max, uint64_t *last);
/* Entries up to number are in the database. How many of them were waiting. */
size_t journal_delivered(struct journal *journal, uint64_t number);
/* Goes on after number, if it is not there yet: the database knows of more than the folder. */
void journal_skip(struct journal *journal, uint64_t number);
/* So often it was written and synced, and how long the syncing took altogether. */
uint64_t journal_syncs(struct journal *journal, double *seconds);
size_t journal_waiting(struct journal *journal);
/* Called, on the journal's thread, when entries have come. */
void journal_watch(struct journal *journal, void (*fn)(void *arg), void *arg);

#endif
