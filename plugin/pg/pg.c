/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "pg.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t monotonic_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void db_init(struct db *db, int wake_fd) {
  memset(db, 0, sizeof *db);
  db->wake_fd = wake_fd;
  db->connect_ms = 10000;
  db->silence_ms = 15000;
}

static void set_error(struct db *db, const char *message) {
  size_t n = strcspn(message, "\n");
  snprintf(db->error, sizeof db->error, "%.*s", (int)n, message);
}

/* "This probably means ...", "Is the server running ...?" begin with a tab. */
static bool is_addition(const char *line) {
  return *line == '\t' || strncmp(line, "DETAIL:", 7) == 0 || strncmp(line, "HINT:", 5) == 0;
}

/* Each host that was tried has a line with its reason; the last one counts. */
static void set_conn_error(struct db *db) {
  const char *message = PQerrorMessage(db->conn), *line = message;
  for (const char *p = message; (p = strchr(p, '\n')) && p[1]; p++)
    if (!is_addition(p + 1))
      line = p + 1;
  while (*line == '\t' || *line == ' ')
    line++;
  set_error(db, *line ? line : "the connection is lost");
}

void db_close(struct db *db) {
  if (db->conn)
    PQfinish(db->conn);
  db->conn = NULL;
}

static int lost(struct db *db, int code, const char *message) {
  if (message)
    set_error(db, message);
  else
    set_conn_error(db);
  db_close(db);
  return code;
}

/* Waits until the socket can do what is asked (POLLIN, POLLOUT). 0 with *ready, ETIMEDOUT,
 * ECANCELED, EIO. */
static int wait_socket(struct db *db, short events, uint64_t deadline, short *ready) {
  for (;;) {
    uint64_t now = monotonic_ms();
    struct pollfd fds[2] = {{PQsocket(db->conn), events, 0}, {db->wake_fd, POLLIN, 0}};
    if (fds[0].fd < 0)
      return EIO;
    uint64_t left = deadline > now ? deadline - now : 0;
    int n = poll(fds, db->wake_fd < 0 ? 1 : 2, left > 60000 ? 60000 : (int)left);
    if (n < 0 && errno != EINTR)
      return EIO;
    if (n > 0 && fds[1].revents)
      return ECANCELED;
    if (n > 0 && fds[0].revents) {
      *ready = fds[0].revents;
      return 0;
    }
    if (monotonic_ms() >= deadline)
      return ETIMEDOUT;
  }
}

/* --- connecting ------------------------------------------------------------------------- */

static int parts(const char *list) {
  int n = 1;
  for (; *list; list++)
    n += *list == ',';
  return n;
}

/* "a,b,c" by 1 is "b,c,a" */
static char *rotated(const char *list, unsigned by) {
  const char *cut = list;
  for (by %= (unsigned)parts(list); by > 0; by--)
    cut = strchr(cut, ',') + 1;
  size_t n = strlen(list), tail = strlen(cut);
  char *out = malloc(n + 2);
  if (!out)
    return NULL;
  memcpy(out, cut, tail);
  if (cut > list) {
    out[tail] = ',';
    memcpy(out + tail + 1, list, n - tail - 1);
  }
  out[n] = 0;
  return out;
}

#define PARAMS_MAX 80
struct params {
  size_t count;
  const char *key[PARAMS_MAX], *value[PARAMS_MAX];
  char *own[3];
};

static bool has(const struct params *params, const char *key) {
  for (size_t i = 0; i < params->count; i++)
    if (strcmp(params->key[i], key) == 0)
      return true;
  return false;
}
static void add(struct params *params, const char *key, const char *value) {
  if (params->count + 1 < PARAMS_MAX) {
    params->key[params->count] = key;
    params->value[params->count++] = value;
  }
}

static void no_notice(void *arg, const PGresult *result) {
  (void)arg;
  (void)result;
}

static int start(struct db *db, const char *conninfo, const char *application_name) {
  static const char *const defaults[][2] = {
      {"keepalives_idle", "10"},     {"keepalives_interval", "5"}, {"keepalives_count", "3"},
      {"tcp_user_timeout", "15000"}, {"client_encoding", "UTF8"},
  };
  struct params params = {0};
  char *message = NULL;
  PQconninfoOption *options = PQconninfoParse(conninfo, &message);
  if (!options) {
    set_error(db, message ? message : "no memory");
    PQfreemem(message);
    return EIO;
  }
  int own = 0;
  for (PQconninfoOption *o = options; o->keyword; o++) {
    if (!o->val || !*o->val)
      continue;
    const char *value = o->val;
    bool list = strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "hostaddr") == 0 ||
                (strcmp(o->keyword, "port") == 0 && strchr(value, ','));
    if (list && own < 3 && db->rotation > 0 && (params.own[own] = rotated(value, db->rotation)))
      value = params.own[own++];
    add(&params, o->keyword, value);
  }
  for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
    if (!has(&params, defaults[i][0]))
      add(&params, defaults[i][0], defaults[i][1]);
  if (application_name && !has(&params, "application_name"))
    add(&params, "fallback_application_name", application_name);
  params.key[params.count] = params.value[params.count] = NULL;
  db->conn = PQconnectStartParams(params.key, params.value, 0);
  for (int i = 0; i < own; i++)
    free(params.own[i]);
  PQconninfoFree(options);
  if (!db->conn) {
    set_error(db, "no memory");
    return EIO;
  }
  PQsetNoticeReceiver(db->conn, no_notice, NULL);
  if (db->begun)
    db->begun(db->conn, db->begun_arg);
  return PQstatus(db->conn) == CONNECTION_BAD ? lost(db, EIO, NULL) : 0;
}

