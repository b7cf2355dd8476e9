/*
 * test_base_kek.c - key encryption key files: which are taken, which are refused, and that none is overwritten
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "failing_disk.h"

#include "base/kek.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static char err[400];

static const char *path(const char *name) {
  static char buf[4][200];
  static int next;
  char *out = buf[next++ & 3];
  snprintf(out, sizeof buf[0], "%s/%s", dir, name);
  return out;
}

static void write_file(const char *name, size_t octets, mode_t mode) {
  FILE *f = fopen(path(name), "we");
  assert_non_null(f);
  for (size_t i = 0; i < octets; i++) {
    fputc((int)(i + name[0]), f);
  }
  assert_int_equal(fclose(f), 0);
  assert_int_equal(chmod(path(name), mode), 0);
}

static int make_dir(void **state) {
  (void)state;
  snprintf(dir, sizeof dir, "/tmp/turncred-kek.XXXXXX");
  return mkdtemp(dir) ? 0 : -1;
}
static int remove_dir(void **state) {
  (void)state;
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", dir);
  return system(command);
}

static void refused(const char *name, int code, const char *words) {
  struct kek_ring *ring = NULL;
  assert_int_equal(kek_ring_load(&ring, name, err, sizeof err), code);
  assert_null(ring);
  if (!strstr(err, words)) {
    fail_msg("\"%s\" does not say \"%s\"", err, words);
  }
}

static void one_file(void **state) {
  (void)state;
  struct kek_ring *ring;
  write_file("main", 32, 0600);
  assert_int_equal(kek_ring_load(&ring, path("main"), err, sizeof err), 0);
  assert_int_equal(kek_ring_count(ring), 1);
  assert_string_equal(kek_ring_id(ring, 0), "main");
  assert_string_equal(kek_ring_default(ring), "main");
  assert_null(kek_ring_find(ring, "other"));
  assert_int_equal(kek_ring_find(ring, "main")[1], 'm' + 1);
  kek_ring_free(ring);
  kek_ring_free(NULL);
  assert_int_equal(chmod(path("main"), 0640), 0); /* a group that reads is the operator's choice */
  assert_int_equal(kek_ring_load(&ring, path("main"), err, sizeof err), 0);
  kek_ring_free(ring);
}

static void refusals(void **state) {
  (void)state;
  refused(path("none"), ENOENT, "none");
  refused("", ENAMETOOLONG, "empty");
  write_file("short", 31, 0600);
  refused(path("short"), EINVAL, "31 octets, 32 raw octets");
  write_file("long", 33, 0600);
  refused(path("long"), EINVAL, "33 octets");
  write_file("empty", 0, 0600);
  refused(path("empty"), EINVAL, "0 octets");
  write_file("hex", 65, 0600);
  refused(path("hex"), EINVAL, "65 octets");
  write_file("open", 32, 0644);
  refused(path("open"), EPERM, "open to others");
  write_file("group", 32, 0660);
  refused(path("group"), EPERM, "writable by its group");
  write_file("a b", 32, 0600);
  refused(path("a b"), EINVAL, "the name is its id");
  write_file(".hidden", 32, 0600);
  refused(path(".hidden"), EINVAL, "the name is its id");
  if (geteuid() == 0) {
    write_file("foreign", 32, 0600);
    assert_int_equal(chown(path("foreign"), 12345, 12345), 0);
    refused(path("foreign"), EPERM, "owned by neither");
  }
  assert_int_equal(mkfifo(path("fifo"), 0600), 0);
  refused(path("fifo"), EINVAL, "not a regular file"); /* and does not hang */
}

