/*
 * test_store_hamt.c - the persistent map against a plain model: random operations on several versions at once
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "store/hamt.h"
#include "store/hamt_pile.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 700
#define VERSIONS 8

struct item {
  struct hamt_item hamt;
  int key;
  int value;
};

static long alive;
static uint32_t hash_mask = UINT32_MAX;

static uint32_t hash_of(int key) { return hamt_hash(7, &key, sizeof key) & hash_mask; }
static struct item *make(int key, int value) {
  struct item *item = malloc(sizeof *item);
  assert_non_null(item);
  *item = (struct item){{1, hash_of(key)}, key, value};
  alive++;
  return item;
}
static bool same(const struct hamt_item *item, const void *key) {
  return ((const struct item *)item)->key == *(const int *)key;
}
static const void *key_of(const struct hamt_item *item) { return &((const struct item *)item)->key; }
static struct hamt_item *copy(const struct hamt_item *item) {
  const struct item *from = (const struct item *)item;
  return &make(from->key, from->value)->hamt;
}
static void drop(struct hamt_item *item) {
  alive--;
  free(item);
}
static const struct hamt_type type = {same, key_of, copy, drop};

struct version {
  struct hamt map;
  int model[KEYS]; /* 0: not there */
};

static uint64_t state;
static unsigned rnd(unsigned n) {
  state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (unsigned)(state >> 33) % n;
}

struct seen {
  const struct version *version;
  size_t count;
};
static bool see(const struct hamt_item *hamt, void *arg) {
  struct seen *seen = arg;
  const struct item *item = (const struct item *)hamt;
  assert_int_equal(item->value, seen->version->model[item->key]);
  seen->count++;
  return true;
}

static void check(const struct version *version) {
  size_t count = 0;
  for (int key = 0; key < KEYS; key++) {
    const struct item *item = (const struct item *)hamt_find(&version->map, hash_of(key), &key);
    assert_int_equal(item ? item->value : 0, version->model[key]);
    count += item != NULL;
  }
  assert_int_equal(count, version->map.count);
  struct seen seen = {version, 0};
  assert_true(hamt_each(&version->map, see, &seen));
  assert_int_equal(seen.count, count);
}

static void change(struct version *version, int value) {
  int key = (int)rnd(KEYS), err;
  switch (rnd(4)) {
  case 0:
    assert_int_equal(hamt_remove(&version->map, hash_of(key), &key), version->model[key] ? 0 : ENOENT);
    version->model[key] = 0;
    break;
  case 1: {
    struct item *item = (struct item *)hamt_edit(&version->map, hash_of(key), &key, &err);
    assert_int_equal(err, 0);
    assert_int_equal(item != NULL, version->model[key] != 0);
    if (item) {
      item->value = version->model[key] = value;
    }
    break;
  }
  default:
    assert_int_equal(hamt_put(&version->map, &make(key, value)->hamt), 0);
    version->model[key] = value;
  }
}

/* A map that is built at once is the one that hamt_put makes, and goes on as that. */
static void piles(void **unused) {
  (void)unused;
  static const uint32_t masks[] = {UINT32_MAX, 0xf0000001u, 0x0000001fu, 0};
  static const unsigned sizes[] = {0, 1, 2, 3, 40, 65, 3000};
  for (size_t m = 0; m < sizeof masks / sizeof masks[0]; m++) {
    for (size_t z = 0; z < sizeof sizes / sizeof sizes[0]; z++) {
      hash_mask = masks[m];
      state = 1 + m + 100 * z;
      for (int begun = 0; begun < 2; begun++) {
        struct version *version = calloc(1, sizeof *version);
        assert_non_null(version);
        struct hamt_pile *pile = NULL;
        hamt_init(&version->map, &type);
        if (begun) {
          change(version, 5);
        }
        for (unsigned i = 0; i < sizes[z]; i++) {
          int key = (int)rnd(KEYS), value = 1 + (int)rnd(1000000);
          assert_int_equal(hamt_pile_add(&pile, &type, &make(key, value)->hamt), 0);
          version->model[key] = value;
        }
        assert_int_equal(hamt_pile_settle(&pile, &version->map), 0);
        check(version);
        for (unsigned n = 0; n < 500; n++) {
          change(version, 1 + (int)rnd(1000000));
        }
        check(version);
        hamt_clear(&version->map);
        free(version);
        assert_int_equal(alive, 0);
      }
    }
  }
  hash_mask = UINT32_MAX;
  struct hamt_pile *pile = NULL;
  assert_int_equal(hamt_pile_add(&pile, &type, &make(1, 1)->hamt), 0);
  hamt_pile_drop(&pile, &type);
  assert_null(pile);
  assert_int_equal(alive, 0);
}

