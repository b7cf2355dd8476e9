/*
 * budget.h - tokens that this instance has reserved under each key
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A key may sign 2^32 tokens (random 96-bit nonces). The database counts what instances have
 * reserved; an instance signs from its reserve, also while the database is away.
 */
#ifndef TURNCREDD_BUDGET_H
#define TURNCREDD_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget;

struct budget *budget_new(uint64_t block); /* NULL: no memory. block: reserved at a time */
void budget_free(struct budget *budget);
/* One token. false: nothing is reserved. *low: it is time to reserve more. */
bool budget_take(struct budget *budget, const char *realm, const char *kid, bool *low);
/* The same, but a key that is new here is waited for, so long at the most: a rotation refuses
 * nobody.
 */
bool budget_take_within(struct budget *budget, const char *realm, const char *kid, uint32_t ms,
                        bool *low);
/* A token was not signed after all. */
void budget_return(struct budget *budget, const char *realm, const char *kid);
/* How many should be reserved for the key now: 0 or the block. */
uint64_t budget_wanted(struct budget *budget, const char *realm, const char *kid);
uint64_t budget_left(struct budget *budget, const char *realm, const char *kid);
/* 0: nothing is to be had, nobody waits. false: no memory; what was reserved is lost then, which is
 * safe. */
bool budget_add(struct budget *budget, const char *realm, const char *kid, uint64_t count);

#endif
