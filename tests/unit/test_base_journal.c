/*
 * test_base_journal.c - the journal: what it writes, what it reads back, and what it refuses
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "failing_disk.h"

#include "base/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* What turncredd wrote at 808ebf9: two entries, journal_skip to 9, one entry. */
#define STREAM "960a6d76-d65f-4b1c-8d30-f21af4a7069e"
#define FIRST                                                                                                          \
  "\"t\":1795890599617769,\"realm\":\"example.net\",\"kind\":\"token\",\"kid\":\"k1\",\"fp\":\"0123456789abcdef\","    \
  "\"sub\":\"alice\",\"exp\":1764003600,\"caller\":\"portal\"}"
#define SECOND                                                                                                         \
  "\"t\":1795890599617816,\"realm\":\"example.net\",\"kind\":\"derived\",\"kid\":\"d1\",\"fp\":\"\","                  \
  "\"sub\":\"b\\\"\\\\\xc3\xb6 b\xe2\x80\xa8\",\"exp\":1764003601,\"caller\":\"\"}"
#define THIRD                                                                                                          \
  "\"t\":1795890599620992,\"realm\":\"example.net\",\"kind\":\"rest\",\"kid\":\"k1\",\"fp\":\"0123456789abcdef\","     \
  "\"sub\":\"alice\",\"exp\":1764003600,\"caller\":\"portal\"}"
#define LINE_1 "d15b9a5c74763eb5 {\"q\":1," FIRST "\n"
#define LINE_2 "2a0fe7d7b7a6bbfe {\"q\":2," SECOND "\n"
#define LINE_3 "8706f396ef4e206e {\"q\":10," THIRD "\n"
#define FILE_1 "00000000000000000001.log"

static char dir[64], err[400], logged[400];
static bool logged_error;
static sem_t done;
static int result;

static void on_log(bool error, const char *line, void *arg) {
  (void)arg;
  logged_error = error;
  snprintf(logged, sizeof logged, "%s", line);
}

static void on_done(int rc, void *arg) {
  (void)arg;
  result = rc;
  sem_post(&done);
}

static const char *path(const char *name) {
  static char out[200];
  snprintf(out, sizeof out, "%s/%s", dir, name);
  return out;
}

static void write_text(const char *name, const char *text) {
  FILE *file = fopen(path(name), "w");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
  assert_int_equal(fclose(file), 0);
}

static const char *read_text(const char *name) {
  static char text[4096];
  FILE *file = fopen(path(name), "r");
  assert_non_null(file);
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  return text;
}

static struct journal *open_with(size_t entries) {
  struct journal_config config = {dir, "state_dir", entries, on_log, NULL};
  struct journal *journal = NULL;
  if (journal_open(&journal, &config, err, sizeof err)) {
    fail_msg("%s", err);
  }
  return journal;
}

static int wait_done(void) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 20;
  while (sem_timedwait(&done, &until)) {
    assert_int_equal(errno, EINTR);
  }
  return result;
}

static int add(struct journal *journal, const char *octets) {
  int rc = journal_add(journal, octets, strlen(octets), on_done, NULL);
  return rc ? rc : wait_done();
}

struct seen {
  size_t count;
  uint64_t numbers[8];
  char octets[8][400];
};

static void see(uint64_t number, const char *octets, size_t len, void *arg) {
  struct seen *seen = arg;
  assert_true(seen->count < 8 && len < 400);
  seen->numbers[seen->count] = number;
  memcpy(seen->octets[seen->count++], octets, len);
}

static int setup(void **state) {
  (void)state;
  strcpy(dir, "/tmp/turncred-journal-XXXXXX");
  *logged = '\0';
  return mkdtemp(dir) && !sem_init(&done, 0, 0) ? 0 : -1;
}

static int teardown(void **state) {
  char command[128];
  (void)state;
  sem_destroy(&done);
  snprintf(command, sizeof command, "rm -rf '%s'", dir);
  return system(command);
}

static void expect_three(struct journal *journal) {
  struct seen seen = {0};
  assert_int_equal(journal_read(journal, 8, see, &seen), 3);
  assert_int_equal(seen.numbers[0], 1);
  assert_int_equal(seen.numbers[1], 2);
  assert_int_equal(seen.numbers[2], 10);
  assert_string_equal(seen.octets[0], FIRST);
  assert_string_equal(seen.octets[1], SECOND);
  assert_string_equal(seen.octets[2], THIRD);
}