static void random_operations(void **unused) {
  (void)unused;
  /* full hashes; few different ones (long lists); all the same */
  static const uint32_t masks[] = {UINT32_MAX, 0xf0000001u, 0};
  for (size_t m = 0; m < sizeof masks / sizeof masks[0]; m++) {
    hash_mask = masks[m];
    state = 1 + m;
    struct version *versions = calloc(VERSIONS, sizeof *versions);
    assert_non_null(versions);
    for (int i = 0; i < VERSIONS; i++) {
      hamt_init(&versions[i].map, &type);
    }
    for (int round = 0; round < 400; round++) {
      struct version *from = &versions[rnd(VERSIONS)], *to = &versions[rnd(VERSIONS)];
      if (from != to) {
        hamt_clear(&to->map);
        *to = *from;
        to->map = hamt_share(&from->map);
      }
      for (unsigned n = rnd(60); n > 0; n--) {
        change(to, 1 + (int)rnd(1000000));
      }
      if (round % 16 == 0) {
        for (int i = 0; i < VERSIONS; i++) {
          check(&versions[i]);
        }
      }
    }
    for (int i = 0; i < VERSIONS; i++) {
      check(&versions[i]);
      hamt_clear(&versions[i].map);
    }
    free(versions);
    assert_int_equal(alive, 0);
  }
  hash_mask = UINT32_MAX;
}

/* A change costs the same few copies in a large map as in a small one. */
static void change_is_independent_of_size(void **unused) {
  (void)unused;
  struct hamt map;
  hamt_init(&map, &type);
  for (int key = 0; key < 200000; key++) {
    assert_int_equal(hamt_put(&map, &make(key, 1)->hamt), 0);
  }
  assert_int_equal(map.count, 200000);
  struct hamt other = hamt_share(&map);
  int key = 4711, err;
  struct item *item = (struct item *)hamt_edit(&other, hash_of(key), &key, &err);
  assert_non_null(item);
  item->value = 2;
  assert_int_equal(alive, 200001); /* one item copied, no other */
  assert_int_equal(((const struct item *)hamt_find(&map, hash_of(key), &key))->value, 1);
  hamt_clear(&map);
  assert_int_equal(alive, 200000);
  assert_int_equal(((const struct item *)hamt_find(&other, hash_of(key), &key))->value, 2);
  hamt_clear(&other);
  assert_int_equal(alive, 0);
}

static void empties(void **unused) {
  (void)unused;
  struct hamt map;
  hamt_init(&map, &type);
  int key = 1, err;
  assert_null(hamt_find(&map, hash_of(key), &key));
  assert_int_equal(hamt_remove(&map, hash_of(key), &key), ENOENT);
  assert_null(hamt_edit(&map, hash_of(key), &key, &err));
  assert_int_equal(err, 0);
  assert_int_equal(hamt_put(&map, &make(1, 1)->hamt), 0);
  assert_int_equal(hamt_put(&map, &make(1, 2)->hamt), 0);
  assert_int_equal(map.count, 1);
  assert_int_equal(hamt_remove(&map, hash_of(key), &key), 0);
  assert_null(map.root);
  assert_int_equal(alive, 0);
  hamt_clear(&map);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_operations),
      cmocka_unit_test(piles),
      cmocka_unit_test(change_is_independent_of_size),
      cmocka_unit_test(empties),
  };
  return cmocka_run_group_tests_name("store hamt", tests, NULL, NULL);
}
