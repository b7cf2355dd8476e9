/*
 * journal.h - numbered entries that are on disk before anything depends on them, and are delivered later, once
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A journal is a folder that one process uses (the folder is locked). An entry is a number and octets of the caller,
 * which the journal does not look into. Numbers grow within a stream; the stream's random id stands in the folder.
 * A thread writes the entries that have come together and syncs them once, then it calls each entry's function.
 *
 * The folder has files of lines. A line is CHECK, a blank, {"q":NUMBER, and the octets: the files of a caller whose
 * octets are the rest of a JSON object can be read as JSON. CHECK is the beginning, in hexadecimal, of the SHA-256 of
 * what follows the blank. A file is removed when all of its entries have been delivered. A line that was being written
 * when the power went is cut off at the next start: its entry's function had not been called.
 */
#ifndef TURNCRED_JOURNAL_H
#define TURNCRED_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_STREAM 37      /* octets of a stream's id: a UUID with the NUL */
#define JOURNAL_ENTRY_MAX 8140 /* octets of an entry */

struct journal;

/* Called with a line for a log, on the journal's thread or on that of a caller. error: entries cannot be written;
 * otherwise the line is a warning. */
typedef void (*journal_log_fn)(bool error, const char *line, void *arg);

struct journal_config {
  const char *folder;  /* it must exist */
  const char *setting; /* how error texts call the folder */
  size_t entries;      /* how many entries may wait to be written or delivered */
  journal_log_fn log;
  void *log_arg;
};

/* Opens the folder, and reads the entries that have not been delivered. 0, or -1 with a sentence in err. */
int journal_open(struct journal **out, const struct journal_config *config, char *err, size_t err_cap);
/* Whether a start of this program could use the folder; another process may be using it. 0, or an errno value with a
 * sentence in err. */
int journal_check(const char *folder, const char *setting, char *err, size_t cap);
/* To be called after the function of the last entry. NULL is allowed. */
void journal_close(struct journal *journal);
const char *journal_stream(const struct journal *journal);

/* Called once for an entry, on the journal's thread. err: 0 (the entry is on disk), or an errno value (the entry is in
 * no file and will not be delivered). */
typedef void (*journal_done_fn)(int err, void *arg);
/* Adds an entry of len octets, none of which is NUL or a newline. done is called later if the result is 0. Errors:
 * ENOSPC (as many entries wait as may), EMSGSIZE (more than JOURNAL_ENTRY_MAX octets), EINVAL, ENOMEM. */
int journal_add(struct journal *journal, const char *octets, size_t len, journal_done_fn done, void *arg);

/* An entry among several. */
struct journal_addition {
  const char *octets;
  size_t len;
  journal_done_fn done;
  void *arg;
  int result; /* as of journal_add */
};
/* Adds entries that are written and synced together. The list is the caller's. */
void journal_add_all(struct journal *journal, struct journal_addition list[], size_t count);

/* Called with an entry. The octets are valid until it returns; it must not call the journal. */
typedef void (*journal_entry_fn)(uint64_t number, const char *octets, size_t len, void *arg);
/* Calls fn for the oldest entries that are on disk and have not been delivered, at most max of them, in the order of
 * their numbers. Returns how many there were. */
size_t journal_read(struct journal *journal, size_t max, journal_entry_fn fn, void *arg);
/* Drops the entries up to number, which have been delivered. Returns how many of them were waiting. */
size_t journal_delivered(struct journal *journal, uint64_t number);
/* Makes the next number larger than number: the receiver has entries of this stream that the folder does not have. */
void journal_skip(struct journal *journal, uint64_t number);
/* How many entries wait to be written or delivered. */
size_t journal_waiting(struct journal *journal);
/* Can entries be written? False after a failure, until a try of the journal's thread (once a second) has worked, and
 * while the disk has no free block. */
bool journal_writable(struct journal *journal);
/* How often files were written and synced; *seconds: how long the syncing took altogether. */
uint64_t journal_syncs(struct journal *journal, double *seconds);
/* fn is called on the journal's thread after entries have been written. */
void journal_watch(struct journal *journal, void (*fn)(void *arg), void *arg);

#endif
