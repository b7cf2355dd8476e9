/*
 * hamt.c - persistent map: a hash array mapped trie with structural sharing
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "hamt_node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint32_t hamt_hash(uint64_t seed, const void *p, size_t n) {
  const uint8_t *in = p;
  uint64_t h = seed ^ (n * UINT64_C(0x9e3779b97f4a7c15));
  while (n > 0) {
    uint64_t word = 0;
    size_t take = n < 8 ? n : 8;
    memcpy(&word, in, take);
    h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 32;
    in += take;
    n -= take;
  }
  h *= UINT64_C(0xc4ceb9fe1a85ec53);
  return (uint32_t)(h >> 32) ^ (uint32_t)h;
}

static unsigned popcount(uint32_t x) { return (unsigned)__builtin_popcount(x); }
static uint32_t bit_of(uint32_t hash, unsigned shift) { return UINT32_C(1) << ((hash >> (shift & 31)) & 31); }
static unsigned data_count(const struct hamt_node *node, unsigned shift) {
  return shift >= HAMT_DEPTH ? node->datamap : popcount(node->datamap);
}
static unsigned node_count(const struct hamt_node *node) { return popcount(node->nodemap); }
static unsigned data_index(const struct hamt_node *node, uint32_t bit) { return popcount(node->datamap & (bit - 1)); }
static unsigned node_index(const struct hamt_node *node, uint32_t bit) {
  return popcount(node->datamap) + popcount(node->nodemap & (bit - 1));
}

void hamt_init(struct hamt *map, const struct hamt_type *type) {
  map->type = type;
  map->root = NULL;
  map->count = 0;
}

struct hamt hamt_share(const struct hamt *map) {
  if (map->root) {
    map->root->refs++;
  }
  return *map;
}

void hamt_unref(const struct hamt_type *type, struct hamt_item *item) {
  if (--item->refs == 0) {
    type->free(item);
  }
}

void hamt_node_unref(const struct hamt_type *type, struct hamt_node *node, unsigned shift) {
  if (--node->refs > 0) {
    return;
  }
  unsigned data = data_count(node, shift), nodes = node_count(node);
  for (unsigned i = 0; i < data; i++) {
    hamt_unref(type, node->slot[i].item);
  }
  for (unsigned i = 0; i < nodes; i++) {
    hamt_node_unref(type, node->slot[data + i].node, shift + HAMT_BITS);
  }
  free(node);
}

void hamt_clear(struct hamt *map) {
  if (map->root) {
    hamt_node_unref(map->type, map->root, 0);
  }
  map->root = NULL;
  map->count = 0;
}

const struct hamt_item *hamt_find(const struct hamt *map, uint32_t hash, const void *key) {
  const struct hamt_node *node = map->root;
  for (unsigned shift = 0; node; shift += HAMT_BITS) {
    if (shift >= HAMT_DEPTH) {
      for (unsigned i = 0; i < node->datamap; i++) {
        if (map->type->same(node->slot[i].item, key)) {
          return node->slot[i].item;
        }
      }
      return NULL;
    }
    uint32_t bit = bit_of(hash, shift);
    if (node->datamap & bit) {
      const struct hamt_item *item = node->slot[data_index(node, bit)].item;
      return item->hash == hash && map->type->same(item, key) ? item : NULL;
    }
    if (!(node->nodemap & bit)) {
      return NULL;
    }
    node = node->slot[node_index(node, bit)].node;
  }
  return NULL;
}

/* Makes *at a node that no other map sees, with room for extra more slots. A node with one reference
 * that was reached through such nodes is this map's own already, because copying a node adds a
 * reference to each of its children. */
static struct hamt_node *own(struct hamt_node **at, unsigned shift, unsigned extra) {
  struct hamt_node *node = *at;
  unsigned data = data_count(node, shift), nodes = node_count(node);
  if (node->refs == 1) {
    if (extra == 0) {
      return node;
    }
    struct hamt_node *larger = realloc(node, hamt_node_size(data + nodes + extra));
    if (larger) {
      *at = larger;
    }
    return larger;
  }
  struct hamt_node *copy = malloc(hamt_node_size(data + nodes + extra));
  if (!copy) {
    return NULL;
  }
  memcpy(copy, node, hamt_node_size(data + nodes));
  copy->refs = 1;
  for (unsigned i = 0; i < data; i++) {
    copy->slot[i].item->refs++;
  }
  for (unsigned i = 0; i < nodes; i++) {
    copy->slot[data + i].node->refs++;
  }
  node->refs--;
  *at = copy;
  return copy;
}

