/*
 * test_ctl_args.c - the command line of turncredctl, and the tables that it prints
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Splits at blanks; parses. */
static int parse(struct ctl *ctl, const char *line) {
  static char copy[1024], *argv[64];
  int argc = 0;
  snprintf(copy, sizeof copy, "turncredctl %s", line);
  for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
    argv[argc++] = word;
  }
  argv[argc] = NULL;
  return ctl_parse(ctl, ctl_commands, ctl_global_options, argc, argv);
}

#define DERIVE "credential derive --key-file k --realm r --user u"

static void finds_commands_and_options(void **state) {
  struct ctl ctl;
  (void)state;
  assert_int_equal(parse(&ctl, "--json " DERIVE " --expiry=17"), 0);
  assert_string_equal(ctl.command->name, "credential derive");
  assert_true(ctl.json);
  assert_string_equal(ctl_get(&ctl, "expiry"), "17");
  assert_string_equal(ctl_get(&ctl, "user"), "u");
  assert_null(ctl_get(&ctl, "alg"));
  assert_int_equal(parse(&ctl, "kek generate -- --odd-name"), 0);
  assert_string_equal(ctl_operand(&ctl, 0), "--odd-name");
  assert_null(ctl_operand(&ctl, 1));
}

static void refuses_bad_lines(void **state) {
  static const char *const lines[] = {
      "kek generate",                  /* operand missing */
      "kek generate a b",              /* one too many */
      "kek generate a --nonsense",     /* unknown option */
      "kek generate a -x",             /* unknown option */
      "kek generate a --json=yes",     /* a flag takes no value */
      DERIVE,                          /* --expiry missing */
      DERIVE " --expiry",              /* its value missing */
      DERIVE " --expiry 1 --expiry 2", /* twice */
      "--nonsense",                    /* before the command */
      "probe --server a --serve b",    /* no abbreviations: they break with new options */
  };
  struct ctl ctl;
  (void)state;
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    assert_int_equal(parse(&ctl, lines[i]), CTL_USAGE);
  }
}

static void unknown_commands_are_left_to_main(void **state) {
  struct ctl ctl;
  (void)state;
  assert_int_equal(parse(&ctl, "kek"), 0);
  assert_null(ctl.command);
  assert_string_equal(ctl_operand(&ctl, 0), "kek");
  assert_int_equal(parse(&ctl, ""), 0);
  assert_null(ctl.command);
  assert_null(ctl_operand(&ctl, 0));
}

static void help_needs_nothing_else(void **state) {
  struct ctl ctl;
  (void)state;
  assert_int_equal(parse(&ctl, "credential derive --help"), 0);
  assert_true(ctl.help);
}

static void numbers(void **state) {
  static const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "0x10", "1e3", "ten", "99999999999999999999", "11"};
  int64_t n = 7;
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_false(ctl_number(bad[i], 0, 10, &n));
  }
  assert_int_equal(n, 7);
  assert_true(ctl_number("10", 0, 10, &n));
  assert_int_equal(n, 10);
  assert_true(ctl_number("9223372036854775807", 0, INT64_MAX, &n));
  assert_true(n == INT64_MAX);
}

static void durations(void **state) {
  static const struct {
    const char *line;
    int64_t want; /* -1: refused */
  } cases[] = {{"90", 90}, {"90s", 90}, {"15m", 900}, {"15min", 900}, {"15mi", -1}, {"12h", 43200},   {"30d", 2592000},
               {"1w", -1}, {"s", -1},   {"1hh", -1},  {"-5", -1},     {"1.5h", -1}, {"99999999d", -1}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char line[128];
    struct ctl ctl;
    int64_t got = -1;
    snprintf(line, sizeof line, "probe --server a --keep %s", cases[i].line);
    assert_int_equal(parse(&ctl, line), 0);
    int rc = ctl_get_duration(&ctl, "keep", 0, 31536000, &got);
    assert_int_equal(rc, cases[i].want < 0 ? CTL_USAGE : 0);
    assert_true(got == cases[i].want);
  }
}

static void times(void **state) {
  static const struct {
    const char *text;
    int64_t want; /* -1: refused */
  } cases[] = {{"1764003600", 1764003600},
               {"now", 1000},
               {"+1h", 4600},
               {"2025-11-24", 1763942400},
               {"2025-11-24T17:00:00Z", 1764003600},
               {"2025-11-24T17:00", 1764003600},
               {"2025-13-24", -1},
               {"yesterday", -1},
               {"2025-11-24T17:00:00+01:00", -1},
               {"+", -1}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char line[256];
    struct ctl ctl;
    int64_t got = -1;
    snprintf(line, sizeof line, DERIVE " --expiry %s", cases[i].text);
    assert_int_equal(parse(&ctl, line), 0);
    int rc = ctl_get_time(&ctl, "expiry", 1000, &got);
    assert_int_equal(rc, cases[i].want < 0 ? CTL_USAGE : 0);
    assert_true(got == cases[i].want);
  }
}

