/*
 * test_turncredd_limits.c - limits of subjects are kept under load, within bounded memory, and no caller spoils
 * another's; without memory for a name, limits and reserves refuse, and the process lives on
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "testing.h"

#include "turncredd/limits.h"
#include "turncredd/supply/reserve.h"

#include <stdbool.h>
#include <stdlib.h>

/* The linker calls these for malloc and calloc (--wrap): so many allocations work, the next one fails; -1: all work */
static long allocations_left = -1;
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
static bool allocation_fails(void) { return allocations_left >= 0 && allocations_left-- == 0; }
void *__wrap_malloc(size_t size) { return allocation_fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t n, size_t size) { return allocation_fails() ? NULL : __real_calloc(n, size); }

#define OCTETS 200000 /* for about 1,000 names */
#define HOUR 3600

static bool hold(struct limits *limits, const char *group, const char *name, int64_t now) {
  int64_t wait = 0;
  struct limit_name full = {"tokens", group, name};
  return limits_hold(limits, &full, 3, now + HOUR, now, &wait);
}

/* Asks for n different users of a caller. Returns how many of them got a token. */
static unsigned flood(struct limits *limits, const char *group, unsigned n, int64_t now) {
  char name[64];
  unsigned got = 0;
  for (unsigned i = 0; i < n; i++) {
    snprintf(name, sizeof name, "%s/user%u", group, i);
    got += hold(limits, group, name, now);
  }
  return got;
}

static void held_tokens_are_not_forgotten(void **state) {
  struct limits *limits = limits_new(OCTETS);
  (void)state;
  for (int i = 0; i < 3; i++) {
    assert_true(hold(limits, "b", "b/victim", 1000));
  }
  assert_false(hold(limits, "b", "b/victim", 1000));
  unsigned got = flood(limits, "a", 20000, 1001);
  assert_in_range(got, 100, 5000);
  assert_false(hold(limits, "b", "b/victim", 1002));
  assert_in_range(limits_octets(limits), 1, OCTETS * 2);
  /* who fills the memory is refused, others get in */
  assert_false(hold(limits, "a", "a/one more", 1002));
  assert_true(hold(limits, "b", "b/another", 1002));
  assert_true(hold(limits, "c", "c/newcomer", 1002));
  /* what has expired makes way */
  assert_true(hold(limits, "a", "a/one more", 1001 + HOUR + 1));
  assert_true(hold(limits, "b", "b/victim", 1001 + HOUR + 1));
  limits_free(limits);
}

static void a_rate_is_not_forgotten_before_its_bucket_is_full(void **state) {
  struct limits *limits = limits_new(OCTETS);
  struct limit_name victim = {"subject", "b", "b/victim"};
  int64_t wait = 0;
  char text[64];
  (void)state;
  for (int i = 0; i < 60; i++) {
    assert_true(limits_rate(limits, &victim, 60, 60000, 1000, &wait));
  }
  assert_false(limits_rate(limits, &victim, 60, 60000, 1000, &wait));
  assert_in_range(wait, 1, 1001);
  for (unsigned i = 0; i < 20000; i++) {
    snprintf(text, sizeof text, "a/user%u", i);
    struct limit_name name = {"subject", "a", text};
    limits_rate(limits, &name, 60, 60000, 1000 + i / 100, &wait);
  }
  assert_false(limits_rate(limits, &victim, 60, 60000, 1200, &wait));
  assert_in_range(limits_octets(limits), 1, OCTETS * 2);
  assert_true(limits_rate(limits, &victim, 60, 60000, 1200 + 60000, &wait));
  limits_free(limits);
}

static void memory_is_bounded_with_any_number_of_groups(void **state) {
  struct limits *limits = limits_new(OCTETS);
  char group[32];
  (void)state;
  for (unsigned i = 0; i < 40; i++) {
    snprintf(group, sizeof group, "caller%u", i);
    flood(limits, group, 2000, 1000);
  }
  assert_in_range(limits_octets(limits), OCTETS / 2, OCTETS * 5);
  assert_true(hold(limits, "last", "last/user", 1000));
  limits_free(limits);
}