static void test_previous_build(void **state) {
  (void)state;
  write_text("stream", STREAM);
  write_text(FILE_1, LINE_1 LINE_2 LINE_3);
  struct journal *journal = open_with(100);
  assert_string_equal(journal_stream(journal), STREAM);
  assert_string_equal(logged, "");
  assert_int_equal(journal_waiting(journal), 3);
  expect_three(journal);
  assert_int_equal(add(journal, "\"x\":1}"), 0);
  assert_int_equal(journal_delivered(journal, 10), 3);
  struct seen seen = {0};
  assert_int_equal(journal_read(journal, 8, see, &seen), 1);
  assert_int_equal(seen.numbers[0], 11);
  journal_close(journal);
  assert_memory_equal(read_text(FILE_1), LINE_1 LINE_2 LINE_3, strlen(LINE_1 LINE_2 LINE_3));
}

static void test_same_format(void **state) {
  (void)state;
  struct journal *journal = open_with(100);
  assert_int_equal(add(journal, FIRST), 0);
  assert_int_equal(add(journal, SECOND), 0);
  journal_skip(journal, 9);
  assert_non_null(strstr(logged, "an older copy of state_dir"));
  assert_false(logged_error);
  assert_int_equal(add(journal, THIRD), 0);
  expect_three(journal);
  journal_close(journal);
  assert_string_equal(read_text(FILE_1), LINE_1 LINE_2 LINE_3);
  journal = open_with(100);
  expect_three(journal);
  journal_close(journal);
}

/* The journal reads as far as its lines are whole, says so, and goes on behind them. */
static void expect_first_of(const char *text) {
  write_text("stream", STREAM);
  write_text(FILE_1, text);
  *logged = '\0';
  struct journal *journal = open_with(100);
  assert_non_null(strstr(logged, "they are cut off"));
  assert_int_equal(journal_waiting(journal), 1);
  assert_int_equal(add(journal, SECOND), 0);
  journal_close(journal);
  assert_string_equal(read_text(FILE_1), LINE_1 LINE_2);
}

static void test_damage(void **state) {
  (void)state;
  expect_first_of(LINE_1 "2a0fe7d7b7a6bbfe {\"q\":2,\"t\":17958");
  expect_first_of(LINE_1 "2a0fe7d7b7a6bbff {\"q\":2," SECOND "\n");
  expect_first_of(LINE_1 "2a0fe7d7b7a6bbfe {\"q\":3," SECOND "\n" LINE_3);
  expect_first_of(LINE_1 LINE_1);
  expect_first_of(LINE_1 "\n");
}

static void expect_later(const char *text) {
  struct journal_config config = {dir, "state_dir", 100, on_log, NULL};
  struct journal *journal = NULL;
  write_text("stream", STREAM);
  write_text(FILE_1, text);
  assert_int_not_equal(journal_open(&journal, &config, err, sizeof err), 0);
  assert_non_null(strstr(err, "a later version has written entries there"));
  struct stat st;
  assert_int_equal(stat(path(FILE_1), &st), 0);
  assert_int_equal(st.st_size, strlen(text));
}

/* What a later version may have written is not cut off: the check is right, and the form another one. */
static void test_later_version(void **state) {
  (void)state;
  expect_later(LINE_1 "44136fa355b3678a {}\n");
  char *longer = malloc(sizeof LINE_1 + 10000);
  assert_non_null(longer);
  int n = sprintf(longer, LINE_1 "0123456789abcdef {\"q\":2,");
  memset(longer + n, 'x', 9000);
  strcpy(longer + n + 9000, "}\n");
  expect_later(longer);
  free(longer);
}