static void cells(void **state) {
  char out[64];
  (void)state;
  json_t *all = json_pack("[s, i, i, i, b, b, n, [s, s], s, f]", "text", 1764003600, 90, 0, 1, 0, "a", "b", "", 1.5);
  ctl_cell(json_array_get(all, 0), CTL_TEXT, out, sizeof out);
  assert_string_equal(out, "text");
  ctl_cell(json_array_get(all, 1), CTL_TIME, out, sizeof out);
  assert_string_equal(out, "2025-11-24T17:00:00Z");
  ctl_cell(json_array_get(all, 2), CTL_SECONDS, out, sizeof out);
  assert_string_equal(out, "90 s");
  ctl_cell(json_array_get(all, 3), CTL_TIME, out, sizeof out);
  assert_string_equal(out, "-");
  ctl_cell(json_array_get(all, 4), CTL_TEXT, out, sizeof out);
  assert_string_equal(out, "yes");
  ctl_cell(json_array_get(all, 5), CTL_TEXT, out, sizeof out);
  assert_string_equal(out, "no");
  ctl_cell(json_array_get(all, 6), CTL_TEXT, out, sizeof out);
  assert_string_equal(out, "-");
  ctl_cell(json_array_get(all, 7), CTL_TEXT, out, sizeof out);
  assert_string_equal(out, "a, b");
  ctl_cell(json_array_get(all, 8), CTL_TEXT, out, sizeof out);
  assert_string_equal(out, "-");
  ctl_cell(json_array_get(all, 9), CTL_TEXT, out, sizeof out);
  assert_string_equal(out, "1.50");
  json_decref(all);
}

/* What print writes to standard output. */
static void printed(json_t *list, bool json, const struct ctl_column *columns, char *out, size_t cap) {
  struct ctl ctl = {.json = json};
  int saved, ends[2];
  fflush(stdout);
  assert_int_equal(pipe(ends), 0);
  saved = dup(STDOUT_FILENO);
  dup2(ends[1], STDOUT_FILENO);
  int rc = ctl_print_list(&ctl, list, columns);
  fflush(stdout);
  dup2(saved, STDOUT_FILENO);
  close(saved);
  close(ends[1]);
  ssize_t n = read(ends[0], out, cap - 1);
  close(ends[0]);
  assert_true(n >= 0);
  out[n] = '\0';
  assert_int_equal(rc, 0);
}

static void tables(void **state) {
  static const struct ctl_column columns[] = {
      {"name", "NAME", CTL_TEXT}, {"ttl", "TTL", CTL_SECONDS}, {NULL, NULL, CTL_TEXT}};
  char out[1024];
  (void)state;
  printed(json_pack("[{s:s, s:i}, {s:s}]", "name", "m\xc3\xbcnchen.example", "ttl", 5, "name", "x\x1b[2J"), false,
          columns, out, sizeof out);
  assert_string_equal(out, "NAME             TTL\n"
                           "m\xc3\xbcnchen.example  5 s\n"
                           "x?[2J            -\n");
  /* U+009B is CSI for terminals, as ESC [ is; U+00A0 is none of these */
  printed(json_pack("[{s:s}]", "name",
                    "x\xc2\x9b"
                    "2J\xc2\xa0y"),
          false, columns, out, sizeof out);
  assert_string_equal(out, "NAME    TTL\n"
                           "x?2J\xc2\xa0y  -\n");
  printed(json_pack("[{s:s}]", "name", "x"), true, columns, out, sizeof out);
  json_t *back = json_loads(out, 0, NULL);
  assert_string_equal(json_string_value(json_object_get(json_array_get(back, 0), "name")), "x");
  json_decref(back);
}

/* Help, manual and completion live on this table. */
static void table_of_commands_is_sound(void **state) {
  (void)state;
  for (const struct ctl_command *c = ctl_commands; c->name; c++) {
    assert_non_null(c->summary);
    assert_non_null(c->run);
    assert_true(c->summary[strlen(c->summary) - 1] != '.');
    for (const struct ctl_command *d = c + 1; d->name; d++) {
      assert_string_not_equal(c->name, d->name);
    }
    for (const struct ctl_option *o = c->options; o && o->name; o++) {
      assert_non_null(o->help);
      for (const struct ctl_option *g = ctl_global_options; g->name; g++) {
        assert_string_not_equal(o->name, g->name);
      }
      for (const struct ctl_option *p = o + 1; p->name; p++) {
        assert_string_not_equal(o->name, p->name);
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_commands_and_options),
      cmocka_unit_test(refuses_bad_lines),
      cmocka_unit_test(unknown_commands_are_left_to_main),
      cmocka_unit_test(help_needs_nothing_else),
      cmocka_unit_test(numbers),
      cmocka_unit_test(durations),
      cmocka_unit_test(times),
      cmocka_unit_test(cells),
      cmocka_unit_test(tables),
      cmocka_unit_test(table_of_commands_is_sound),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
