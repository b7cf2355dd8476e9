/*
 * pg.c - the one PostgreSQL connection: it never hangs, takes parameters and knows classes of errors
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "pg.h"

#include "base/clock.h"
#include "remedy.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pg_init(struct pg *pg, int wake_fd) {
  memset(pg, 0, sizeof *pg);
  pg->wake_fd = wake_fd;
  pg->connect_ms = 10000;
  pg->silence_ms = 15000;
}

void pg_no_limits(struct pg *pg) { pg->connect_ms = pg->silence_ms = 0; }

/* --- errors ------------------------------------------------------------------------------- */

/* message NULL: libpq's own. Returns code. */
static int no_connection(struct pg *pg, int code, const char *message) {
  pg->error = code == ECANCELED ? PG_INTERRUPTED : PG_LOST;
  pg_tell_connection(pg, message ? message : PQerrorMessage(pg->conn));
  return code;
}

void pg_close(struct pg *pg) {
  if (pg->conn) {
    PQfinish(pg->conn);
  }
  pg->conn = NULL;
}

static int lost(struct pg *pg, int code, const char *message) {
  no_connection(pg, code, message);
  pg_close(pg);
  return code;
}

static enum pg_error class_of(const char *state) {
  if (!strncmp(state, "08", 2) || !strncmp(state, "57P", 3) || !strncmp(state, "53", 2) || !strncmp(state, "58", 2) ||
      !strcmp(state, "25006")) {
    return PG_LOST;
  }
  if (!strncmp(state, "23", 2) || !strncmp(state, "TC", 2) || !strncmp(state, "22", 2)) {
    return PG_REFUSED;
  }
  if (!strcmp(state, "42501")) {
    return PG_DENIED;
  }
  if (!strcmp(state, "3F000") || !strcmp(state, "42P01") || !strcmp(state, "42703") || !strcmp(state, "42883")) {
    return PG_MISSING;
  }
  return PG_FAILED;
}

/* A statement failed. */
static int failed(struct pg *pg, const PGresult *result) {
  const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
  const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
  if (!primary) {
    primary = PQresultErrorMessage(result);
  }
  snprintf(pg->sqlstate, sizeof pg->sqlstate, "%s", state ? state : "");
  snprintf(pg->constraint, sizeof pg->constraint, "%s", constraint ? constraint : "");
  pg->error = state ? class_of(state) : PG_LOST;
  pg_tell_statement(pg, primary, hint);
  return EIO;
}

/* --- waiting ------------------------------------------------------------------------------ */

static int64_t deadline_in(uint32_t ms) { return ms ? clock_ms() + ms : INT64_MAX; }

/* Waits until the socket can do one of events (POLLIN, POLLOUT), then *ready says which. 0, ETIMEDOUT, ECANCELED, EIO.
 */
static int wait_socket(const struct pg *pg, short events, int64_t deadline, short *ready) {
  for (;;) {
    struct pollfd fds[2] = {{PQsocket(pg->conn), events, 0}, {pg->wake_fd, POLLIN, 0}};
    if (fds[0].fd < 0) {
      return EIO;
    }
    int64_t left = deadline - clock_ms();
    int n = poll(fds, pg->wake_fd < 0 ? 1 : 2, left > 60000 ? 60000 : left < 0 ? 0 : (int)left);
    if (n < 0 && errno != EINTR) {
      return EIO;
    }
    if (n > 0 && fds[1].revents) {
      return ECANCELED;
    }
    if (n > 0 && fds[0].revents) {
      *ready = fds[0].revents;
      return 0;
    }
    if (clock_ms() >= deadline) {
      return ETIMEDOUT;
    }
  }
}

/* wait_socket in the middle of a statement: its failure is the end of the connection. */
static int wait_or_lose(struct pg *pg, short events, int64_t deadline, short *ready) {
  int rc = wait_socket(pg, events, deadline, ready);
  return rc ? lost(pg, rc, rc == ETIMEDOUT ? "the database does not answer" : "interrupted") : 0;
}