static void test_limits(void **state) {
  (void)state;
  struct journal *journal = open_with(2);
  char *large = malloc(JOURNAL_ENTRY_MAX + 2);
  assert_non_null(large);
  memset(large, 'x', JOURNAL_ENTRY_MAX + 1);
  large[JOURNAL_ENTRY_MAX + 1] = '\0';
  assert_int_equal(add(journal, large), EMSGSIZE);
  large[JOURNAL_ENTRY_MAX] = '\0';
  assert_int_equal(add(journal, large), 0);
  assert_int_equal(add(journal, "a\nb"), EINVAL);
  assert_int_equal(journal_add(journal, "a\0b", 3, on_done, NULL), EINVAL);
  assert_int_equal(add(journal, "2}"), 0);
  assert_int_equal(add(journal, "3}"), ENOSPC);
  journal_close(journal);
  journal = open_with(2);
  assert_int_equal(journal_waiting(journal), 2);
  assert_int_equal(add(journal, "3}"), ENOSPC);
  assert_int_equal(journal_delivered(journal, 1), 1);
  assert_int_equal(add(journal, "3}"), 0);
  journal_close(journal);
  free(large);
}

/* Entries that come together are synced once; each has its own result. */
static void test_together(void **state) {
  (void)state;
  struct journal *journal = open_with(3);
  double seconds;
  struct journal_addition list[6] = {{"1}", 2, on_done, NULL, -1},   {"a\nb", 3, on_done, NULL, -1},
                                     {"2}", 2, on_done, NULL, -1},   {"3}", 2, on_done, NULL, -1},
                                     {"a\0b", 3, on_done, NULL, -1}, {"4}", 2, on_done, NULL, -1}};
  const int expected[6] = {0, EINVAL, 0, 0, EINVAL, ENOSPC};
  const uint64_t syncs = journal_syncs(journal, &seconds);
  journal_add_all(journal, list, 6);
  for (int i = 0; i < 6; i++) {
    assert_int_equal(list[i].result, expected[i]);
  }
  for (int i = 0; i < 3; i++) {
    assert_int_equal(wait_done(), 0);
  }
  assert_int_equal(journal_syncs(journal, &seconds), syncs + 1);
  struct seen seen = {0};
  assert_int_equal(journal_read(journal, 8, see, &seen), 3);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(seen.numbers[i], seen.numbers[0] + i);
    assert_int_equal(seen.octets[i][0], '1' + (char)i);
  }
  journal_add_all(journal, list, 0);
  assert_int_equal(add(journal, "5}"), ENOSPC);
  journal_close(journal);
}