static void folder(void **state) {
  (void)state;
  struct kek_ring *ring;
  refused(dir, ENOENT, "holds none");
  write_file("b", 32, 0600);
  write_file("a", 32, 0400);
  write_file(".b.swp", 5, 0644);
  char slash[80];
  snprintf(slash, sizeof slash, "%s//", dir);
  assert_int_equal(kek_ring_load(&ring, slash, err, sizeof err), 0);
  assert_int_equal(kek_ring_count(ring), 2);
  assert_string_equal(kek_ring_id(ring, 0), "a");
  assert_string_equal(kek_ring_id(ring, 1), "b");
  assert_null(kek_ring_default(ring)); /* nobody said which */
  assert_int_equal(kek_ring_find(ring, "a")[0], 'a');
  assert_int_equal(kek_ring_find(ring, "b")[31], 'b' + 31);
  kek_ring_free(ring);
  readdir_fails = true;
  refused(dir, EIO, "Input/output error"); /* keys may be missing */
  readdir_fails = false;
  write_file("c", 16, 0600);
  refused(dir, EINVAL, "/c:");
}

static void credential(void **state) {
  (void)state;
  struct kek_ring *ring;
  unsetenv("CREDENTIALS_DIRECTORY");
  refused("credential:kek", ENOENT, "LoadCredential=kek");
  setenv("CREDENTIALS_DIRECTORY", dir, 1);
  refused("credential:kek", ENOENT, "/kek");
  write_file("kek", 32, 0400);
  assert_int_equal(kek_ring_load(&ring, "credential:kek", err, sizeof err), 0);
  assert_string_equal(kek_ring_default(ring), "kek");
  kek_ring_free(ring);
}

static void generate(void **state) {
  (void)state;
  struct kek_ring *a, *b;
  struct stat st;
  umask(0);
  assert_int_equal(kek_generate(path("one"), err, sizeof err), 0);
  assert_int_equal(stat(path("one"), &st), 0);
  assert_int_equal(st.st_mode & 07777, 0600);
  assert_int_equal(st.st_size, 32);
  assert_int_equal(kek_ring_load(&a, path("one"), err, sizeof err), 0);
  assert_int_equal(kek_generate(path("one"), err, sizeof err), EEXIST);
  assert_non_null(strstr(err, "left as it is"));
  assert_int_equal(kek_ring_load(&b, path("one"), err, sizeof err), 0);
  assert_memory_equal(kek_ring_find(a, "one"), kek_ring_find(b, "one"), 32);
  kek_ring_free(b);
  assert_int_equal(kek_generate(path("two"), err, sizeof err), 0);
  assert_int_equal(kek_ring_load(&b, path("two"), err, sizeof err), 0);
  assert_memory_not_equal(kek_ring_find(a, "one"), kek_ring_find(b, "two"), 32);
  kek_ring_free(a);
  kek_ring_free(b);
  assert_int_equal(kek_generate(path("a/b"), err, sizeof err), ENOENT);
  assert_int_equal(kek_generate(path("a b"), err, sizeof err), EINVAL);
  /* nothing half done is left: the folder loads */
  assert_int_equal(kek_ring_load(&a, dir, err, sizeof err), 0);
  assert_int_equal(kek_ring_count(a), 2);
  kek_ring_free(a);
}

static void ids(void **state) {
  (void)state;
  char longest[KEK_ID_MAX + 2];
  memset(longest, 'x', sizeof longest);
  longest[KEK_ID_MAX + 1] = 0;
  assert_false(kek_id_valid(longest));
  longest[KEK_ID_MAX] = 0;
  assert_true(kek_id_valid(longest));
  assert_true(kek_id_valid("2026-11.main_A"));
  assert_false(kek_id_valid(""));
  assert_false(kek_id_valid(".."));
  assert_false(kek_id_valid("a/b"));
  assert_false(kek_id_valid("a\n"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(one_file, make_dir, remove_dir),
      cmocka_unit_test_setup_teardown(refusals, make_dir, remove_dir),
      cmocka_unit_test_setup_teardown(folder, make_dir, remove_dir),
      cmocka_unit_test_setup_teardown(credential, make_dir, remove_dir),
      cmocka_unit_test_setup_teardown(generate, make_dir, remove_dir),
      cmocka_unit_test(ids),
  };
  return cmocka_run_group_tests_name("store kek", tests, NULL, NULL);
}
