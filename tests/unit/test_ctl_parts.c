/* test_ctl_parts.c - small parts of turncredctl: array literals, addresses, texts of errors,
 * secrets
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pg/array.h"
#include "base/secret.h"
#include "turn/stun.h"
#include "turn/error_text.h"
#include "turn/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
  for (int i = 0; i < 10000; i++)
    pg_array_text(&a, "\"\"\"\"");
  assert_int_equal(strlen(pg_array_end(&a)), 10000 * 11 + 1);
  pg_array_clear(&a);
}

static void addresses(void **state) {
  static const struct {
    const char *in, *out, *host; /* out NULL: refused */
  } cases[] = {
      {"127.0.0.1", "127.0.0.1:3478", "127.0.0.1"},
      {"127.0.0.1:5000", "127.0.0.1:5000", "127.0.0.1"},
      {"[::1]", "[::1]:3478", "::1"},
      {"[::1]:99", "[::1]:99", "::1"},
      {"::1", "[::1]:3478", "::1"},
      {"127.0.0.1:", NULL, "127.0.0.1"},
      {":3478", NULL, ""},
      {"", NULL, ""},
      {"[::1", NULL, ""},
      {"[::1]x", NULL, "::1"},
      {"127.0.0.1:http", NULL, "127.0.0.1"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct sockaddr_storage addr;
    socklen_t len = 0;
    char text[256] = "", out[64], host[256];
    int err = turn_resolve(cases[i].in, "3478", SOCK_DGRAM, &addr, &len, text, sizeof text);
    assert_int_equal(!err, cases[i].out != NULL);
    if (!err)
      assert_string_equal(stun_address_text((struct sockaddr *)&addr, out, sizeof out),
                          cases[i].out);
    else
      assert_true(strlen(text) > 0);
    turn_host(cases[i].in, host, sizeof host);
    assert_string_equal(host, cases[i].host);
  }
}

static void every_error_has_a_remedy(void **state) {
  static const unsigned codes[] = {300, 400, 401, 403, 420, 437, 438, 440,
                                   441, 442, 443, 486, 500, 508, 699, 0};
  (void)state;
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    const struct turn_error_text *text = turn_error_text(codes[i]);
    assert_non_null(text);
    assert_true(strlen(text->meaning) > 5 && strlen(text->remedy) > 5);
    if (codes[i] && codes[i] != 699)
      assert_int_equal(text->code, codes[i]);
  }
  assert_non_null(strstr(turn_error_text(403)->remedy, "allow-loopback-peers"));
}

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
  assert_int_equal(secret_read(path, "--key-file", octets, sizeof octets, &len, text, sizeof text),
                   0);
  assert_int_equal(len, 8);
  put(path, "123456789", 9);
  assert_int_equal(secret_read(path, "--key-file", octets, sizeof octets, &len, text, sizeof text),
                   EFBIG);
  assert_non_null(strstr(text, "--key-file"));
  static const uint8_t nothing[8];
  assert_memory_equal(octets, nothing, sizeof octets);

  put(path, "secret\r\nmore\n", 13);
  assert_int_equal(secret_read_line(path, "--password-file", line, sizeof line, text, sizeof text),
                   0);
  assert_string_equal(line, "secret");
  put(path, "\nsecret", 7);
  assert_int_equal(secret_read_line(path, "--password-file", line, sizeof line, text, sizeof text),
                   EINVAL);
  put(path, "a\0b", 3);
  assert_int_equal(secret_read_line(path, "--password-file", line, sizeof line, text, sizeof text),
                   EINVAL);

  assert_int_equal(secret_write_new(fresh, octets, 8, text, sizeof text), 0);
  assert_int_equal(stat(fresh, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0600);
  assert_int_equal(st.st_size, 8);
  assert_int_equal(secret_write_new(fresh, octets, 8, text, sizeof text), EEXIST);
  unlink(path);
  unlink(fresh);
  rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(array_literals),
      cmocka_unit_test(addresses),
      cmocka_unit_test(every_error_has_a_remedy),
      cmocka_unit_test(secrets_in_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