/* Takes in what the server sends next. */
static int consume(struct pg *pg) {
  short ready;
  int rc = wait_or_lose(pg, POLLIN, deadline_in(pg->silence_ms), &ready);
  if (rc) {
    return rc;
  }
  return PQconsumeInput(pg->conn) ? 0 : lost(pg, EIO, NULL);
}

/* Waits until PQgetResult does not block. */
static int receive(struct pg *pg) {
  while (PQisBusy(pg->conn)) {
    int rc = consume(pg);
    if (rc) {
      return rc;
    }
  }
  return 0;
}

/* --- connecting --------------------------------------------------------------------------- */

static int parts(const char *list) {
  int n = 1;
  for (; *list; list++) {
    n += *list == ',';
  }
  return n;
}

/* "a,b,c" by 1 is "b,c,a" */
static char *rotated(const char *list, unsigned by) {
  const char *cut = list;
  for (by %= (unsigned)parts(list); by > 0; by--) {
    cut = strchr(cut, ',') + 1;
  }
  size_t n = strlen(list), tail = strlen(cut);
  char *out = malloc(n + 2);
  if (!out) {
    return NULL;
  }
  memcpy(out, cut, tail);
  if (cut > list) {
    out[tail] = ',';
    memcpy(out + tail + 1, list, n - tail - 1);
  }
  out[n] = 0;
  return out;
}

/* The lists of hosts and ports in conninfo, turned by rotation. */
struct hosts {
  char *host, *hostaddr, *port; /* NULL: as conninfo has it */
};

static void free_hosts(struct hosts *hosts) {
  free(hosts->host);
  free(hosts->hostaddr);
  free(hosts->port);
  *hosts = (struct hosts){0};
}

/* Without memory for all lists, none is turned: hosts and ports belong together. */
static void rotate(const struct pg *pg, const char *conninfo, struct hosts *hosts) {
  bool all = true;
  PQconninfoOption *options = pg->rotation ? PQconninfoParse(conninfo, NULL) : NULL;
  for (PQconninfoOption *o = options; o && o->keyword; o++) {
    if (!o->val || !*o->val) {
      continue;
    }
    if (!strcmp(o->keyword, "host")) {
      all &= (hosts->host = rotated(o->val, pg->rotation)) != NULL;
    } else if (!strcmp(o->keyword, "hostaddr")) {
      all &= (hosts->hostaddr = rotated(o->val, pg->rotation)) != NULL;
    } else if (!strcmp(o->keyword, "port") && strchr(o->val, ',')) {
      all &= (hosts->port = rotated(o->val, pg->rotation)) != NULL;
    }
  }
  PQconninfoFree(options);
  if (!all) {
    free_hosts(hosts);
  }
}

static void no_notice(void *arg, const PGresult *result) {
  (void)arg;
  (void)result;
}

static int start(struct pg *pg, const char *conninfo, const char *application_name) {
  struct hosts hosts = {0};
  rotate(pg, conninfo, &hosts);
  /* libpq: conninfo stands in dbname; what comes before it is a default, what comes after it overrides; NULL is nothing
   */
  const char *const options[][2] = {
      {"keepalives_idle", "10"},     {"keepalives_interval", "5"}, {"keepalives_count", "3"},
      {"tcp_user_timeout", "15000"}, {"client_encoding", "UTF8"},  {"fallback_application_name", application_name},
      {"connect_timeout", "10"}, /* of libpq's own connecting */
      {"dbname", conninfo},          {"host", hosts.host},         {"hostaddr", hosts.hostaddr},
      {"port", hosts.port},
  };
  enum { COUNT = sizeof options / sizeof *options };
  const char *keys[COUNT + 1] = {NULL}, *values[COUNT + 1] = {NULL};
  for (size_t i = 0; i < COUNT; i++) {
    keys[i] = options[i][0];
    values[i] = options[i][1];
  }
  pg->conn = (pg->connect_ms ? PQconnectStartParams : PQconnectdbParams)(keys, values, 1);
  free(hosts.host);
  free(hosts.hostaddr);
  free(hosts.port);
  if (!pg->conn) {
    return no_connection(pg, EIO, "out of memory");
  }
  PQsetNoticeReceiver(pg->conn, no_notice, NULL);
  PQsetErrorVerbosity(pg->conn, PQERRORS_VERBOSE); /* messages of a connection that fails have their SQLSTATE */
  if (pg->begun) {
    pg->begun(pg->conn, pg->begun_arg);
  }
  return PQstatus(pg->conn) == CONNECTION_BAD ? lost(pg, EIO, NULL) : 0;
}

