/*
 * test_issuing.c - lifetimes after a lifted revocation, passwords, and the keys of pushed credentials
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "testing.h"

#include "issuing/lifetime.h"
#include "issuing/mint.h"

#include <string.h>

/* What a server does: module/derived.c and module/subject.c. */
static bool let_in(int64_t expiry, int64_t max_ttl, int64_t lifted) { return expiry - max_ttl > lifted; }

static void the_shortest_life_that_a_server_takes(void **state) {
  (void)state;
  const int64_t max_ttl = 86400, lifted = 1700000000;
  for (int64_t now = lifted; now < lifted + max_ttl + 10; now++) {
    int64_t needed = lifetime_needed(lifted, max_ttl, now);
    assert_true(let_in(now + needed, max_ttl, lifted));
    assert_false(let_in(now + needed - 1, max_ttl, lifted));
    assert_int_equal(turncred_expiry_check(now + (needed > 1 ? needed : 1), now, (uint32_t)max_ttl), TURNCRED_OK);
  }
  assert_true(lifetime_needed(lifted, max_ttl, lifted + max_ttl) <= 1);
  assert_true(lifetime_needed(0, max_ttl, lifted) <= 1);
}

static void secrets_differ(void **state) {
  (void)state;
  char a[MINT_SECRET], b[MINT_SECRET];
  assert_int_equal(mint_secret(a), TURNCRED_OK);
  assert_int_equal(mint_secret(b), TURNCRED_OK);
  assert_int_equal(strlen(a), MINT_SECRET - 1);
  assert_int_equal(strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), MINT_SECRET - 1);
  assert_string_not_equal(a, b);
}

static void a_pushed_credential_opens_to_its_keys(void **state) {
  (void)state;
  uint8_t kek[TURNCRED_KEK] = {1, 2, 3}, sealed[TURNCRED_CREDENTIAL_SEALED], plain[TURNCRED_CREDENTIAL_SEALED];
  uint8_t opened[TURNCRED_CREDENTIAL_PLAIN], md5[TURNCRED_LONG_TERM_MD5];
  struct turncred_credential_row row = {"main", "turn.test", "alice", 1700000000, "192.0.2.1", NULL};
  assert_int_equal(mint_pushed(NULL, NULL, &row, "a password", plain), TURNCRED_OK);
  assert_int_equal(turncred_long_term_md5(NULL, "alice", 5, "turn.test", "a password", md5), TURNCRED_OK);
  assert_memory_equal(plain, md5, sizeof md5);
  assert_int_equal(mint_pushed(NULL, kek, &row, "a password", sealed), TURNCRED_OK);
  assert_int_equal(turncred_credential_unseal(NULL, kek, &row, sealed, sizeof sealed, opened), TURNCRED_OK);
  assert_memory_equal(opened, plain, sizeof opened);
  row.username = "bob"; /* the sealed row is bound to its name */
  assert_int_not_equal(turncred_credential_unseal(NULL, kek, &row, sealed, sizeof sealed, opened), TURNCRED_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_shortest_life_that_a_server_takes),
      cmocka_unit_test(secrets_differ),
      cmocka_unit_test(a_pushed_credential_opens_to_its_keys),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
