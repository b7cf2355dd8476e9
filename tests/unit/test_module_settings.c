/*
 * test_module_settings.c - the module's configuration file: what is read, and what is refused with which words
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "module/module_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];
static char warning[2048];

static void keep_warning(const char *line, void *arg) {
  (void)arg;
  snprintf(warning, sizeof warning, "%s", line);
}

static int read_text(struct config *config, const char *text, char *err, size_t cap) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
  warning[0] = err[0] = '\0';
  return config_read(config, path, keep_warning, NULL, err, cap);
}

static void refused(const char *text, int line, const char *words) {
  struct config config;
  char err[1024], place[96];
  assert_int_equal(read_text(&config, text, err, sizeof err), -1);
  snprintf(place, sizeof place, line ? "%s:%d: " : "%s: ", path, line);
  if (strncmp(err, place, strlen(place)) != 0 || !strstr(err, words)) {
    fail_msg("\"%s\" does not begin with \"%s\" and say \"%s\"", err, place, words);
  }
}

#define MINIMUM "database = dbname=turncred\nkek = /etc/turncred/kek/main\n"

static void test_defaults(void **state) {
  (void)state;
  struct config config;
  char err[1024];
  if (read_text(&config, MINIMUM, err, sizeof err)) {
    fail_msg("%s", err);
  }
  assert_string_equal(config.store.database, "dbname=turncred");
  assert_string_equal(config.store.kek, "/etc/turncred/kek/main");
  assert_string_equal(config.store.database_write, "");
  assert_string_equal(config.prometheus, "");
  assert_int_equal(config.store.poll_interval, 5000);
  assert_int_equal(config.store.snapshot_max_age, 86400000);
  assert_int_equal(config.wait_at_start, 10000);
  assert_true(config.store.listen);
  assert_string_equal(warning, "");
}

static void test_everything(void **state) {
  (void)state;
  struct config config;
  char err[1024];
  const char *text = "# a comment\n\n"
                     "  database=host=/run/pg dbname=turncred options='-c x=1'  \n"
                     "database_write = postgresql://user@host/db?sslmode=verify-full\n"
                     "kek\t=\tcredential:turncred-kek\r\n"
                     "instance = turn 1\n"
                     "poll_interval = 250ms\n"
                     "listen = No\n"
                     "snapshot_file = /var/lib/turncred/snapshot\n"
                     "snapshot_max_age = 2 h\n"
                     "wait_at_start = 0\n"
                     "prometheus = [::1]:9641";
  if (read_text(&config, text, err, sizeof err)) {
    fail_msg("%s", err);
  }
  assert_string_equal(config.store.database, "host=/run/pg dbname=turncred options='-c x=1'");
  assert_string_equal(config.store.database_write, "postgresql://user@host/db?sslmode=verify-full");
  assert_string_equal(config.store.kek, "credential:turncred-kek");
  assert_string_equal(config.store.instance, "turn 1");
  assert_int_equal(config.store.poll_interval, 250);
  assert_false(config.store.listen);
  assert_int_equal(config.store.snapshot_max_age, 7200000);
  assert_int_equal(config.wait_at_start, 0);
  assert_string_equal(config.prometheus, "[::1]:9641");
}

static void test_names_are_checked(void **state) {
  (void)state;
  refused("databse = dbname=turncred\n", 1, "unknown setting \"databse\": did you mean \"database\"?");
  refused(MINIMUM "poll = 5s\n", 3, "did you mean \"poll_interval\"?");
  refused(MINIMUM "Listen = no\n", 3, "did you mean \"listen\"?");
  refused(MINIMUM "colour = red\n", 3, "turncred.conf(5)");
  refused(MINIMUM "kek = /x\n", 3, "kek is given twice, first in line 2");
  refused(MINIMUM "just words\n", 3, "not \"name = value\"");
  /* what is no name may be a connection string with its password */
  refused("database: postgresql://op:hidden@db/turncred?connect_timeout=5\n", 1,
          "this line does not begin with a setting's name: turncred.conf(5) lists them all");
  refused("kek = /x\n", 0, "database is missing");
  refused("database = dbname=turncred\n", 0, "kek is missing");
}

