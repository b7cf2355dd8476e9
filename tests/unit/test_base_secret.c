/*
 * test_base_secret.c - secrets in files: lengths, lines, and files that are new and nobody else's
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void put(const char *path, const void *octets, size_t len) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_int_equal(fwrite(octets, 1, len, f), len);
  assert_int_equal(fclose(f), 0);
}

static void secrets_in_files(void **state) {
  char folder[] = "/tmp/turncred-secret.XXXXXX", path[64], fresh[64], text[256];
  char line[16];
  uint8_t octets[8];
  size_t len = 0;
  struct stat st;
  (void)state;
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/a", folder);
  snprintf(fresh, sizeof fresh, "%s/b", folder);
  put(path, "12345678", 8);
  assert_int_equal(secret_read(path, "--key-file", octets, sizeof octets, &len, text, sizeof text), 0);
  assert_int_equal(len, 8);
  put(path, "123456789", 9);
  assert_int_equal(secret_read(path, "--key-file", octets, sizeof octets, &len, text, sizeof text), EFBIG);
  assert_non_null(strstr(text, "--key-file"));
  static const uint8_t nothing[8];
  assert_memory_equal(octets, nothing, sizeof octets);

  put(path, "secret\r\nmore\n", 13);
  assert_int_equal(secret_read_line(path, "--password-file", line, sizeof line, text, sizeof text), 0);
  assert_string_equal(line, "secret");
  put(path, "\nsecret", 7);
  assert_int_equal(secret_read_line(path, "--password-file", line, sizeof line, text, sizeof text), EINVAL);
  put(path, "a\0b", 3);
  assert_int_equal(secret_read_line(path, "--password-file", line, sizeof line, text, sizeof text), EINVAL);

  assert_int_equal(secret_write_new(fresh, octets, 8, text, sizeof text), 0);
  assert_int_equal(stat(fresh, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0600);
  assert_int_equal(st.st_size, 8);
  assert_int_equal(secret_write_new(fresh, octets, 8, text, sizeof text), EEXIST);
  unlink(path);
  unlink(fresh);
  rmdir(folder);
}

/* A file or a socket that took the place of closed standard output would get what is printed: a token, say. */
static void standard_files_that_are_closed(void **state) {
  int status = -1;
  (void)state;
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (!pid) {
    char octet;
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    secret_harden();
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool apart = fd > STDERR_FILENO, mute = write(STDOUT_FILENO, "x", 1) < 0 && write(STDERR_FILENO, "x", 1) < 0;
    _exit(apart && mute && read(STDIN_FILENO, &octet, 1) < 0 ? 0 : 1);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(secrets_in_files),
      cmocka_unit_test(standard_files_that_are_closed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
