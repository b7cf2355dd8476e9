/*
 * test_module_subject.c - what a revocation or a disabled key means for a grant
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The rule is the module's own; the snapshots are made here.
 */
#include "config.h"

#include "module/module.h"
#include "store/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define T INT64_C(1764000000)

static void put_realm(struct store_snapshot *s, const char *name, const char *guests) {
  struct realm_fields fields;
  memset(&fields, 0, sizeof fields);
  snprintf(fields.realm.name, sizeof fields.realm.name, "%s", name);
  snprintf(fields.realm.server_name, sizeof fields.realm.server_name, "turn.%s", name);
  fields.realm.mechanisms[0] = STORE_TOKEN;
  fields.realm.max_ttl = 86400;
  fields.guest_kids = guests;
  fields.listen_addresses = fields.origins = "";
  assert_int_equal(snapshot_put_realm(s, &fields), 0);
}

static void put_key(struct store_snapshot *s, const char *realm, const char *kid, enum store_key_state state) {
  struct store_key key;
  uint8_t k[32];
  memset(&key, 0, sizeof key);
  memset(k, 7, sizeof k);
  assert_int_equal(
      turncred_key_init(&key.key, TURNCRED_USE_TOKEN, TURNCRED_A256GCM, TURNCRED_DERIVATION_NONE, k, sizeof k),
      TURNCRED_OK);
  key.realm = realm;
  key.kid = kid;
  key.state = state;
  assert_int_equal(snapshot_put_key(s, &key), 0);
}

static void revoke(struct store_snapshot *s, enum store_revocation_kind kind, const char *realm, const char *name,
                   int64_t until) {
  const struct revocation_name what = {kind, realm, name};
  assert_int_equal(snapshot_put_revocation(s, &what, until), 0);
}

static const struct subject token = {STORE_TOKEN, "r", "r", "k1", "", "00ff", T};
static const struct subject guest = {STORE_TOKEN, "r", "home", "g1", "", "00ee", T};
static const struct subject derived = {STORE_DERIVED, "r", "r", "d1", "alice", "", T};
static const struct subject pushed = {STORE_PUSHED, "r", "r", "", "bob", "", T};

static int setup(void **state) {
  struct store_snapshot *s = snapshot_new(1);
  put_realm(s, "r", "home/g1");
  put_realm(s, "home", "");
  put_realm(s, "other", "");
  put_key(s, "r", "k1", STORE_KEY_ACTIVE);
  put_key(s, "r", "d1", STORE_KEY_RETIRED);
  put_key(s, "home", "g1", STORE_KEY_PUBLISHED);
  *state = s;
  return 0;
}

static int teardown(void **state) {
  snapshot_free(*state);
  return 0;
}

#define REFUSED(subject) assert_int_equal(subject_refused(s, &(subject)), COTURN_AUTH_REASON_REVOKED)
#define FINE(subject) assert_int_equal(subject_refused(s, &(subject)), COTURN_AUTH_REASON_NONE)

static void test_nothing_revoked(void **state) {
  struct store_snapshot *s = *state;
  FINE(token);
  FINE(guest);
  FINE(derived);
  FINE(pushed);
}

static void test_user(void **state) {
  struct store_snapshot *s = *state;
  revoke(s, STORE_REVOKED_USER, "r", "alice", INT64_MAX);
  revoke(s, STORE_REVOKED_USER, "other", "bob", INT64_MAX);
  revoke(s, STORE_REVOKED_USER, "r", "alic", INT64_MAX);
  REFUSED(derived);
  FINE(pushed);
  FINE(token);
}

/* In force until a time: credentials issued up to it are invalid for ever, later ones are not. */
static void test_issue_time(void **state) {
  struct store_snapshot *s = *state;
  struct subject later = derived;
  revoke(s, STORE_REVOKED_USER, "r", "alice", T);
  REFUSED(derived);
  later.issued = T + 1;
  FINE(later);
  revoke(s, STORE_REVOKED_USER, "r", "alice", T + 1);
  REFUSED(later);
}

static void test_token(void **state) {
  struct store_snapshot *s = *state;
  revoke(s, STORE_REVOKED_TOKEN, "r", "00ff", T + 100);
  REFUSED(token);
  FINE(guest);
  FINE(derived);
}

static void test_kid(void **state) {
  struct store_snapshot *s = *state;
  revoke(s, STORE_REVOKED_KID, "r", "d1", INT64_MAX);
  REFUSED(derived);
  FINE(token);
  FINE(pushed);
}

/* A guest kid can be revoked at home and where it is a guest. */
static void test_guest(void **state) {
  struct store_snapshot *s = *state;
  revoke(s, STORE_REVOKED_KID, "home", "g1", INT64_MAX);
  REFUSED(guest);
  revoke(s, STORE_REVOKED_KID, "home", "g1", 1);
  FINE(guest);
  revoke(s, STORE_REVOKED_KID, "r", "g1", INT64_MAX);
  REFUSED(guest);
  revoke(s, STORE_REVOKED_KID, "r", "g1", 1);
  revoke(s, STORE_REVOKED_REALM, "home", "", INT64_MAX);
  REFUSED(guest);
  FINE(token);
}

static void test_realm(void **state) {
  struct store_snapshot *s = *state;
  revoke(s, STORE_REVOKED_REALM, "r", "", INT64_MAX);
  REFUSED(token);
  REFUSED(guest);
  REFUSED(derived);
  REFUSED(pushed);
}

/* Disabling a key ends its sessions; retiring or removing it does not. */
static void test_keys(void **state) {
  struct store_snapshot *s = *state;
  put_key(s, "r", "k1", STORE_KEY_DISABLED);
  assert_int_equal(subject_refused(s, &token), COTURN_AUTH_REASON_UNKNOWN_KEY);
  FINE(derived);
  put_key(s, "home", "g1", STORE_KEY_DISABLED);
  assert_int_equal(subject_refused(s, &guest), COTURN_AUTH_REASON_UNKNOWN_KEY);
  put_key(s, "r", "k1", STORE_KEY_RETIRED);
  FINE(token);
  assert_int_equal(snapshot_remove_key(s, "r", "k1"), 0);
  FINE(token);
  assert_int_equal(snapshot_remove_realm(s, "r"), 0);
  FINE(token);
  FINE(pushed);
}

/* What the sweep of live sessions goes by. */
static void test_subjects_number(void **state) {
  struct store_snapshot *s = *state, *next = snapshot_fork(s);
  assert_true(store_snapshot_subjects(s) == store_snapshot_subjects(next));
  put_realm(next, "new", "");
  assert_true(store_snapshot_subjects(s) == store_snapshot_subjects(next));
  revoke(next, STORE_REVOKED_USER, "r", "alice", INT64_MAX);
  uint64_t after_revocation = store_snapshot_subjects(next);
  assert_true(store_snapshot_subjects(s) != after_revocation);
  put_key(next, "r", "k1", STORE_KEY_DISABLED);
  assert_true(store_snapshot_subjects(next) != after_revocation);
  snapshot_free(next);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_nothing_revoked, setup, teardown),
      cmocka_unit_test_setup_teardown(test_user, setup, teardown),
      cmocka_unit_test_setup_teardown(test_issue_time, setup, teardown),
      cmocka_unit_test_setup_teardown(test_token, setup, teardown),
      cmocka_unit_test_setup_teardown(test_kid, setup, teardown),
      cmocka_unit_test_setup_teardown(test_guest, setup, teardown),
      cmocka_unit_test_setup_teardown(test_realm, setup, teardown),
      cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
      cmocka_unit_test_setup_teardown(test_subjects_number, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
