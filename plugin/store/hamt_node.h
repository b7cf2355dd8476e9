/*
 * hamt_node.h - the nodes of the trie, which hamt.c and hamt_pile.c know
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_HAMT_NODE_H
#define TURNCRED_HAMT_NODE_H

#include "hamt.h"

#define HAMT_BITS 5
#define HAMT_DEPTH 35 /* from this shift on no bits of the hash are left: such nodes are plain lists */

/* Slots hold the items of datamap, then the nodes of nodemap, each in order of their bits. In a
 * list node datamap is the number of items. */
struct hamt_node {
  uint32_t refs;
  uint32_t datamap;
  uint32_t nodemap;
  uint32_t unused;
  union slot {
    struct hamt_item *item;
    struct hamt_node *node;
  } slot[];
};

static inline size_t hamt_node_size(unsigned slots) { return sizeof(struct hamt_node) + slots * sizeof(union slot); }

void hamt_node_unref(const struct hamt_type *type, struct hamt_node *node, unsigned shift);

#endif
