/*
 * reserve.h - tokens that this instance has reserved under each key, in memory
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A key may sign 2^32 tokens, because nonces of 96 bits are random. The database counts the tokens that instances have
 * reserved; an instance signs from its reserve, also while the database is away.
 */
#ifndef TURNCREDD_RESERVE_H
#define TURNCREDD_RESERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reserve;

/* block: tokens reserved at a time. NULL: out of memory. */
struct reserve *reserve_new(uint64_t block);
void reserve_free(struct reserve *reserve); /* NULL is allowed */
/* Takes one token. False: none is reserved. *low: more should be reserved. */
bool reserve_take(struct reserve *reserve, const char *realm, const char *kid, bool *low);
/* The same, but it waits up to ms milliseconds for tokens where none are left, unless no more can be reserved: no
 * request is refused because of a rotation, or because the database restarts. */
bool reserve_take_within(struct reserve *reserve, const char *realm, const char *kid, uint32_t ms, bool *low);
/* Gives back a token that was not signed after all. */
void reserve_return(struct reserve *reserve, const char *realm, const char *kid);
/* How many tokens should be reserved under the key now: 0 or a block. */
uint64_t reserve_wanted(struct reserve *reserve, const char *realm, const char *kid);
/* How many tokens are left under the key. */
uint64_t reserve_left(struct reserve *reserve, const char *realm, const char *kid);
/* Were there none for this key when tokens were added last? */
bool reserve_is_refused(struct reserve *reserve, const char *realm, const char *kid);
/* Adds count tokens, and wakes those who wait for them. count 0: the database has none for this key, and nobody waits
 * for it until there are some. False: out of memory; the tokens are lost, which is safe. */
bool reserve_add(struct reserve *reserve, const char *realm, const char *kid, uint64_t count);

#endif