static void test_values_are_checked(void **state) {
  (void)state;
  refused(MINIMUM "instance =\n", 3, "instance has no value");
  refused(MINIMUM "listen = maybe\n", 3, "say yes or no");
  refused(MINIMUM "poll_interval = soon\n", 3, "a number with its unit");
  refused(MINIMUM "poll_interval = -5s\n", 3, "a number with its unit");
  refused(MINIMUM "poll_interval = 5 weeks\n", 3, "the units are");
  refused(MINIMUM "poll_interval = 50ms\n", 3, "it must lie between");
  refused(MINIMUM "poll_interval = 9223372036854775807h\n", 3, "poll_interval");
  refused(MINIMUM "snapshot_file = here\n", 3, "must be absolute");
  refused("kek = key\n", 1, "absolute path or credential:NAME");
  refused("kek = credential:\n", 1, "absolute path or credential:NAME");
  refused("kek = credential:../x\n", 1, "absolute path or credential:NAME");
  refused(MINIMUM "prometheus = 0.0.0.0:9641\n", 3, "loopback");
  refused(MINIMUM "prometheus = 127.0.0.1\n", 3, "loopback");
  refused(MINIMUM "prometheus = 127.0.0.1:0\n", 3, "loopback");
  refused(MINIMUM "prometheus = 127.0.0.1:65536\n", 3, "loopback");
  refused(MINIMUM "prometheus = [::2]:9641\n", 3, "loopback");
  refused(MINIMUM "prometheus = [::1%lo]:9641\n", 3, "loopback");
  refused(MINIMUM "prometheus = ::1:9641\n", 3, "loopback");
  refused(MINIMUM "prometheus = 127.0.0.1:070000\n", 3, "loopback");
  refused(MINIMUM "instance = Caf\xe9\n", 3, "instance is not UTF-8");
  refused("kek = /k\ndatabase = \"host=/run/pg\"\n", 2, "database stands in quotes");
  refused("kek = /k\ndatabase = dbname=t # the local one\n", 2, "comments on lines of their own");
  char line[3000] = MINIMUM "instance = ";
  size_t start = strlen(line);
  memset(line + start, 'x', 1024);
  strcpy(line + start + 1024, "\n");
  refused(line, 3, "longer than 1023 octets");
  memset(line + start, 'x', 2500);
  strcpy(line + start + 2500, "\n");
  refused(line, 3, "the line is longer");
}

/* An IPv4 address has one meaning, however it is written; a byte order mark belongs to no setting. */
static void test_spellings(void **state) {
  (void)state;
  struct config config;
  struct sockaddr_storage addr;
  char err[1024];
  if (read_text(&config, "\xef\xbb\xbf" MINIMUM "prometheus = [::ffff:127.0.0.1]:9641\n", err, sizeof err)) {
    fail_msg("%s", err);
  }
  assert_int_equal(conf_loopback(config.prometheus, &addr), 0);
  assert_int_equal(addr.ss_family, AF_INET);
}

/* A password may stand in the file; no message ever repeats it. */
static void test_passwords(void **state) {
  (void)state;
  struct config config;
  char err[1024];
  assert_int_equal(read_text(&config, "kek = /k\ndatabase = dbname=t user=u password=xyzzy-secret\n", err, sizeof err),
                   0);
  assert_non_null(strstr(warning, "database holds a password"));
  assert_null(strstr(warning, "xyzzy"));
  assert_int_equal(read_text(&config, "kek = /k\ndatabase = postgresql://u:xyzzy-secret@h/t\n", err, sizeof err), 0);
  assert_non_null(strstr(warning, "password"));
  /* an unquoted blank: libpq's own message would quote the rest */
  assert_int_equal(read_text(&config, "kek = /k\ndatabase = dbname=t password=a xyzzy-secret\n", err, sizeof err), -1);
  assert_non_null(strstr(err, ":2: database is not a libpq connection string"));
  assert_null(strstr(err, "xyzzy"));
}

static void test_files(void **state) {
  (void)state;
  struct config config;
  char err[1024];
  assert_int_equal(config_read(&config, "relative.conf", NULL, NULL, err, sizeof err), -1);
  assert_non_null(strstr(err, "absolute"));
  assert_int_equal(config_read(&config, "/nonexistent/x.conf", NULL, NULL, err, sizeof err), -1);
  assert_non_null(strstr(err, "No such file"));
  assert_int_equal(config_read(&config, "/tmp", NULL, NULL, err, sizeof err), -1);
  assert_non_null(strstr(err, "not a regular file"));
}