static int finish(struct pg *pg) {
  int64_t deadline = deadline_in(pg->connect_ms);
  PostgresPollingStatusType status = PGRES_POLLING_WRITING;
  while (status != PGRES_POLLING_OK) {
    if (status == PGRES_POLLING_FAILED) {
      return lost(pg, EIO, NULL);
    }
    short ready;
    int rc = wait_socket(pg, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, &ready);
    if (rc == ETIMEDOUT) {
      pg->rotation++;
    }
    if (rc) {
      return lost(pg, rc, rc == ETIMEDOUT ? "connecting: no answer in time" : "interrupted");
    }
    status = PQconnectPoll(pg->conn);
  }
  return 0;
}

static void forget_error(struct pg *pg) {
  pg->error = PG_OK;
  pg->sqlstate[0] = pg->constraint[0] = pg->text[0] = pg->line[0] = pg->remedy[0] = '\0';
}

static int connect_once(struct pg *pg, const char *conninfo, const char *application_name) {
  int rc = start(pg, conninfo, application_name);
  return rc || !pg->connect_ms ? rc : finish(pg);
}

#define ASK_AGAIN_MS 3000

/* libpq's own connecting does not tell the SQLSTATE, on which the remedy depends: where a server answered, the other
 * way of connecting does. */
static int ask_again(struct pg *pg, const char *conninfo, const char *application_name, int rc) {
  struct pg again = *pg;
  again.connect_ms = ASK_AGAIN_MS;
  again.conn = NULL;
  int second = connect_once(&again, conninfo, application_name);
  if (second && (second != EIO || !*again.remedy)) {
    return rc;
  }
  again.connect_ms = pg->connect_ms;
  *pg = again;
  return second;
}

int pg_connect(struct pg *pg, const char *conninfo, const char *application_name) {
  pg_close(pg);
  forget_error(pg);
  conninfo = conninfo ? conninfo : "";
  int rc = connect_once(pg, conninfo, application_name);
  if (rc && !pg->connect_ms && !strstr(pg->text, "timeout expired")) {
    rc = ask_again(pg, conninfo, application_name, rc);
  }
  if (!rc && PQsetnonblocking(pg->conn, 1)) {
    rc = lost(pg, EIO, NULL);
  }
  return rc;
}

/* --- statements --------------------------------------------------------------------------- */

/* Puts what libpq holds back on the wire. A socket that is ready moves octets, which restarts the deadline. */
static int flush(struct pg *pg) {
  for (int more; (more = PQflush(pg->conn)) != 0;) {
    if (more < 0) {
      return lost(pg, EIO, NULL);
    }
    short ready;
    int rc = wait_or_lose(pg, POLLIN | POLLOUT, deadline_in(pg->silence_ms), &ready);
    if (rc) {
      return rc;
    }
    if ((ready & POLLIN) && !PQconsumeInput(pg->conn)) {
      return lost(pg, EIO, NULL);
    }
  }
  return 0;
}

/* params NULL: sql may be several statements. */
static int send_sql(struct pg *pg, const char *sql, const struct pg_params *params) {
  forget_error(pg);
  if (!pg->conn) {
    return no_connection(pg, EIO, "not connected");
  }
  int sent = params ? PQsendQueryParams(pg->conn, sql, params->count, NULL, params->values, params->lengths,
                                        params->formats, 0)
                    : PQsendQuery(pg->conn, sql);
  return sent ? flush(pg) : lost(pg, EIO, NULL);
}

