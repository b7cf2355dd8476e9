/*
 * test_pg_remedy.c - an error of PostgreSQL in one line, with what mends it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pg/remedy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/turncred-remedy.XXXXXX";
static struct pg pg; /* zeros: not connected */

static void told(const char *message, const char *line, const char *remedy) {
  pg_tell_connection(&pg, message);
  if (!strstr(pg.line, line) || !strstr(pg.remedy, remedy) || (!*remedy && *pg.remedy)) {
    print_error("%s\nline: %s\nremedy: %s\n", message, pg.line, pg.remedy);
    fail();
  }
  assert_null(strpbrk(pg.line, "\n\t"));
  assert_null(strpbrk(pg.text, "\n\t"));
  assert_true(!*pg.remedy || strstr(pg.line, pg.remedy));
}

static void states_name_the_remedy(void **state) {
  (void)state;
  /* by SQLSTATE, in any language */
  told("connection to server at \"db\" (192.0.2.1), port 5432 failed: FATAL:  3D000: Datenbank »x« existiert nicht\n"
       "LOCATION:  InitPostgres, postinit.c:885\n",
       "failed: FATAL: Datenbank", "createdb");
  assert_null(strstr(pg.text, "LOCATION"));
  told("FATAL:  28000: no pg_hba.conf entry", "no pg_hba.conf entry", "pg_hba.conf of the database");
  told("FATAL:  53300: sorry", "sorry", "max_connections");
  told("FATAL:  57P03: starting", "starting", "wait until it answers");
  told("FATAL:  42501: denied", "denied", "GRANT CONNECT");
  told("FATAL:  28P01: password authentication failed for user \"x\"\n", "authentication failed",
       "mend the password of role");
  /* a state that nobody knows, and what only looks like one */
  told("FATAL:  XX000: odd", "FATAL: odd", "");
  told("FATAL:  xx000: odd: Connection refused", "xx000: odd", "start PostgreSQL");
  told("FATAL:  28P0", "28P0", "");
  told("", "the connection is lost", "");
}

static void words_name_the_remedy(void **state) {
  static const char *const cases[][2] = {
      {"could not connect: Connection refused", "listen_addresses"},
      {"socket \"/run/x\" failed: No such file or directory", "start PostgreSQL there"},
      {"could not translate host name \"db\" to address", "mend DNS"},
      {"timeout expired", "firewall"},
      {"no answer in time", "firewall"},
      {"definition of service \"x\" not found", "pg_service.conf"},
      {"service file \"/x\" not found", "pg_service.conf"},
      {"server certificate for \"a\" does not match host name \"b\"", "hostaddr="},
      {"root certificate file \"/x\" does not exist", "sslrootcert="},
      {"SSL error: certificate verify failed", "sslrootcert="},
      {"server does not support SSL, but SSL was required", "ssl = on"},
      {"server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n",
       "log of PostgreSQL"},
      {"could not open file: Permission denied", "this program runs as user "},
      {"something else", ""},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char first[40];
    snprintf(first, sizeof first, "%.20s", cases[i][0]);
    told(cases[i][0], first, cases[i][1]);
  }
  /* two hosts: both reasons; the addition of the first one is for a person alone */
  told("first: Connection refused\n\tIs the server running on that host?\nsecond: timeout expired\n",
       "first: Connection refused; second: timeout expired", "listen_addresses");
  assert_non_null(strstr(pg.text, "Is the server running"));
  assert_null(strstr(pg.line, "Is the server running"));
}

static void a_long_message_ends_at_its_room(void **state) {
  char message[8000];
  (void)state;
  memset(message, 'x', sizeof message - 1);
  message[sizeof message - 1] = '\0';
  told(message, "xxx", "");
  assert_int_equal(strlen(pg.line), sizeof pg.line - 1);
  assert_int_equal(strlen(pg.text), sizeof pg.text - 1);
}

/* --- passfiles: with a connection that was begun, and goes nowhere --- */

static void password(const char *conninfo, const char *message, const char *remedy) {
  pg.conn = PQconnectStart(conninfo);
  assert_non_null(pg.conn);
  told(message, "", remedy);
  PQfinish(pg.conn);
  pg.conn = NULL;
}

static void a_password_that_is_missing_or_wrong(void **state) {
  char file[200], conninfo[500], line[600];
  const char *missing = "fe_sendauth: no password supplied\n", *wrong = "FATAL:  28P01: password authentication failed";
  (void)state;
  unsetenv("PGPASSWORD");
  snprintf(file, sizeof file, "%s/pass", folder);
  snprintf(conninfo, sizeof conninfo, "host=%s dbname=turncred user=turn1 port=5499 passfile=%s", folder, file);
  password(conninfo, missing, "passfile"); /* it is not there */
  FILE *f = fopen(file, "w");
  assert_non_null(f);
  fclose(f);
  chmod(file, 0644);
  password(conninfo, missing, "chmod 600");
  chmod(file, 0600);
  snprintf(line, sizeof line, "passfile %s has no line for *:5499:turncred:turn1:PASSWORD", file);
  password(conninfo, missing, line);
  snprintf(line, sizeof line, "write the password of role \"turn1\" into %s", file);
  password(conninfo, wrong, line);
  snprintf(line, sizeof line, "%s password=x", conninfo);
  password(line, wrong, "in the connection string or PGPASSWORD");
  assert_null(strstr(pg.line, "password=x"));
  snprintf(conninfo, sizeof conninfo, "host=%s dbname=turncred user=turn1 passfile=%s", folder, folder);
  password(conninfo, missing, "is no regular file");
  unlink(file);
}

static void a_statement_says_what_is_lacking(void **state) {
  (void)state;
  snprintf(pg.sqlstate, sizeof pg.sqlstate, "%s", "42501");
  pg.error = PG_DENIED;
  pg_tell_statement(&pg, "permission denied for\ntable x", "a hint");
  assert_string_equal(pg.line, "permission denied for table x (42501)"); /* no turncred database: nobody knows */
  assert_string_equal(pg.text, "permission denied for table x. a hint");
  pg.group = "turncred_server";
  pg_tell_statement(&pg, "denied", NULL);
  assert_string_equal(pg.remedy, "GRANT turncred_server TO this role");
  assert_string_equal(pg.line, "denied (42501) (GRANT turncred_server TO this role)");
  pg.error = PG_MISSING;
  pg.sqlstate[0] = '\0';
  pg_tell_statement(&pg, "relation is missing", NULL);
  assert_non_null(strstr(pg.line, "no SQLSTATE"));
  assert_non_null(strstr(pg.remedy, "turncredctl schema upgrade"));
  pg.group = NULL;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(states_name_the_remedy),           cmocka_unit_test(words_name_the_remedy),
      cmocka_unit_test(a_long_message_ends_at_its_room),  cmocka_unit_test(a_password_that_is_missing_or_wrong),
      cmocka_unit_test(a_statement_says_what_is_lacking),
  };
  if (!mkdtemp(folder)) {
    return 1;
  }
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  rmdir(folder);
  return failed;
}