static void test_difference(void **state) {
  (void)state;
  struct config a, b;
  char err[1024];
  assert_int_equal(read_text(&a, MINIMUM, err, sizeof err), 0);
  assert_int_equal(read_text(&b, MINIMUM "poll_interval = 5000ms\n", err, sizeof err), 0);
  assert_null(config_difference(&a, &b));
  assert_int_equal(read_text(&b, MINIMUM "listen = no\n", err, sizeof err), 0);
  assert_string_equal(config_difference(&a, &b)->name, "listen");
}

static char *read_file(const char *name) {
  char file_name[1024];
  const char *top = getenv("top_srcdir");
  snprintf(file_name, sizeof file_name, "%s/plugin/module/%s", top ? top : ".", name);
  FILE *file = fopen(file_name, "r");
  if (!file) {
    fail_msg("%s cannot be opened", file_name);
  }
  char *text = calloc(1, 65536);
  assert_non_null(text);
  fread(text, 1, 65535, file);
  fclose(file);
  return text;
}

/* Manual and example know every setting. */
static void test_documented(void **state) {
  (void)state;
  char *example = read_file("turncred.conf.example"), *manual = read_file("turncred.conf.5");
  for (const struct setting *s = config_settings; s->name; s++) {
    char in_example[96], in_manual[96];
    snprintf(in_example, sizeof in_example, "%s = ", s->name);
    snprintf(in_manual, sizeof in_manual, ".TP\n.B %s\n", s->name);
    if (!strstr(example, in_example)) {
      fail_msg("turncred.conf.example does not show %s", s->name);
    }
    if (!strstr(manual, in_manual)) {
      fail_msg("turncred.conf(5) does not explain %s", s->name);
    }
    assert_non_null(s->help);
  }
  free(example);
  free(manual);
}

/* The example is accepted as it stands. */
static void test_example_is_valid(void **state) {
  (void)state;
  struct config config;
  char err[1024];
  char *example = read_file("turncred.conf.example");
  if (read_text(&config, example, err, sizeof err)) {
    fail_msg("%s", err);
  }
  free(example);
}

/* Issuers hand the URIs to clients: each has one spelling, and a wrong one ends the start. */
static void test_what_is_advertised(void **state) {
  (void)state;
  struct config config;
  char err[1024], text[4096] = MINIMUM "uris =";
  if (read_text(&config,
                MINIMUM "uris = turn:TURN.example.org:3478?transport=udp, turns:[2001:DB8::1]\nregion = eu-1\n", err,
                sizeof err)) {
    fail_msg("%s", err);
  }
  assert_string_equal(config.uris, "turn:turn.example.org:3478?transport=udp turns:[2001:db8::1]");
  assert_string_equal(config.region, "eu-1");
  refused(MINIMUM "uris = turn:a.example https://b.example\n", 0, "uris: \"https://b.example\"");
  refused(MINIMUM "region = e u\n", 0, "region: ");
  for (int i = 0; i < 17; i++) {
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, " turn:t%d.example", i);
  }
  refused(text, 0, "uris: at most 16 URIs");
  *strrchr(text, ' ') = '\0';
  assert_int_equal(read_text(&config, text, err, sizeof err), 0);
}

static void test_a_path_is_needed(void **state) {
  (void)state;
  struct config config;
  char err[6000], long_path[5000];
  memset(long_path, 'a', sizeof long_path - 1);
  long_path[sizeof long_path - 1] = '\0';
  assert_int_equal(config_read(&config, long_path, keep_warning, NULL, err, sizeof err), -1);
  assert_non_null(strstr(err, "the path is too long"));
  if (access(CONFIG_DEFAULT_PATH, F_OK)) { /* not on a machine that has it */
    assert_int_equal(config_read(&config, "", keep_warning, NULL, err, sizeof err), -1);
    assert_non_null(strstr(err, CONFIG_DEFAULT_PATH));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_everything),
      cmocka_unit_test(test_names_are_checked),
      cmocka_unit_test(test_values_are_checked),
      cmocka_unit_test(test_what_is_advertised),
      cmocka_unit_test(test_a_path_is_needed),
      cmocka_unit_test(test_spellings),
      cmocka_unit_test(test_passwords),
      cmocka_unit_test(test_files),
      cmocka_unit_test(test_difference),
      cmocka_unit_test(test_documented),
      cmocka_unit_test(test_example_is_valid),
  };
  snprintf(path, sizeof path, "/tmp/turncred-settings.%ld", (long)getpid());
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  unlink(path);
  return failed;
}