/* After a failed statement: the server aborts those that follow it; takes their results away. */
static int take_rest(struct pg *pg) {
  for (PGresult *more;; PQclear(more)) {
    if (receive(pg)) {
      return EIO;
    }
    if (!(more = PQgetResult(pg->conn))) {
      break;
    }
  }
  if (PQstatus(pg->conn) != CONNECTION_OK) {
    pg->error = PG_LOST;
    pg_close(pg);
  }
  return EIO;
}

static int take_results(struct pg *pg, PGresult **results, size_t cap) {
  for (size_t n = 0;;) {
    int rc = receive(pg);
    if (rc) {
      return rc;
    }
    PGresult *result = PQgetResult(pg->conn);
    if (!result) {
      return PQstatus(pg->conn) == CONNECTION_OK ? 0 : lost(pg, EIO, NULL);
    }
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
      failed(pg, result);
      PQclear(result);
      return take_rest(pg);
    }
    if (n < cap) {
      results[n++] = result;
    } else {
      PQclear(result);
    }
  }
}

int pg_batch(struct pg *pg, const char *sql, PGresult **results, size_t cap) {
  for (size_t i = 0; i < cap; i++) {
    results[i] = NULL;
  }
  int rc = send_sql(pg, sql, NULL);
  return rc ? rc : take_results(pg, results, cap);
}

static int query(struct pg *pg, const char *sql, const struct pg_params *params, PGresult **result) {
  static const struct pg_params none;
  *result = NULL;
  int rc = send_sql(pg, sql, params ? params : &none);
  if (!rc) {
    rc = take_results(pg, result, 1);
  }
  if (rc) {
    PQclear(*result);
    *result = NULL;
  }
  return rc;
}

PGresult *pg_query(struct pg *pg, const char *sql, const struct pg_params *params) {
  PGresult *result;
  query(pg, sql, params, &result);
  return result;
}

int pg_run(struct pg *pg, const char *sql, const struct pg_params *params, int64_t *rows) {
  PGresult *result;
  int rc = query(pg, sql, params, &result);
  if (!rc && rows) {
    *rows = *PQcmdTuples(result) ? strtoll(PQcmdTuples(result), NULL, 10) : 0;
  }
  PQclear(result);
  return rc;
}

/* --- COPY ------------------------------------------------------------------------------- */

static int be16(const char *p) { return (int)(int16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]); }
static int32_t be32(const char *p) {
  return (int32_t)((uint32_t)(uint8_t)p[0] << 24 | (uint32_t)(uint8_t)p[1] << 16 | (uint32_t)(uint8_t)p[2] << 8 |
                   (uint32_t)(uint8_t)p[3]);
}

int64_t pg_row_int(const struct pg_row *row, int field) {
  uint64_t x = 0;
  int n = row->len[field];
  if (n != 1 && n != 4 && n != 8) {
    return 0;
  }
  for (int i = 0; i < n; i++) {
    x = x << 8 | (uint8_t)row->value[field][i];
  }
  return n == 4 ? (int64_t)(int32_t)(uint32_t)x : (int64_t)x;
}

/* 1: a row, 0: the trailer, -1: not what COPY sends */
static int parse_row(const char *p, int n, struct pg_row *row) {
  if (n < 2) {
    return -1;
  }
  row->count = be16(p);
  if (row->count == -1) {
    return 0;
  }
  if (row->count < 0 || row->count > PG_FIELDS_MAX) {
    return -1;
  }
  p += 2;
  n -= 2;
  for (int i = 0; i < row->count; i++) {
    if (n < 4) {
      return -1;
    }
    int len = be32(p);
    p += 4;
    n -= 4;
    if (len < -1 || len > n) {
      return -1;
    }
    row->len[i] = len;
    row->value[i] = p;
    if (len > 0) {
      p += len;
      n -= len;
    }
  }
  return n == 0 ? 1 : -1;
}

/* What take_message has seen of a COPY. */
struct copy {
  pg_row_fn fn;
  void *arg;
  bool header; /* is over */
  bool whole;  /* the trailer came */
  bool memory; /* fn never returned false */
};

