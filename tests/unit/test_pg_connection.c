/*
 * test_pg_connection.c - limits and errors of the PostgreSQL connection, against a server that does as it is told
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "pg/pg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[] = "/tmp/turncred-pg.XXXXXX", conninfo[200];
static int listener, end_fd;
static pthread_t thread;
static atomic_int delay_ms; /* before a statement is answered; -1: the connection is not answered at all */
static atomic_bool deaf;    /* nothing is read until the client is gone */
static atomic_bool slow;    /* a statement is read in portions, 100 ms apart */
static atomic_bool fails;   /* statements break a constraint */
static atomic_bool refuses; /* the server, which speaks German, refuses the password */

/* --- the server: PostgreSQL's protocol as far as this needs it ------------------------------ */

/* recv() of nothing waits for something. */
static bool receive(int fd, void *buf, size_t n) { return n == 0 || recv(fd, buf, n, MSG_WAITALL) == (ssize_t)n; }

/* Reads n octets of a message that nobody looks at. */
static bool receive_slowly(int fd, size_t n) {
  static char portion[65536];
  for (size_t now; n > 0; n -= now) {
    now = n < sizeof portion ? n : sizeof portion;
    poll(NULL, 0, 100);
    if (!receive(fd, portion, now)) {
      return false;
    }
  }
  return true;
}

/* Returns the type of the message, 0 at the end. */
static char take(int fd, bool typed) {
  char type = 'x', rest[4096];
  uint32_t len;
  if ((typed && !receive(fd, &type, 1)) || !receive(fd, &len, 4)) {
    return 0;
  }
  len = ntohl(len) - 4;
  if (slow) {
    return receive_slowly(fd, len) ? type : 0;
  }
  return len <= sizeof rest && receive(fd, rest, len) ? type : 0;
}

static void put(int fd, char type, const void *body, size_t n) {
  char buf[512];
  uint32_t len = htonl((uint32_t)n + 4);
  buf[0] = type;
  memcpy(buf + 1, &len, 4);
  memcpy(buf + 5, body, n);
  ssize_t done = send(fd, buf, n + 5, MSG_NOSIGNAL);
  (void)done; /* the client may be gone */
}

static void answer(int fd, bool extended) {
  static const char error[] = "SERROR\0C23505\0Mit exists already\0Htry another\nname\0nrealm_pkey\0";
  if (fails) {
    put(fd, 'E', error, sizeof error);
  } else {
    if (extended) {
      put(fd, '1', "", 0);
      put(fd, '2', "", 0);
      put(fd, 'n', "", 0);
    }
    put(fd, 'C', "UPDATE 3", 9);
  }
  put(fd, 'Z', "I", 1);
}

static char take_statement(int fd) {
  struct pollfd gone = {fd, 0, 0};
  if (deaf) {
    poll(&gone, 1, 10000);
  }
  return take(fd, true);
}

static void serve(int fd) {
  if (!take(fd, false) || delay_ms < 0) {
    struct pollfd end = {end_fd, POLLIN, 0};
    poll(&end, 1, delay_ms < 0 ? 1000 : 0);
    return;
  }
  if (refuses) {
    static const char error[] = "SFATAL\0C28P01\0MPasswort-Authentifizierung fehlgeschlagen\0";
    put(fd, 'E', error, sizeof error);
    return;
  }
  put(fd, 'R', "\0\0\0\0", 4);
  put(fd, 'Z', "I", 1);
  for (char type; (type = take_statement(fd)) != 0;) {
    if (type == 'Q' || type == 'S') {
      struct pollfd end = {end_fd, POLLIN, 0};
      poll(&end, 1, delay_ms);
      answer(fd, type == 'S');
    }
  }
}

static void *run(void *arg) {
  (void)arg;
  for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
    serve(fd);
  }
  return NULL;
}

static int begin(void **state) {
  (void)state;
  struct sockaddr_un addr = {.sun_family = AF_UNIX};
  assert_non_null(mkdtemp(folder));
  snprintf(addr.sun_path, sizeof addr.sun_path, "%s/.s.PGSQL.5432", folder);
  snprintf(conninfo, sizeof conninfo, "host=%s user=x dbname=x port=5432 sslmode=disable gssencmode=disable", folder);
  listener = socket(AF_UNIX, SOCK_STREAM, 0);
  end_fd = eventfd(0, 0);
  assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof addr), 0);
  assert_int_equal(listen(listener, 5), 0);
  return pthread_create(&thread, NULL, run, NULL);
}

static int end(void **state) {
  (void)state;
  char path[200];
  shutdown(listener, SHUT_RDWR);
  pthread_join(thread, NULL);
  close(listener);
  snprintf(path, sizeof path, "%s/.s.PGSQL.5432", folder);
  unlink(path);
  return rmdir(folder);
}

