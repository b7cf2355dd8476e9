/*
 * test_turncredd_directory.c - without memory no caller becomes unknown and none loses its pinned certificate
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "testing.h"

#include <stdlib.h>

/* the file itself, with allocations that fail */
static int left = -1; /* allocations that work; -1: all */
static void *failing_calloc(size_t n, size_t size) { return left >= 0 && left-- == 0 ? NULL : calloc(n, size); }
static void *failing_realloc(void *p, size_t size) { return left >= 0 && left-- == 0 ? NULL : realloc(p, size); }
#define calloc failing_calloc
#define realloc failing_realloc
#include "turncredd/supply/directory.c" // NOLINT(bugprone-suspicious-include)

#define KEY "1111111111111111111111111111111111111111111111111111111111111111"
#define CERT "2222222222222222222222222222222222222222222222222222222222222222"

/* A row of a directory as text: the fields given, and the last of them filled up with null. */
static void add_row(json_t *rows, int fields, const char *const *given) {
  json_t *row = json_array();
  for (int i = 0; i < fields; i++) {
    json_array_append_new(row, *given ? json_string(*given++) : json_null());
  }
  json_array_append_new(rows, row);
}

static char *text_of_directory(const char *cert) {
  json_t *callers = json_array(), *realms = json_array();
  const char *portal[] = {"portal", KEY, cert, "CN=portal", "token\nderived", "r", NULL};
  const char *realm[] = {"r", "turn.r", "turn:r", "f", NULL};
  add_row(callers, CALLER_FIELDS, portal);
  add_row(realms, REALM_FIELDS, realm);
  json_t *both = json_pack("{s:o, s:o}", "callers", callers, "realms", realms);
  char *text = json_dumps(both, 0);
  json_decref(both);
  return text;
}

static void no_failure_opens_a_caller(void **state) {
  uint8_t key[32], other[32];
  char *text = text_of_directory(CERT);
  int refused = 0, taken = 0;
  (void)state;
  memset(key, 0x11, sizeof key);
  memset(other, 0x33, sizeof other);
  for (int n = 0; taken == 0; n++) {
    left = n;
    struct directory *d = directory_from_text(text);
    left = -1;
    assert_in_range(n, 0, 100);
    if (!d) {
      refused++;
      continue;
    }
    taken++;
    assert_non_null(directory_by_key(d, key));
    assert_null(directory_by_cert(d, other, "CN=portal"));
    assert_true(caller_may(directory_by_key(d, key), "r"));
    directory_unref(d);
  }
  assert_in_range(refused, 8, 100);
  free(text);
}

static void damage_opens_nothing(void **state) {
  static const char *const damaged[] = {"", "22", "no hex", CERT "22"};
  uint8_t key[32], other[32], zero[32] = {0};
  (void)state;
  memset(key, 0x11, sizeof key);
  memset(other, 0x33, sizeof other);
  for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
    char *text = text_of_directory(damaged[i]);
    struct directory *d = directory_from_text(text);
    assert_non_null(d);
    assert_non_null(directory_by_key(d, key));
    assert_null(directory_by_key(d, zero));
    assert_null(directory_by_cert(d, other, "CN=portal"));
    directory_unref(d);
    free(text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_failure_opens_a_caller),
      cmocka_unit_test(damage_opens_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