int db_connect(struct db *db, const char *conninfo, const char *application_name) {
  db_close(db);
  int rc = start(db, conninfo, application_name);
  if (rc)
    return rc;
  uint64_t deadline = monotonic_ms() + db->connect_ms;
  PostgresPollingStatusType status = PGRES_POLLING_WRITING;
  while (status != PGRES_POLLING_OK) {
    if (status == PGRES_POLLING_FAILED)
      return lost(db, EIO, NULL);
    short ready;
    rc = wait_socket(db, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, &ready);
    if (rc == ETIMEDOUT)
      db->rotation++;
    if (rc)
      return lost(db, rc, rc == ETIMEDOUT ? "connecting: no answer in time" : "interrupted");
    status = PQconnectPoll(db->conn);
  }
  if (PQsetnonblocking(db->conn, 1))
    return lost(db, EIO, NULL);
  return 0;
}

/* --- statements ------------------------------------------------------------------------- */

static int send_sql(struct db *db, const char *sql, int count, const char *const *values) {
  db->sqlstate[0] = 0;
  if (!db->conn) {
    set_error(db, "not connected");
    return EIO;
  }
  if (!(values ? PQsendQueryParams(db->conn, sql, count, NULL, values, NULL, NULL, 0)
               : PQsendQuery(db->conn, sql)))
    return lost(db, EIO, NULL);
  uint64_t deadline = monotonic_ms() + db->silence_ms;
  for (int more; (more = PQflush(db->conn)) != 0;) {
    if (more < 0)
      return lost(db, EIO, NULL);
    short ready;
    int rc = wait_socket(db, POLLIN | POLLOUT, deadline, &ready);
    if (rc)
      return lost(db, rc, rc == ETIMEDOUT ? "the database does not answer" : "interrupted");
    if ((ready & POLLIN) && !PQconsumeInput(db->conn))
      return lost(db, EIO, NULL);
  }
  return 0;
}

/* Until a result can be had without waiting. */
static int receive(struct db *db) {
  while (PQisBusy(db->conn)) {
    short ready;
    int rc = wait_socket(db, POLLIN, monotonic_ms() + db->silence_ms, &ready);
    if (rc)
      return lost(db, rc, rc == ETIMEDOUT ? "the database does not answer" : "interrupted");
    if (!PQconsumeInput(db->conn))
      return lost(db, EIO, NULL);
  }
  return 0;
}

static void failed(struct db *db, const PGresult *result) {
  const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  char line[240];
  snprintf(line, sizeof line, "%s (%s)", primary ? primary : PQresultErrorMessage(result),
           state ? state : "no SQLSTATE");
  set_error(db, line);
  snprintf(db->sqlstate, sizeof db->sqlstate, "%s", state ? state : "");
}

static int take_results(struct db *db, PGresult **results, size_t cap) {
  int rc = 0;
  for (size_t n = 0; rc == 0;) {
    if ((rc = receive(db)))
      break;
    PGresult *result = PQgetResult(db->conn);
    if (!result)
      return PQstatus(db->conn) == CONNECTION_OK ? 0 : lost(db, EIO, NULL);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
      failed(db, result);
      PQclear(result);
      /* the rest is aborted; take it away */
      for (;;) {
        if (receive(db))
          return EIO;
        PGresult *more = PQgetResult(db->conn);
        if (!more)
          break;
        PQclear(more);
      }
      if (PQstatus(db->conn) != CONNECTION_OK)
        db_close(db);
      return EIO;
    }
    if (n < cap)
      results[n++] = result;
    else
      PQclear(result);
  }
  return rc;
}

int db_query(struct db *db, const char *sql, PGresult **results, size_t cap) {
  for (size_t i = 0; i < cap; i++)
    results[i] = NULL;
  int rc = send_sql(db, sql, 0, NULL);
  return rc ? rc : take_results(db, results, cap);
}

int db_query_params(struct db *db, const char *sql, int count, const char *const *values,
                    PGresult **result) {
  *result = NULL;
  int rc = send_sql(db, sql, count, values);
  return rc ? rc : take_results(db, result, 1);
}

int db_run(struct db *db, const char *sql) { return db_query(db, sql, NULL, 0); }

/* --- COPY ------------------------------------------------------------------------------- */

