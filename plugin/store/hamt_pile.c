/*
 * hamt_pile.c - many items into an empty map at once
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The items are sorted by the bits of their hashes, in place, five at a time, and each node is made when all of its
 * children are there, with exactly the slots that it needs.
 */
#include "config.h"

#include "hamt_pile.h"

#include "hamt_node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 32

/* The hash stands beside the pointer: sorting would wait for the memory of each item otherwise. */
struct entry {
  uint32_t hash;
  uint32_t order; /* of arrival */
  struct hamt_item *item;
};
struct hamt_pile {
  uint32_t count, room;
  struct entry entries[];
};

int hamt_pile_add(struct hamt_pile **at, const struct hamt_type *type, struct hamt_item *item) {
  struct hamt_pile *pile = *at;
  if (!pile || pile->count == pile->room) {
    size_t room = pile ? (size_t)pile->room + pile->room / 2 : 64;
    pile = room > UINT32_MAX ? NULL : realloc(pile, sizeof *pile + room * sizeof pile->entries[0]);
    if (!pile) {
      hamt_unref(type, item);
      return ENOMEM;
    }
    pile->count = *at ? pile->count : 0;
    pile->room = (uint32_t)room;
    *at = pile;
  }
  pile->entries[pile->count] = (struct entry){item->hash, pile->count, item};
  pile->count++;
  return 0;
}

static void drop(const struct hamt_type *type, struct entry *e, size_t n) {
  for (size_t i = 0; i < n; i++) {
    hamt_unref(type, e[i].item);
  }
}

void hamt_pile_drop(struct hamt_pile **pile, const struct hamt_type *type) {
  if (*pile) {
    drop(type, (*pile)->entries, (*pile)->count);
    free(*pile);
    *pile = NULL;
  }
}

/* Sorts entries by five bits of their hashes; count gets how many there are of each. */
static void sort(struct entry *e, size_t n, unsigned shift, size_t count[WAYS]) {
  size_t next[WAYS], end[WAYS], at = 0;
  memset(count, 0, WAYS * sizeof *count);
  for (size_t i = 0; i < n; i++) {
    count[(e[i].hash >> shift) & (WAYS - 1)]++;
  }
  for (unsigned way = 0; way < WAYS; way++) {
    next[way] = at;
    end[way] = at += count[way];
  }
  for (unsigned way = 0; way < WAYS; way++) {
    while (next[way] < end[way]) {
      struct entry one = e[next[way]];
      for (unsigned to; (to = (one.hash >> shift) & (WAYS - 1)) != way;) {
        struct entry other = e[next[to]];
        e[next[to]++] = one;
        one = other;
      }
      e[next[way]++] = one;
    }
  }
}

/* A list node of entries with one hash. Always takes the references. NULL: out of memory. */
static struct hamt_node *list(const struct hamt_type *type, struct entry *e, size_t n) {
  size_t kept = 0;
  for (size_t i = 0; i < n; i++) {
    size_t twin = 0;
    while (twin < kept && !type->same(e[twin].item, type->key(e[i].item))) {
      twin++;
    }
    if (twin == kept) {
      e[kept++] = e[i];
      continue;
    }
    bool later = e[i].order > e[twin].order;
    hamt_unref(type, later ? e[twin].item : e[i].item);
    e[twin] = later ? e[i] : e[twin];
  }
  struct hamt_node *node = malloc(hamt_node_size((unsigned)kept));
  if (!node) {
    drop(type, e, kept);
    return NULL;
  }
  *node = (struct hamt_node){.refs = 1, .datamap = (uint32_t)kept};
  for (size_t i = 0; i < kept; i++) {
    node->slot[i].item = e[i].item;
  }
  return node;
}

/* What stands below a node: an item or a node for each bit. */
struct below {
  uint32_t datamap, nodemap;
  union slot way[WAYS];
};

static struct hamt_node *node_of(const struct below *below) {
  unsigned data = 0, slots = (unsigned)__builtin_popcount(below->datamap);
  unsigned nodes = slots;
  slots += (unsigned)__builtin_popcount(below->nodemap);
  struct hamt_node *node = malloc(hamt_node_size(slots));
  if (!node) {
    return NULL;
  }
  *node = (struct hamt_node){.refs = 1, .datamap = below->datamap, .nodemap = below->nodemap};
  for (unsigned way = 0; way < WAYS; way++) {
    if (below->datamap >> way & 1) {
      node->slot[data++] = below->way[way];
    } else if (below->nodemap >> way & 1) {
      node->slot[nodes++] = below->way[way];
    }
  }
  return node;
}

static void drop_below(const struct hamt_type *type, const struct below *below, unsigned shift) {
  for (unsigned way = 0; way < WAYS; way++) {
    if (below->datamap >> way & 1) {
      hamt_unref(type, below->way[way].item);
    } else if (below->nodemap >> way & 1) {
      hamt_node_unref(type, below->way[way].node, shift + HAMT_BITS);
    }
  }
}

/* Builds the node of these entries. Always takes their references. NULL: out of memory. */
static struct hamt_node *build(const struct hamt_type *type, struct entry *e, size_t n, unsigned shift, size_t *items) {
  if (shift >= HAMT_DEPTH) {
    struct hamt_node *node = list(type, e, n);
    *items += node ? node->datamap : 0;
    return node;
  }
  size_t count[WAYS], at = 0;
  struct below below = {0};
  sort(e, n, shift, count);
  for (unsigned way = 0; way < WAYS; at += count[way], way++) {
    uint32_t bit = UINT32_C(1) << way;
    if (count[way] == 1) {
      below.datamap |= bit;
      below.way[way].item = e[at].item;
      ++*items;
    } else if (count[way] > 1) {
      struct hamt_node *child = build(type, e + at, count[way], shift + HAMT_BITS, items);
      if (!child) {
        drop_below(type, &below, shift);
        drop(type, e + at + count[way], n - at - count[way]);
        return NULL;
      }
      /* one item alone moves up, as when others are removed beside it */
      bool alone = !child->nodemap &&
                   (shift + HAMT_BITS >= HAMT_DEPTH ? child->datamap == 1 : __builtin_popcount(child->datamap) == 1);
      if (alone) {
        below.datamap |= bit;
        below.way[way].item = child->slot[0].item;
        free(child);
      } else {
        below.nodemap |= bit;
        below.way[way].node = child;
      }
    }
  }
  struct hamt_node *node = node_of(&below);
  if (!node) {
    drop_below(type, &below, shift);
  }
  return node;
}

static int put_each(struct hamt *map, struct hamt_pile *pile) {
  int rc = 0;
  for (size_t i = 0; i < pile->count; i++) {
    if (rc) {
      hamt_unref(map->type, pile->entries[i].item);
    } else {
      rc = hamt_put(map, pile->entries[i].item);
    }
  }
  return rc;
}

int hamt_pile_settle(struct hamt_pile **at, struct hamt *map) {
  struct hamt_pile *pile = *at;
  int rc = 0;
  *at = NULL;
  if (!pile) {
    return 0;
  }
  if (map->root) {
    rc = put_each(map, pile);
  } else {
    size_t items = 0;
    map->root = build(map->type, pile->entries, pile->count, 0, &items);
    map->count = map->root ? items : 0;
    rc = map->root ? 0 : ENOMEM;
  }
  free(pile);
  return rc;
}