/* One message of the COPY. false: it cannot be understood. */
static bool take_message(struct copy *copy, const char *p, int len) {
  struct pg_row row;
  if (!copy->header) {
    if (len < 19 || memcmp(p, "PGCOPY\n\377\r\n", 11) != 0) {
      return false;
    }
    int64_t skip = 19 + (int64_t)be32(p + 15);
    copy->header = true;
    if (skip == len) { /* the header alone, as PostgreSQL 16 and later may send it */
      return true;
    }
    if (skip <= 0 || skip > len) {
      return false;
    }
    p += skip;
    len -= (int)skip;
  }
  int kind = parse_row(p, len, &row);
  if (kind == 1 && copy->memory) {
    copy->memory = copy->fn(&row, copy->arg);
  }
  copy->whole |= kind == 0;
  return kind >= 0;
}

/* Takes rows until the COPY ends. */
static int take_rows(struct pg *pg, struct copy *copy) {
  for (;;) {
    char *buf = NULL;
    int len = PQgetCopyData(pg->conn, &buf, 1);
    if (len < 0) {
      return 0;
    }
    if (len == 0) {
      int rc = consume(pg);
      if (rc) {
        return rc;
      }
      continue;
    }
    bool good = take_message(copy, buf, len);
    explicit_bzero(buf, (size_t)len); /* key octets of plain realms */
    PQfreemem(buf);
    if (!good) {
      return lost(pg, EIO, "COPY: the answer cannot be understood");
    }
  }
}

static int begin_copy(struct pg *pg, const char *sql) {
  size_t n = strlen(sql) + 40;
  char *copy = malloc(n);
  if (!copy) {
    return ENOMEM;
  }
  snprintf(copy, n, "COPY (%s) TO STDOUT (FORMAT binary)", sql);
  int rc = send_sql(pg, copy, NULL);
  free(copy);
  return rc ? rc : receive(pg);
}

/* Takes the last results, when all rows have come. rc: 0, or the statement has failed already. */
static int end_copy(struct pg *pg, int rc) {
  for (PGresult *last;; PQclear(last)) {
    int again = receive(pg);
    if (again) {
      return again;
    }
    if (!(last = PQgetResult(pg->conn))) {
      break;
    }
    if (PQresultStatus(last) != PGRES_COMMAND_OK && rc == 0) {
      rc = failed(pg, last);
    }
  }
  return PQstatus(pg->conn) == CONNECTION_OK ? rc : lost(pg, EIO, NULL);
}

int pg_copy(struct pg *pg, const char *sql, pg_row_fn fn, void *arg) {
  struct copy copy = {.fn = fn, .arg = arg, .memory = true};
  int rc = begin_copy(pg, sql);
  if (rc) {
    return rc;
  }
  PGresult *result = PQgetResult(pg->conn);
  bool copying = PQresultStatus(result) == PGRES_COPY_OUT;
  if (!copying) {
    rc = failed(pg, result);
  }
  PQclear(result);
  if (copying && (rc = take_rows(pg, &copy))) {
    return rc;
  }
  rc = end_copy(pg, rc);
  if (rc) {
    return rc;
  }
  if (!copy.memory) {
    return ENOMEM;
  }
  return copy.whole ? 0 : lost(pg, EIO, "COPY: the answer is cut short");
}

/* --- notifications ---------------------------------------------------------------------- */

int pg_wait(struct pg *pg, uint32_t timeout_ms) {
  int64_t deadline = clock_ms() + timeout_ms;
  for (;;) {
    bool notified = false;
    for (PGnotify *note; (note = PQnotifies(pg->conn)); notified = true) {
      PQfreemem(note);
    }
    if (notified) {
      return PG_NOTIFIED;
    }
    short ready;
    int rc = wait_socket(pg, POLLIN, deadline, &ready);
    if (rc == ETIMEDOUT) {
      return 0;
    }
    if (rc == ECANCELED) {
      return rc;
    }
    if (rc || !PQconsumeInput(pg->conn)) {
      return lost(pg, EIO, NULL);
    }
  }
}