static void set_file_limit(rlim_t octets) {
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = octets == RLIM_INFINITY ? limit.rlim_max : octets;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* An entry that could not be written leaves no trace, and the next entry gets its number. */
static void test_write_fails(void **state) {
  (void)state;
  struct journal *journal = open_with(100);
  assert_int_equal(add(journal, FIRST), 0);
  signal(SIGXFSZ, SIG_IGN);
  set_file_limit(strlen(LINE_1) + 20); /* a part of the second line fits */
  int rc = add(journal, "lost");
  set_file_limit(RLIM_INFINITY);
  assert_int_equal(rc, EFBIG);
  assert_true(logged_error);
  assert_non_null(strstr(logged, "cannot be written"));
  assert_string_equal(read_text(FILE_1), LINE_1);
  assert_int_equal(journal_waiting(journal), 1);
  assert_int_equal(add(journal, SECOND), 0);
  journal_close(journal);
  assert_string_equal(read_text(FILE_1), LINE_1 LINE_2);
}

static void test_files(void **state) {
  (void)state;
  struct journal *journal = open_with(10000);
  char octets[8001];
  memset(octets, 'x', sizeof octets - 1);
  octets[sizeof octets - 1] = '\0';
  for (int i = 1; i <= 600; i++) {
    assert_int_equal(add(journal, octets), 0);
  }
  assert_int_equal(access(path(FILE_1), F_OK), 0);
  journal_close(journal);
  journal = open_with(10000);
  assert_int_equal(journal_waiting(journal), 600);
  assert_int_equal(journal_delivered(journal, 600), 600);
  assert_int_equal(access(path(FILE_1), F_OK), -1); /* all of it is delivered, and a newer file is there */
  journal_close(journal);
  journal = open_with(10000); /* the newer file tells which number is next */
  journal_delivered(journal, 600);
  assert_int_equal(add(journal, "601}"), 0);
  struct seen seen = {0};
  assert_int_equal(journal_read(journal, 8, see, &seen), 1);
  assert_int_equal(seen.numbers[0], 601);
  journal_close(journal);
}

static int refused(void) {
  struct journal_config config = {dir, "state_dir", 100, on_log, NULL};
  struct journal *journal = NULL;
  int rc = journal_open(&journal, &config, err, sizeof err);
  assert_null(journal);
  return rc;
}

/* A file that cannot be read is left as it is, and a folder that cannot be is not taken for an empty one. */
static void test_read_fails(void **state) {
  (void)state;
  write_text("stream", STREAM);
  write_text(FILE_1, LINE_1 LINE_2);
  octets_readable = (long)strlen(LINE_1) + 5;
  int rc = refused();
  octets_readable = -1;
  assert_int_equal(rc, -1);
  assert_non_null(strstr(err, "a file of the journal cannot be read: Input/output error"));
  assert_string_equal(logged, "");
  assert_string_equal(read_text(FILE_1), LINE_1 LINE_2);
  readdir_fails = true;
  rc = refused();
  readdir_fails = false;
  assert_int_equal(rc, -1);
  assert_non_null(strstr(err, "cannot be read: Input/output error"));
}

/* Nothing is written behind a part of a line that could not be cut off (a full disk may refuse that, too). */
static void test_cut_fails(void **state) {
  (void)state;
  struct journal *journal = open_with(100);
  assert_int_equal(add(journal, FIRST), 0);
  signal(SIGXFSZ, SIG_IGN);
  cut_fails = true;
  set_file_limit(strlen(LINE_1) + 20);
  int rc = add(journal, "lost");
  set_file_limit(RLIM_INFINITY);
  int behind = add(journal, SECOND);
  cut_fails = false;
  assert_int_equal(rc, EFBIG);
  assert_int_equal(behind, ENOSPC);
  assert_int_equal(add(journal, SECOND), 0);
  journal_close(journal);
  assert_string_equal(read_text(FILE_1), LINE_1 LINE_2);
}

/* A new file that could not be begun is not there at the next start. */
static void test_new_file_fails(void **state) {
  (void)state;
  char octets[8001];
  memset(octets, 'x', sizeof octets - 1);
  octets[sizeof octets - 1] = '\0';
  struct journal *journal = open_with(10000);
  folder_sync_fails = true;
  for (int i = 1; i <= 600; i++) {
    assert_int_equal(add(journal, octets), 0);
  }
  folder_sync_fails = false;
  assert_non_null(strstr(logged, "no new file: Input/output error; the old one goes on"));
  journal_close(journal);
  journal = open_with(10000);
  assert_int_equal(journal_delivered(journal, 550), 550);
  journal_close(journal);
  journal = open_with(10000); /* what is not delivered is still on disk */
  assert_int_equal(journal_delivered(journal, 550), 550);
  assert_int_equal(journal_waiting(journal), 50);
  journal_close(journal);
}

static void test_one_process(void **state) {
  (void)state;
  struct journal *journal = open_with(2), *other = NULL;
  struct journal_config config = {dir, "state_dir", 2, on_log, NULL};
  assert_int_equal(journal_open(&other, &config, err, sizeof err), -1);
  assert_non_null(strstr(err, "another process uses it"));
  assert_null(other);
  journal_close(journal);
  write_text("stream", "damaged");
  assert_int_equal(journal_open(&other, &config, err, sizeof err), -1);
  assert_non_null(strstr(err, "the file stream is damaged"));
  config.folder = "/nonexistent";
  assert_int_equal(journal_open(&other, &config, err, sizeof err), -1);
  assert_non_null(strstr(err, "state_dir /nonexistent: cannot be opened"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_previous_build, setup, teardown),
      cmocka_unit_test_setup_teardown(test_same_format, setup, teardown),
      cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
      cmocka_unit_test_setup_teardown(test_later_version, setup, teardown),
      cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
      cmocka_unit_test_setup_teardown(test_together, setup, teardown),
      cmocka_unit_test_setup_teardown(test_write_fails, setup, teardown),
      cmocka_unit_test_setup_teardown(test_files, setup, teardown),
      cmocka_unit_test_setup_teardown(test_read_fails, setup, teardown),
      cmocka_unit_test_setup_teardown(test_cut_fails, setup, teardown),
      cmocka_unit_test_setup_teardown(test_new_file_fails, setup, teardown),
      cmocka_unit_test_setup_teardown(test_one_process, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