/* A node with two items whose hashes agree up to shift. NULL: out of memory. */
static struct hamt_node *pair(struct hamt_item *a, struct hamt_item *b, unsigned shift) {
  struct hamt_node *node = malloc(hamt_node_size(2));
  if (!node) {
    return NULL;
  }
  node->refs = 1;
  node->datamap = node->nodemap = node->unused = 0;
  if (shift >= HAMT_DEPTH) {
    node->datamap = 2;
    node->slot[0].item = a;
    node->slot[1].item = b;
    return node;
  }
  uint32_t bit_a = bit_of(a->hash, shift), bit_b = bit_of(b->hash, shift);
  if (bit_a == bit_b) {
    node->slot[0].node = pair(a, b, shift + HAMT_BITS);
    if (!node->slot[0].node) {
      free(node);
      return NULL;
    }
    node->nodemap = bit_a;
    return node;
  }
  node->datamap = bit_a | bit_b;
  node->slot[bit_a < bit_b ? 0 : 1].item = a;
  node->slot[bit_a < bit_b ? 1 : 0].item = b;
  return node;
}

/* put below the last level, where hashes are the same and the items stand in a row. */
static int put_last(const struct hamt_type *type, struct hamt_node **at, unsigned shift, struct hamt_item *item,
                    bool *added) {
  struct hamt_node *node = *at;
  const void *key = type->key(item);
  for (unsigned i = 0; i < node->datamap; i++) {
    if (!type->same(node->slot[i].item, key)) {
      continue;
    }
    if (!(node = own(at, shift, 0))) {
      return ENOMEM;
    }
    hamt_unref(type, node->slot[i].item);
    node->slot[i].item = item;
    return 0;
  }
  if (!(node = own(at, shift, 1))) {
    return ENOMEM;
  }
  node->slot[node->datamap++].item = item;
  *added = true;
  return 0;
}

static int put(const struct hamt_type *type, struct hamt_node **at, unsigned shift, struct hamt_item *item,
               bool *added) {
  struct hamt_node *node = *at;
  if (shift >= HAMT_DEPTH) {
    return put_last(type, at, shift, item, added);
  }
  const void *key = type->key(item);
  uint32_t bit = bit_of(item->hash, shift);
  if (node->nodemap & bit) {
    if (!(node = own(at, shift, 0))) {
      return ENOMEM;
    }
    return put(type, &node->slot[node_index(node, bit)].node, shift + HAMT_BITS, item, added);
  }
  if (!(node->datamap & bit)) {
    if (!(node = own(at, shift, 1))) {
      return ENOMEM;
    }
    unsigned i = data_index(node, bit), all = data_count(node, shift) + node_count(node);
    memmove(&node->slot[i + 1], &node->slot[i], (all - i) * sizeof node->slot[0]);
    node->slot[i].item = item;
    node->datamap |= bit;
    *added = true;
    return 0;
  }
  if (!(node = own(at, shift, 0))) {
    return ENOMEM;
  }
  unsigned i = data_index(node, bit);
  struct hamt_item *old = node->slot[i].item;
  if (old->hash == item->hash && type->same(old, key)) {
    node->slot[i].item = item;
    hamt_unref(type, old);
    return 0;
  }
  struct hamt_node *below = pair(old, item, shift + HAMT_BITS);
  if (!below) {
    return ENOMEM;
  }
  /* the slot of the item goes, and the slot of a node comes: the slots between move down by one */
  unsigned to = node_index(node, bit) - 1;
  memmove(&node->slot[i], &node->slot[i + 1], (to - i) * sizeof node->slot[0]);
  node->slot[to].node = below;
  node->datamap &= ~bit;
  node->nodemap |= bit;
  *added = true;
  return 0;
}