static void what_names_hold_counts_as_memory(void **state) {
  struct limits *limits = limits_new(OCTETS);
  struct limit_name name = {"credentials", "realm", "realm/user"};
  int64_t wait = 0, held = 0;
  (void)state;
  while (held < 40000 && limits_hold(limits, &name, 40000, 1000 + HOUR, 1000, &wait)) {
    held++;
  }
  assert_in_range(limits_octets(limits), 1, OCTETS * 2);
  assert_in_range(held, 1000, 40000 - 1);
  assert_true(wait > 0);
  /* others still get in, and what has expired makes way */
  assert_true(hold(limits, "other", "other/user", 1000));
  assert_true(limits_hold(limits, &name, 40000, 1000 + 2 * HOUR, 1001 + HOUR, &wait));
  limits_free(limits);
}

static void what_is_released_is_not_held(void **state) {
  struct limits *limits = limits_new(OCTETS);
  struct limit_name name = {"tokens", "", "b/victim"};
  (void)state;
  for (int i = 0; i < 3; i++) {
    assert_true(hold(limits, "b", "b/victim", 1000));
  }
  limits_release(limits, &name, 1000 + HOUR);
  assert_true(hold(limits, "b", "b/victim", 1000));
  assert_false(hold(limits, "b", "b/victim", 1000));
  limits_free(limits);
}

/* uthash ends the process when a table cannot be made or grow, unless it is told not to. */
static void without_memory_a_name_is_refused_and_the_next_time_it_is_not(void **state) {
  int failures = 0;
  (void)state;
  for (bool failed = true; failed; failures += failed) {
    struct limits *limits = limits_new(OCTETS);
    allocations_left = failures;
    bool held = hold(limits, "b", "b/user", 1000);
    failed = allocations_left < 0;
    allocations_left = -1;
    assert_int_equal(held, !failed);
    assert_true(hold(limits, "b", "b/user", 1000));
    limits_free(limits);
  }
  assert_in_range(failures, 6, 20); /* the name, its group, two tables of two allocations; room for what it holds */
}

static void a_table_that_cannot_grow_refuses_one_name_alone(void **state) {
  struct limits *limits = limits_new(100 * (size_t)OCTETS);
  unsigned got = 0, refused = 0;
  char name[64];
  (void)state;
  for (unsigned i = 0; i < 2000; i++) {
    struct limit_name full = {"subject", "a", name};
    int64_t wait = 0;
    snprintf(name, sizeof name, "a/user%u", i);
    allocations_left = 1; /* a name is one; the next one is the table's */
    bool ok = limits_rate(limits, &full, 60, 60000, 1000, &wait);
    allocations_left = -1;
    got += ok;
    refused += !ok;
    assert_true(ok || limits_rate(limits, &full, 60, 60000, 1000, &wait));
  }
  assert_in_range(refused, 2, 20);
  assert_int_equal(got, 2000 - refused);
  limits_free(limits);
}

static void without_memory_no_tokens_are_reserved_and_the_next_time_they_are(void **state) {
  int failures = 0;
  (void)state;
  for (bool failed = true; failed; failures += failed) {
    struct reserve *reserve = reserve_new(10);
    allocations_left = failures;
    bool added = reserve_add(reserve, "turn.test", "k1", 10);
    failed = allocations_left < 0;
    allocations_left = -1;
    assert_int_equal(added, !failed);
    assert_int_equal(reserve_left(reserve, "turn.test", "k1"), failed ? 0 : 10);
    assert_true(reserve_add(reserve, "turn.test", "k1", 10));
    assert_int_equal(reserve_left(reserve, "turn.test", "k1"), failed ? 10 : 20);
    reserve_free(reserve);
  }
  assert_int_equal(failures, 3); /* the name, and two of its table */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(held_tokens_are_not_forgotten),
      cmocka_unit_test(a_rate_is_not_forgotten_before_its_bucket_is_full),
      cmocka_unit_test(memory_is_bounded_with_any_number_of_groups),
      cmocka_unit_test(what_names_hold_counts_as_memory),
      cmocka_unit_test(what_is_released_is_not_held),
      cmocka_unit_test(without_memory_a_name_is_refused_and_the_next_time_it_is_not),
      cmocka_unit_test(a_table_that_cannot_grow_refuses_one_name_alone),
      cmocka_unit_test(without_memory_no_tokens_are_reserved_and_the_next_time_they_are),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
