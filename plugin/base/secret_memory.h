/*
 * secret_memory.h - memory for keys: not in a core, not in swap where limits allow, overwritten when it is freed
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * OPENSSL_secure_malloc() is not used: its memory has one size, which must be chosen before the first key is there, and
 * belongs to the whole process, which in turnserver is coturn's. Safe to call from any thread. Memory of size 0 is
 * none.
 */
#ifndef TURNCRED_SECRET_MEMORY_H
#define TURNCRED_SECRET_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

enum secret_pool {
  SECRET_LOCKED, /* keys: the pages are locked, as far as RLIMIT_MEMLOCK allows */
  SECRET_HIDDEN  /* pushed keys, of which there may be millions */
};

/* Zeroed memory, aligned for any type. NULL: out of memory. */
void *secret_new(enum secret_pool pool, size_t size);
/* Overwrites and frees. pool and size as they were for secret_new; NULL is allowed. */
void secret_free(enum secret_pool pool, void *memory, size_t size);
/* A sentence with the remedy, if pages of SECRET_LOCKED could not be locked; NULL: all are. */
const char *secret_unlocked(void);
/* Leaves the heap of this process out of its cores, but not stacks and globals: what libraries keep of keys stays out
 * of a core of a process that may have one. To be called again now and then, since a heap grows. */
void secret_hide_heap(void);

#endif
