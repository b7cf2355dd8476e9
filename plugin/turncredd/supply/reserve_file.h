/*
 * reserve_file.h - tokens that are reserved for a time without the database, on disk
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The reserve in memory (reserve.h) is gone with the process. A block of its own for each realm's
 * key stays in a sealed file and is spent in parts, each taken off the file before it is used: a
 * start without the database can sign tokens, and a crash loses one part at the most. Of the
 * delivery's thread alone.
 */
#ifndef TURNCREDD_RESERVE_FILE_H
#define TURNCREDD_RESERVE_FILE_H

#include <stdint.h>

struct daemon;
struct reserve_file;

/* Reads the file; what cannot be read is none. NULL: no memory. */
struct reserve_file *reserve_file_open(struct daemon *daemon, uint64_t block);
void reserve_file_free(struct reserve_file *reserve_file); /* NULL is fine */
/* How many should be reserved for it now: 0 or the block. */
uint64_t reserve_file_wanted(const struct reserve_file *reserve_file, const char *realm, const char *kid);
/* They replace what is there of the realm's other keys, which sign no more. */
void reserve_file_add(struct reserve_file *reserve_file, const char *realm, const char *kid, uint64_t count);
/* A part, which is on the file no more; 0: nothing is left, or the file cannot be written. */
uint64_t reserve_file_take(struct reserve_file *reserve_file, const char *realm, const char *kid);
uint64_t reserve_file_part(const struct reserve_file *reserve_file);

#endif
