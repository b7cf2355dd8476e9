/*
 * reserve.h - tokens that this instance has reserved under each key
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A key may sign 2^32 tokens (random 96-bit nonces). The database counts what instances have
 * reserved; an instance signs from its reserve, also while the database is away.
 */
#ifndef TURNCREDD_RESERVE_H
#define TURNCREDD_RESERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reserve;

struct reserve *reserve_new(uint64_t block); /* NULL: no memory. block: reserved at a time */
void reserve_free(struct reserve *reserve);
/* One token. false: nothing is reserved. *low: it is time to reserve more. */
bool reserve_take(struct reserve *reserve, const char *realm, const char *kid, bool *low);
/* The same, but a key that is new here is waited for, so long at the most: a rotation refuses
 * nobody.
 */
bool reserve_take_within(struct reserve *reserve, const char *realm, const char *kid, uint32_t ms,
                        bool *low);
/* A token was not signed after all. */
void reserve_return(struct reserve *reserve, const char *realm, const char *kid);
/* How many should be reserved for the key now: 0 or the block. */
uint64_t reserve_wanted(struct reserve *reserve, const char *realm, const char *kid);
uint64_t reserve_left(struct reserve *reserve, const char *realm, const char *kid);
/* 0: nothing is to be had, nobody waits. false: no memory; what was reserved is lost then, which is
 * safe. */
bool reserve_add(struct reserve *reserve, const char *realm, const char *kid, uint64_t count);

#endif