int hamt_put(struct hamt *map, struct hamt_item *item) {
  if (!map->root) {
    map->root = calloc(1, hamt_node_size(0));
    if (!map->root) {
      hamt_unref(map->type, item);
      return ENOMEM;
    }
    map->root->refs = 1;
  }
  bool added = false;
  int rc = put(map->type, &map->root, 0, item, &added);
  if (rc) {
    hamt_unref(map->type, item);
  } else if (added) {
    map->count++;
  }
  return rc;
}

struct hamt_item *hamt_edit(struct hamt *map, uint32_t hash, const void *key, int *err) {
  *err = 0;
  if (!hamt_find(map, hash, key)) {
    return NULL;
  }
  *err = ENOMEM;
  struct hamt_node **at = &map->root;
  for (unsigned shift = 0;; shift += HAMT_BITS) {
    struct hamt_node *node = own(at, shift, 0);
    if (!node) {
      return NULL;
    }
    unsigned i = 0;
    if (shift >= HAMT_DEPTH) {
      while (!map->type->same(node->slot[i].item, key)) {
        i++;
      }
    } else {
      uint32_t bit = bit_of(hash, shift);
      if (node->nodemap & bit) {
        at = &node->slot[node_index(node, bit)].node;
        continue;
      }
      i = data_index(node, bit);
    }
    struct hamt_item *item = node->slot[i].item;
    if (item->refs > 1) {
      struct hamt_item *copy = map->type->copy(item);
      if (!copy) {
        return NULL;
      }
      copy->refs = 1;
      copy->hash = item->hash;
      item->refs--;
      node->slot[i].item = item = copy;
    }
    *err = 0;
    return item;
  }
}

/* Removes an item that is known to be in the map. */
static int take(const struct hamt_type *type, struct hamt_node **at, unsigned shift, uint32_t hash, const void *key) {
  struct hamt_node *node = own(at, shift, 0);
  if (!node) {
    return ENOMEM;
  }
  unsigned all = data_count(node, shift) + node_count(node), i = 0;
  uint32_t bit = shift >= HAMT_DEPTH ? 0 : bit_of(hash, shift);
  if (shift >= HAMT_DEPTH) {
    while (!type->same(node->slot[i].item, key)) {
      i++;
    }
    node->datamap--;
  } else if (node->nodemap & bit) {
    unsigned n = node_index(node, bit);
    int rc = take(type, &node->slot[n].node, shift + HAMT_BITS, hash, key);
    struct hamt_node *below = node->slot[n].node;
    if (rc || below->nodemap || data_count(below, shift + HAMT_BITS) != 1) {
      return rc;
    }
    /* a last item moves up into this node, so that the shape of a map depends on its content alone */
    struct hamt_item *item = below->slot[0].item;
    free(below);
    unsigned to = data_index(node, bit);
    memmove(&node->slot[to + 1], &node->slot[to], (n - to) * sizeof node->slot[0]);
    node->slot[to].item = item;
    node->nodemap &= ~bit;
    node->datamap |= bit;
    return 0;
  } else {
    i = data_index(node, bit);
    node->datamap &= ~bit;
  }
  hamt_unref(type, node->slot[i].item);
  memmove(&node->slot[i], &node->slot[i + 1], (all - 1 - i) * sizeof node->slot[0]);
  return 0;
}

int hamt_remove(struct hamt *map, uint32_t hash, const void *key) {
  if (!hamt_find(map, hash, key)) {
    return ENOENT;
  }
  int rc = take(map->type, &map->root, 0, hash, key);
  if (rc == 0 && --map->count == 0) {
    hamt_clear(map);
  }
  return rc;
}

static bool each(const struct hamt_node *node, unsigned shift, hamt_each_fn fn, void *arg) {
  unsigned data = data_count(node, shift), nodes = node_count(node);
  for (unsigned i = 0; i < data; i++) {
    if (!fn(node->slot[i].item, arg)) {
      return false;
    }
  }
  for (unsigned i = 0; i < nodes; i++) {
    if (!each(node->slot[data + i].node, shift + HAMT_BITS, fn, arg)) {
      return false;
    }
  }
  return true;
}

bool hamt_each(const struct hamt *map, hamt_each_fn fn, void *arg) { return !map->root || each(map->root, 0, fn, arg); }
