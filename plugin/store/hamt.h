/*
 * hamt.h - persistent map: a hash array mapped trie with structural sharing
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * hamt_share makes a second map in constant time; changing one leaves the other as it was and costs
 * a few nodes, however large they are. Reference counts are the writer's: one thread shares,
 * changes and clears. Others may look into a map that is not changed any more.
 */
#ifndef TURNCRED_HAMT_H
#define TURNCRED_HAMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* First member of everything in a map. */
struct hamt_item {
  uint32_t refs; /* 1 when made */
  uint32_t hash;
};

struct hamt_type {
  bool (*same)(const struct hamt_item *item, const void *key);
  const void *(*key)(const struct hamt_item *item);
  struct hamt_item *(*copy)(const struct hamt_item *item); /* for hamt_edit; NULL: no memory */
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
void hamt_clear(struct hamt *map); /* drops this map's references; it is empty then */

const struct hamt_item *hamt_find(const struct hamt *map, uint32_t hash, const void *key);
/* Takes over the caller's reference to item, also on failure. Replaces an item with the same key.
 * 0 or ENOMEM (the map is unchanged). */
int hamt_put(struct hamt *map, struct hamt_item *item);
/* The item, made this map's own so that it may be changed in place (not its key). NULL: not there
 * (*err 0), or no memory (*err ENOMEM). */
struct hamt_item *hamt_edit(struct hamt *map, uint32_t hash, const void *key, int *err);
/* 0, ENOENT, ENOMEM. */
int hamt_remove(struct hamt *map, uint32_t hash, const void *key);
/* Calls fn for each item, in no order; stops when it answers false. */
typedef bool (*hamt_each_fn)(const struct hamt_item *item, void *arg);
bool hamt_each(const struct hamt *map, hamt_each_fn fn, void *arg);

void hamt_unref(const struct hamt_type *type, struct hamt_item *item);

#endif
