/*
 * hamt.h - persistent map: a hash array mapped trie with structural sharing
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * hamt_share makes a second map in constant time. Changing one of them leaves the other as it was and
 * copies a few nodes, however large the maps are. Only one thread shares, changes and clears maps: it
 * alone uses the reference counts. Other threads may look into a map that is no longer changed.
 */
#ifndef TURNCRED_HAMT_H
#define TURNCRED_HAMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first member of every item in a map. */
struct hamt_item {
  uint32_t refs; /* 1 when made */
  uint32_t hash;
};

struct hamt_type {
  bool (*same)(const struct hamt_item *item, const void *key);
  const void *(*key)(const struct hamt_item *item);
  struct hamt_item *(*copy)(const struct hamt_item *item); /* for hamt_edit; returns NULL when memory is short */
  void (*free)(struct hamt_item *item);
};

struct hamt_node;
struct hamt {
  const struct hamt_type *type;
  struct hamt_node *root;
  size_t count;
};

uint32_t hamt_hash(uint64_t seed, const void *p, size_t n);

void hamt_init(struct hamt *map, const struct hamt_type *type);
struct hamt hamt_share(const struct hamt *map);
void hamt_clear(struct hamt *map); /* empties this map; shared parts stay in the others */

const struct hamt_item *hamt_find(const struct hamt *map, uint32_t hash, const void *key);
/* Puts item in, in place of one with the same key. The map takes the caller's reference to item, and
 * drops it on failure. 0, or ENOMEM: the map is as it was. */
int hamt_put(struct hamt *map, struct hamt_item *item);
/* Makes an item this map's own, so that the caller may change it in place (but not its key). NULL: there
 * is no such item (*err 0), or memory is short (*err ENOMEM). */
struct hamt_item *hamt_edit(struct hamt *map, uint32_t hash, const void *key, int *err);
/* 0; ENOENT: there is no such item; ENOMEM: the map is as it was. */
int hamt_remove(struct hamt *map, uint32_t hash, const void *key);
/* Calls fn for each item, in no order, until fn returns false. False: fn did. */
typedef bool (*hamt_each_fn)(const struct hamt_item *item, void *arg);
bool hamt_each(const struct hamt *map, hamt_each_fn fn, void *arg);

void hamt_unref(const struct hamt_type *type, struct hamt_item *item);

#endif
