/*
 * refused.h - journal entries that the database refuses for good: set aside on disk, and delivered on request
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * An encoding or a constraint that refuses one entry must not stop those behind it. The folder set-aside of state_dir
 * keeps such an entry (base/set_aside.h) until a replay delivers it, or an operator removes its file.
 */
#ifndef TURNCREDD_REFUSED_H
#define TURNCREDD_REFUSED_H

#include "base/journal.h"
#include "pg/pg.h"

#include <stdbool.h>
#include <stddef.h>

struct refused;

/* max: how many entries may be set aside. 0, or -1 with a sentence in err. */
int refused_open(struct refused **out, const char *state_dir, struct journal *journal, const char *instance, size_t max,
                 char *err, size_t cap);
void refused_free(struct refused *refused); /* NULL is allowed */
/* How many entries are set aside. Any thread may call it. */
size_t refused_count(const struct refused *refused);
/* Does the last error of db mean that the entry will be refused at the next try, too? */
bool refused_for_good(const struct pg *db);
/* Sets the journal's oldest entry aside, which db has just refused, and tells the database to pass over it. False: it
 * stays in the journal, because the disk, the limit or the database does not allow it; a sentence is in err, or db has
 * lost its connection. */
bool refused_set_aside(struct refused *refused, struct pg *db, char *err, size_t cap);
/* Tries to deliver each entry that is set aside, each once however often this is called. False: the connection is lost.
 */
bool refused_replay(struct refused *refused, struct pg *db);

#endif
