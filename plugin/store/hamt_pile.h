/*
 * hamt_pile.h - many items into an empty map at once
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A pile puts items aside until the trie of all of them is built, in the order of their hashes: among millions of items
 * hamt_put spends its time waiting for memory. A pile that is NULL is empty.
 */
#ifndef TURNCRED_HAMT_PILE_H
#define TURNCRED_HAMT_PILE_H

#include "hamt.h"

struct hamt_pile;

/* Puts an item on the pile, which takes the reference as hamt_put does. 0, or ENOMEM. */
int hamt_pile_add(struct hamt_pile **pile, const struct hamt_type *type, struct hamt_item *item);
/* Puts all items into the map, and frees the pile; of two with one key the later one stays, as with hamt_put. 0, or
 * ENOMEM: all items of the pile are dropped, and some of them may be in the map. */
int hamt_pile_settle(struct hamt_pile **pile, struct hamt *map);
void hamt_pile_drop(struct hamt_pile **pile, const struct hamt_type *type);

#endif
