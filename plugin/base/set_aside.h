/*
 * set_aside.h - entries of a journal that their receiver refuses for good, kept on disk until an operator decides
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A folder with a file for each entry, NUMBER.json: one line, a JSON object that begins with the number and the reason
 * and goes on with the octets of the entry. The files stay until the receiver takes the entry at last, or until an
 * operator removes them. A number has one file: an entry that is refused again after a crash changes nothing.
 */
#ifndef TURNCRED_SET_ASIDE_H
#define TURNCRED_SET_ASIDE_H

#include "journal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes the folder if it is missing, and removes what a crash has left half written. Returns how many entries it
 * holds, or -1 with a sentence in err. */
long set_aside_open(const char *folder, char *err, size_t cap);
/* Writes an entry and syncs it. reason: a sentence; it becomes a member of the object. *fresh: the number had no file
 * yet. 0, or an errno value. */
int set_aside_add(const char *folder, uint64_t number, const char *octets, size_t len, const char *reason, bool *fresh);
/* Calls fn for each entry, in no order, with its octets as they were in the journal; stops after max entries. fn may
 * remove the entry. Files that are no entries are passed over. Returns how many entries there were, or -1. */
long set_aside_read(const char *folder, size_t max, journal_entry_fn fn, void *arg);
/* Removes an entry that its receiver has taken. 0, or an errno value. */
int set_aside_remove(const char *folder, uint64_t number);

#endif