static int be16(const char *p) { return (int)(int16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]); }
static int32_t be32(const char *p) {
  return (int32_t)((uint32_t)(uint8_t)p[0] << 24 | (uint32_t)(uint8_t)p[1] << 16 |
                   (uint32_t)(uint8_t)p[2] << 8 | (uint32_t)(uint8_t)p[3]);
}

int64_t db_int(const struct db_row *row, int field) {
  uint64_t x = 0;
  int n = row->len[field];
  if (n != 1 && n != 4 && n != 8)
    return 0;
  for (int i = 0; i < n; i++)
    x = x << 8 | (uint8_t)row->value[field][i];
  return n == 4 ? (int64_t)(int32_t)(uint32_t)x : (int64_t)x;
}

/* 1: a row, 0: the trailer, -1: not what COPY sends */
static int parse_row(const char *p, int n, struct db_row *row) {
  if (n < 2)
    return -1;
  row->count = be16(p);
  if (row->count == -1)
    return 0;
  if (row->count < 0 || row->count > DB_FIELDS_MAX)
    return -1;
  p += 2;
  n -= 2;
  for (int i = 0; i < row->count; i++) {
    if (n < 4)
      return -1;
    int len = be32(p);
    p += 4;
    n -= 4;
    if (len < -1 || len > n)
      return -1;
    row->len[i] = len;
    row->value[i] = p;
    if (len > 0) {
      p += len;
      n -= len;
    }
  }
  return n == 0 ? 1 : -1;
}

int db_copy(struct db *db, const char *sql, db_row_fn fn, void *arg) {
  size_t n = strlen(sql) + 40;
  char *copy = malloc(n);
  if (!copy)
    return ENOMEM;
  snprintf(copy, n, "COPY (%s) TO STDOUT (FORMAT binary)", sql);
  int rc = send_sql(db, copy, 0, NULL);
  free(copy);
  if (rc == 0)
    rc = receive(db);
  if (rc)
    return rc;
  PGresult *result = PQgetResult(db->conn);
  bool copying = PQresultStatus(result) == PGRES_COPY_OUT;
  if (!copying) {
    failed(db, result);
    rc = EIO;
  }
  PQclear(result);
  bool header = true, whole = false, memory = true;
  while (copying) {
    char *buf = NULL;
    int len = PQgetCopyData(db->conn, &buf, 1);
    if (len == 0) {
      short ready;
      rc = wait_socket(db, POLLIN, monotonic_ms() + db->silence_ms, &ready);
      if (rc)
        return lost(db, rc, rc == ETIMEDOUT ? "the database does not answer" : "interrupted");
      if (!PQconsumeInput(db->conn))
        return lost(db, EIO, NULL);
      continue;
    }
    if (len < 0)
      break;
    struct db_row row;
    const char *p = buf;
    int kind = -1;
    if (header && len >= 19 && memcmp(p, "PGCOPY\n\377\r\n", 11) == 0) {
      int skip = 19 + be32(p + 15);
      header = false;
      if (skip == len) { /* the header alone, as PostgreSQL 16 and later may send it */
        PQfreemem(buf);
        continue;
      }
      if (skip > 0 && skip < len)
        kind = parse_row(p + skip, len - skip, &row);
    } else if (!header) {
      kind = parse_row(p, len, &row);
    }
    if (kind == 1 && memory)
      memory = fn(&row, arg);
    whole |= kind == 0;
    explicit_bzero(buf, (size_t)len); /* key octets of plain realms */
    PQfreemem(buf);
    if (kind < 0)
      return lost(db, EIO, "COPY: the answer cannot be understood");
  }
  for (;;) {
    int again = receive(db);
    if (again)
      return again;
    PGresult *last = PQgetResult(db->conn);
    if (!last)
      break;
    if (PQresultStatus(last) != PGRES_COMMAND_OK && rc == 0) {
      failed(db, last);
      rc = EIO;
    }
    PQclear(last);
  }
  if (PQstatus(db->conn) != CONNECTION_OK)
    return lost(db, EIO, NULL);
  if (rc == 0 && !memory)
    rc = ENOMEM;
  if (rc == 0 && !whole)
    return lost(db, EIO, "COPY: the answer is cut short");
  return rc;
}

/* --- notifications ---------------------------------------------------------------------- */

int db_wait(struct db *db, uint32_t timeout_ms) {
  uint64_t deadline = monotonic_ms() + timeout_ms;
  for (;;) {
    bool notified = false;
    for (PGnotify *note; (note = PQnotifies(db->conn)); notified = true)
      PQfreemem(note);
    if (notified)
      return DB_NOTIFIED;
    short ready;
    int rc = wait_socket(db, POLLIN, deadline, &ready);
    if (rc == ETIMEDOUT)
      return 0;
    if (rc == ECANCELED)
      return rc;
    if (rc || !PQconsumeInput(db->conn))
      return lost(db, EIO, NULL);
  }
}
