/*
 * test_pg_array.c - array literals of PostgreSQL: what must be quoted and escaped
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pg/array.h"

#include <string.h>

static void array_literals(void **state) {
  struct pg_array a = {0};
  (void)state;
  assert_string_equal(pg_array_end(&a), "{}");
  pg_array_clear(&a);
  pg_array_text(&a, "plain");
  pg_array_text(&a, "");
  pg_array_text(&a, NULL);
  pg_array_text(&a, "NULL");
  pg_array_text(&a, "a\"b\\c,{d}");
  assert_string_equal(pg_array_end(&a), "{\"plain\",\"\",NULL,\"NULL\",\"a\\\"b\\\\c,{d}\"}");
  pg_array_clear(&a);
  pg_array_octets(&a, (const uint8_t *)"\x00\xff\x10", 3);
  pg_array_octets(&a, NULL, 0);
  assert_string_equal(pg_array_end(&a), "{\"\\\\x00ff10\",\"\\\\x\"}");
  pg_array_clear(&a);
  for (int i = 0; i < 10000; i++) {
    pg_array_text(&a, "\"\"\"\"");
  }
  assert_int_equal(strlen(pg_array_end(&a)), 10000 * 11 + 1);
  pg_array_clear(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(array_literals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
