/*
 * purse.h - tokens that are reserved for a time without the database, on disk
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The reserve in memory (budget.h) is gone with the process. A block of its own for each realm's
 * key stays in a sealed file and is spent in parts, each taken off the file before it is used: a
 * start without the database can sign tokens, and a crash loses one part at the most. Of the
 * courier's thread alone.
 */
#ifndef TURNCREDD_PURSE_H
#define TURNCREDD_PURSE_H

#include <stdint.h>

struct daemon;
struct purse;

/* Reads the file; what cannot be read is none. NULL: no memory. */
struct purse *purse_open(struct daemon *daemon, uint64_t block);
void purse_free(struct purse *purse); /* NULL is fine */
/* How many should be reserved for it now: 0 or the block. */
uint64_t purse_wanted(const struct purse *purse, const char *realm, const char *kid);
/* They replace what is there of the realm's other keys, which sign no more. */
void purse_add(struct purse *purse, const char *realm, const char *kid, uint64_t count);
/* A part, which is on the file no more; 0: nothing is left, or the file cannot be written. */
uint64_t purse_take(struct purse *purse, const char *realm, const char *kid);
uint64_t purse_part(const struct purse *purse);

#endif