/* --- tests -------------------------------------------------------------------------------- */

static void a_silent_statement_ends(void **state) {
  (void)state;
  struct pg pg;
  pg_init(&pg, -1);
  pg.silence_ms = 100;
  delay_ms = 400;
  assert_int_equal(pg_connect(&pg, conninfo, "test"), 0);
  assert_int_equal(pg_run(&pg, "SELECT", NULL, NULL), ETIMEDOUT);
  assert_null(pg.conn);
  assert_int_equal(pg.error, PG_LOST);
  assert_string_equal(pg.line, "the database does not answer");
  assert_string_equal(pg.text, pg.line);
  assert_string_equal(pg.sqlstate, "");
  assert_null(pg_query(&pg, "SELECT", NULL));
  assert_string_equal(pg.line, "not connected");
}

static void without_limits_it_is_waited_for(void **state) {
  (void)state;
  struct pg pg;
  int64_t rows = 0;
  pg_init(&pg, -1);
  pg.silence_ms = 100;
  pg_no_limits(&pg);
  delay_ms = 400;
  assert_int_equal(pg_connect(&pg, conninfo, "test"), 0);
  assert_int_equal(pg_run(&pg, "UPDATE", NULL, &rows), 0);
  assert_int_equal(rows, 3);
  pg_close(&pg);
  delay_ms = 0;
}

static void a_mute_server_ends_connecting(void **state) {
  (void)state;
  struct pg pg;
  pg_init(&pg, -1);
  pg.connect_ms = 100;
  delay_ms = -1;
  int64_t begun = clock_ms();
  assert_int_equal(pg_connect(&pg, conninfo, "test"), ETIMEDOUT);
  assert_in_range(clock_ms() - begun, 99, 900);
  assert_string_equal(pg.text, "connecting: no answer in time");
  assert_non_null(strstr(pg.line, "firewall"));
  assert_int_equal(pg.error, PG_LOST);
  delay_ms = 0;
}

static void a_descriptor_ends_a_wait(void **state) {
  (void)state;
  struct pg pg;
  int wake = eventfd(1, 0);
  pg_init(&pg, -1);
  delay_ms = 400;
  assert_int_equal(pg_connect(&pg, conninfo, "test"), 0);
  pg.wake_fd = wake;
  assert_int_equal(pg_wait(&pg, 5000), ECANCELED);
  assert_non_null(pg.conn);
  assert_int_equal(pg_batch(&pg, "SELECT", NULL, 0), ECANCELED);
  assert_null(pg.conn);
  close(wake);
  delay_ms = 0;
}

static void an_error_has_a_class_and_a_sentence(void **state) {
  (void)state;
  struct pg pg;
  PGresult *result = NULL;
  pg_init(&pg, -1);
  assert_int_equal(pg_connect(&pg, conninfo, "test"), 0);
  fails = true;
  for (int batch = 0; batch < 2; batch++) {
    if (batch) {
      assert_int_equal(pg_batch(&pg, "INSERT", &result, 1), EIO);
    } else {
      assert_null(pg_query(&pg, "INSERT", NULL));
    }
    assert_null(result);
    assert_int_equal(pg.error, PG_REFUSED);
    assert_string_equal(pg.sqlstate, "23505");
    assert_string_equal(pg.constraint, "realm_pkey");
    assert_string_equal(pg.text, "it exists already. try another name");
    assert_string_equal(pg.line, "it exists already (23505)");
    assert_non_null(pg.conn);
  }
  fails = false;
  assert_int_equal(pg_run(&pg, "UPDATE", NULL, NULL), 0);
  assert_int_equal(pg.error, PG_OK);
  assert_string_equal(pg.constraint, "");
  pg_close(&pg);
}

static void a_server_that_is_not_there_has_its_reason(void **state) {
  (void)state;
  struct pg pg;
  pg_init(&pg, -1);
  assert_int_equal(pg_connect(&pg, "host=/nonexistent", "test"), EIO);
  assert_non_null(strstr(pg.line, "No such file or directory"));
  assert_null(strstr(pg.line, "Is the server running"));
  assert_non_null(strstr(pg.text, "Is the server running"));
  assert_null(strchr(pg.text, '\n'));
  pg_no_limits(&pg);
  assert_int_equal(pg_connect(&pg, "host=/nonexistent", "test"), EIO);
  assert_non_null(strstr(pg.text, "Is the server running"));
}

