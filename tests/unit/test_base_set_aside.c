/*
 * test_base_set_aside.c - entries that are set aside: written, read, removed, once each
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "failing_disk.h"
#include "testing.h"

#include "base/set_aside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static void read_text(const char *name, char *out, size_t cap) {
  char path[160];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  out[fread(out, 1, cap - 1, file)] = '\0';
  fclose(file);
}

struct seen {
  uint64_t sum;
  size_t count;
  char octets[JOURNAL_ENTRY_MAX + 1];
};

static void see(uint64_t number, const char *octets, size_t len, void *arg) {
  struct seen *seen = arg;
  seen->sum += number;
  seen->count++;
  memcpy(seen->octets, octets, len);
  seen->octets[len] = '\0';
}

static void keeps_and_gives_back(void **state) {
  (void)state;
  static const char octets[] = "\"t\":1,\"sub\":\"a\\\"refused\\\":\\\"b\"}";
  char err[200], text[JOURNAL_ENTRY_MAX + 500], *long_entry = calloc(1, JOURNAL_ENTRY_MAX + 2);
  struct seen seen = {0};
  bool fresh = false;
  assert_int_equal(set_aside_open(folder, err, sizeof err), 0);
  assert_int_equal(set_aside_add(folder, 7, octets, strlen(octets), "it says \"no\"\n\\ \xc3\xa4", &fresh), 0);
  assert_true(fresh);
  read_text("00000000000000000007.json", text, sizeof text);
  assert_string_equal(text, "{\"q\":7,\"refused\":\"it says 'no'?? ??\",\"t\":1,\"sub\":\"a\\\"refused\\\":\\\"b\"}\n");
  /* once */
  assert_int_equal(set_aside_add(folder, 7, "\"x\":2}", 6, "another", &fresh), 0);
  assert_false(fresh);
  assert_int_equal(set_aside_read(folder, 10, see, &seen), 1);
  assert_int_equal(seen.sum, 7);
  assert_string_equal(seen.octets, octets);
  /* the longest */
  memset(long_entry, 'x', JOURNAL_ENTRY_MAX + 1);
  memset(text, 'y', 400);
  text[400] = '\0';
  assert_int_equal(set_aside_add(folder, UINT64_MAX, long_entry, JOURNAL_ENTRY_MAX, text, &fresh), 0);
  assert_int_equal(set_aside_add(folder, 9, long_entry, JOURNAL_ENTRY_MAX + 1, text, &fresh), EMSGSIZE);
  assert_int_equal(set_aside_read(folder, 1, see, &seen), 1);
  assert_int_equal(set_aside_remove(folder, 7), 0);
  assert_int_equal(set_aside_remove(folder, 7), 0);
  memset(&seen, 0, sizeof seen);
  assert_int_equal(set_aside_read(folder, 10, see, &seen), 1);
  assert_int_equal(strlen(seen.octets), JOURNAL_ENTRY_MAX);
  free(long_entry);
}

static void passes_over_what_is_no_entry(void **state) {
  (void)state;
  char err[200], path[160];
  static const char *const names[] = {"notes.txt", "00000000000000000001.json.new", "12.json",
                                      "00000000000000000003.json"};
  for (size_t i = 0; i < 4; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    close(open(path, O_CREAT | O_WRONLY, 0600));
  }
  struct seen seen = {0};
  assert_int_equal(set_aside_open(folder, err, sizeof err), 2); /* the empty one is an operator's to look at */
  assert_int_equal(set_aside_read(folder, 10, see, &seen), 1);
  assert_int_equal(access(path, F_OK), 0);
  snprintf(path, sizeof path, "%s/%s", folder, names[1]);
  assert_int_equal(access(path, F_OK), -1); /* half a file of a crash */
}

static void tells_what_fails(void **state) {
  (void)state;
  char err[200] = "";
  bool fresh;
  struct seen seen = {0};
  assert_int_equal(set_aside_open("/nonexistent/x", err, sizeof err), -1);
  assert_non_null(strstr(err, "/nonexistent/x: "));
  readdir_fails = true;
  assert_int_equal(set_aside_open(folder, err, sizeof err), -1);
  readdir_fails = false;
  assert_non_null(strstr(err, "Input/output error"));
  assert_int_equal(set_aside_add("/nonexistent/x", 1, "}", 1, "", &fresh), ENOENT);
  assert_int_equal(set_aside_read("/nonexistent/x", 1, see, &seen), -1);
  assert_int_equal(set_aside_remove("/nonexistent/x", 1), ENOENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_and_gives_back),
                                     cmocka_unit_test(passes_over_what_is_no_entry),
                                     cmocka_unit_test(tells_what_fails)};
  snprintf(folder, sizeof folder, "/tmp/turncred-aside.XXXXXX");
  if (!mkdtemp(folder)) {
    return 1;
  }
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  char command[100];
  snprintf(command, sizeof command, "rm -r %s", folder);
  return system(command) || failed;
}
