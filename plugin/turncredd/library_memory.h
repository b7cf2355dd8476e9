/*
 * library_memory.h - what jansson and OpenSSL allocate: a want of it does not pass unseen
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Without memory jansson returns what it returns for no such member or for a text that is no JSON, and OpenSSL what it
 * returns for a signature that is wrong. So the thread remembers that memory was wanted, and whoever is about to
 * believe them asks.
 */
#ifndef TURNCREDD_LIBRARY_MEMORY_H
#define TURNCREDD_LIBRARY_MEMORY_H

#include <stdbool.h>

/* Before the first call of either. What jansson frees is overwritten: JSON has passwords, tokens and session keys.
 * False: out of memory for OpenSSL's default context. Where OpenSSL 3.0 cannot make it, the next call that fetches an
 * algorithm locks a lock that is not there and ends the process: turncredd asks for it here, and ends with a word. */
bool library_memory_init(void);
/* Has one of them been refused memory in this thread since the thread asked last? */
bool library_memory_was_short(void);

#endif