/* A statement larger than the sockets' buffers. The server reads nothing of it in time, or the head alone. */
static void a_statement_that_nobody_reads_ends(void **state) {
  (void)state;
  const size_t len = 16 << 20;
  char *sql = malloc(len + 1);
  assert_non_null(sql);
  memset(sql, ' ', len);
  sql[len] = '\0';
  for (int late = 0; late < 2; late++) {
    struct pg pg;
    pg_init(&pg, -1);
    pg.silence_ms = late ? 100 : 5000;
    deaf = late;
    assert_int_equal(pg_connect(&pg, conninfo, "test"), 0);
    assert_int_equal(pg_run(&pg, sql, NULL, NULL), late ? ETIMEDOUT : EIO);
    assert_int_equal(pg.error, PG_LOST);
    assert_null(pg.conn);
    deaf = false;
    pg.silence_ms = 5000;
    assert_int_equal(pg_connect(&pg, conninfo, "test"), 0);
    assert_int_equal(pg_run(&pg, "UPDATE", NULL, NULL), 0);
    pg_close(&pg);
  }
  free(sql);
}

/* Of a statement's limit: each octet that leaves restarts it, as one that arrives does. */
static void a_statement_that_is_read_slowly_goes_on(void **state) {
  (void)state;
  const size_t len = 2 << 20;
  char *sql = malloc(len + 1);
  struct pg pg;
  assert_non_null(sql);
  memset(sql, ' ', len);
  sql[len] = '\0';
  pg_init(&pg, -1);
  pg.silence_ms = 1500;
  assert_int_equal(pg_connect(&pg, conninfo, "test"), 0);
  slow = true;
  int64_t begun = clock_ms();
  int rc = pg_run(&pg, sql, NULL, NULL);
  slow = false;
  assert_int_equal(rc, 0);
  assert_true(clock_ms() - begun > pg.silence_ms);
  pg_close(&pg);
  free(sql);
}

/* Addresses and ports are turned together. */
static void the_next_address_is_tried_first(void **state) {
  (void)state;
  for (unsigned rotation = 0; rotation < 2; rotation++) {
    struct pg pg;
    pg_init(&pg, -1);
    pg.rotation = rotation;
    assert_int_equal(pg_connect(&pg, "hostaddr=127.0.0.1,127.0.0.2 port=1,2 user=x dbname=x", "test"), EIO);
    const char *one = strstr(pg.text, "127.0.0.1\", port 1 "), *two = strstr(pg.text, "127.0.0.2\", port 2 ");
    if (!one || !two || (one < two) != (rotation == 0)) {
      fail_msg("%u: %s", rotation, pg.text);
    }
  }
}

/* The remedy goes by the SQLSTATE, with limits and, as an operator's program connects, without. */
static void a_remedy_needs_no_english(void **state) {
  (void)state;
  refuses = true;
  for (int limits = 0; limits < 2; limits++) {
    struct pg pg;
    pg_init(&pg, -1);
    if (!limits) {
      pg_no_limits(&pg);
    }
    assert_int_equal(pg_connect(&pg, conninfo, "test"), EIO);
    assert_non_null(strstr(pg.text, "FATAL: Passwort-Authentifizierung fehlgeschlagen"));
    assert_null(strstr(pg.line, "28P01: "));
    assert_non_null(strstr(pg.remedy, "password of role \"x\""));
    assert_non_null(strstr(pg.line, pg.remedy));
    assert_int_equal(pg.error, PG_LOST);
    assert_null(pg.conn);
  }
  refuses = false;
}

static void parameters_keep_their_kind(void **state) {
  (void)state;
  struct pg_params p = {0};
  pg_text(&p, "a");
  pg_text(&p, NULL);
  pg_int(&p, INT64_MIN);
  pg_time(&p, 0);
  pg_time(&p, 1700000000);
  pg_octets(&p, (const uint8_t *)"\0\1", 2);
  assert_int_equal(p.count, 6);
  assert_string_equal(p.values[0], "a");
  assert_null(p.values[1]);
  assert_string_equal(p.values[2], "-9223372036854775808");
  assert_null(p.values[3]);
  assert_string_equal(p.values[4], "1700000000");
  assert_int_equal(p.lengths[5], 2);
  assert_int_equal(p.formats[5], 1);
  assert_int_equal(p.formats[4], 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_silent_statement_ends),
      cmocka_unit_test(without_limits_it_is_waited_for),
      cmocka_unit_test(a_mute_server_ends_connecting),
      cmocka_unit_test(a_descriptor_ends_a_wait),
      cmocka_unit_test(an_error_has_a_class_and_a_sentence),
      cmocka_unit_test(a_server_that_is_not_there_has_its_reason),
      cmocka_unit_test(a_statement_that_nobody_reads_ends),
      cmocka_unit_test(a_statement_that_is_read_slowly_goes_on),
      cmocka_unit_test(the_next_address_is_tried_first),
      cmocka_unit_test(a_remedy_needs_no_english),
      cmocka_unit_test(parameters_keep_their_kind),
  };
  alarm(60); /* a connection that hangs is what this is about */
  return cmocka_run_group_tests(tests, begin, end);
}
