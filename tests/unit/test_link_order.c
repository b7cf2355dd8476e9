/*
 * test_link_order.c - the archives of the rooms in one program
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The program is linked twice, with the archives from the top floor down and from the ground up. Where two archives
 * define one name, one of the two programs calls the wrong function; here such a call would crash or answer otherwise.
 */
#include "config.h"

#include "base/kek.h"
#include "base/secret.h"
#include "issuing/mint.h"
#include "issuing/tag_key.h"
#include "pg/array.h"
#include "pg/pg.h"
#include "store/store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOWHERE "host=/nonexistent dbname=turncred"

static void a_connection_that_cannot_be_made(void **state) {
  struct pg pg;
  (void)state;
  pg_init(&pg, -1);
  assert_int_equal(pg_connect(&pg, NOWHERE, "link_order"), EIO);
  assert_int_equal(pg.error, PG_LOST);
  assert_non_null(strstr(pg.text, "/nonexistent"));
  struct pg_params params = {0};
  pg_text(&params, "r");
  pg_int(&params, 1);
  assert_null(pg_query(&pg, "SELECT $1::text, $2::bigint", &params));
  assert_int_equal(pg.error, PG_LOST);
  pg_close(&pg);
}

static void a_tag_key_without_a_database(void **state) {
  struct pg pg;
  uint8_t key[TAG_KEY_OCTETS];
  char text[400] = "";
  (void)state;
  pg_init(&pg, -1);
  assert_int_equal(tag_key_get(&pg, NULL, "r", "k", key, text, sizeof text), TAG_KEY_DATABASE);
  pg_close(&pg);
}

static void a_store_without_a_database(void **state) {
  struct store_config config = {.conninfo = NOWHERE, .poll_ms = 1000, .version = "test", .instance = "test"};
  struct store *store;
  struct store_status status;
  char text[400] = "";
  (void)state;
  config.kek_path = "/nonexistent";
  assert_int_not_equal(store_new(&store, &config, text, sizeof text), 0);
  assert_non_null(strstr(text, "/nonexistent"));
  config.kek_path = NULL;
  assert_int_equal(store_new(&store, &config, text, sizeof text), 0);
  assert_int_equal(store_start(store), 0);
  assert_false(store_wait(store, 300));
  store_status(store, &status);
  assert_false(status.connected);
  store_stop(store);
}

static void what_needs_no_database(void **state) {
  struct pg_array array = {0};
  char one[MINT_SECRET], other[MINT_SECRET], text[400] = "";
  uint8_t octets[8];
  size_t len = 0;
  (void)state;
  pg_array_text(&array, "a");
  assert_string_equal(pg_array_end(&array), "{\"a\"}");
  pg_array_clear(&array);
  assert_int_equal(mint_secret(one), TURNCRED_OK);
  assert_int_equal(mint_secret(other), TURNCRED_OK);
  assert_int_equal(strlen(one), MINT_SECRET - 1);
  assert_string_not_equal(one, other);
  assert_int_equal(secret_read("/nonexistent", "--key-file", octets, sizeof octets, &len, text, sizeof text), ENOENT);
  assert_false(kek_id_valid("../main"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_connection_that_cannot_be_made),
      cmocka_unit_test(a_tag_key_without_a_database),
      cmocka_unit_test(a_store_without_a_database),
      cmocka_unit_test(what_needs_no_database),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
