/*
 * reserve_file.h - tokens that are reserved for a time without the database, on disk
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The reserve in memory (reserve.h) is gone with the process. The file holds a block of its own for
 * each realm's key. The block is used in parts, and each part is taken off the file before it is
 * used: a start without the database can sign tokens, and a crash loses one part at most. One thread
 * alone calls these functions.
 */
#ifndef TURNCREDD_RESERVE_FILE_H
#define TURNCREDD_RESERVE_FILE_H

#include "sealed_file.h"

#include <stdint.h>

struct reserve_file;

/* Reads the file; a file that cannot be read counts as empty. block: tokens reserved at a time for one
 * key. folder lives as long. NULL: out of memory. */
struct reserve_file *reserve_file_open(const struct sealed_folder *folder, uint64_t block);
void reserve_file_free(struct reserve_file *file); /* NULL is allowed */
/* How many tokens the database should be asked for under this key now: 0, or a block. */
uint64_t reserve_file_wanted(const struct reserve_file *file, const char *realm, const char *kid);
/* Adds tokens that the database has reserved. Tokens of the realm's other keys, which sign no longer,
 * are dropped from the file. */
void reserve_file_add(struct reserve_file *file, const char *realm, const char *kid, uint64_t count);
/* Takes one part off the file and returns its tokens; 0: the key has none left, or the file cannot be
 * written. */
uint64_t reserve_file_take(struct reserve_file *file, const char *realm, const char *kid);
/* How many tokens a part has. */
uint64_t reserve_file_part(const struct reserve_file *file);

#endif
