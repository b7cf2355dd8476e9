/*
 * db.h - a libpq connection that never hangs
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Everything is nonblocking inside, with a deadline that restarts whenever octets arrive, so that a
 * frozen server, a mute one and a dead network all end in ETIMEDOUT; and a file descriptor that
 * ends every wait at once.
 */
#ifndef TURNCRED_DB_H
#define TURNCRED_DB_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db {
  PGconn *conn; /* NULL: not connected */
  int wake_fd;  /* readable: give up with ECANCELED; -1: none */
  uint32_t connect_ms, silence_ms;
  unsigned rotation; /* of the hosts in the connection string, so that a mute one is passed over */
  char error[256];   /* one line, after a failure */
  char sqlstate[6];  /* of the last failed statement; "" if it was the connection */
  /* A connection has been begun, and is waited for next; NULL: nobody wants to know. */
  void (*begun)(PGconn *conn, void *arg);
  void *begun_arg;
};

void db_init(struct db *db, int wake_fd);
/* 0, ETIMEDOUT, ECANCELED, EIO. Adds keepalives and time-outs that conninfo does not set. */
int db_connect(struct db *db, const char *conninfo, const char *application_name);
void db_close(struct db *db);

/* One or more statements, separated by semicolons. results has room for cap; the caller clears
 * those that are not NULL, also after a failure. A failed statement is EIO; the connection stays
 * open unless it is lost (conn is NULL then). */
int db_query(struct db *db, const char *sql, PGresult **results, size_t cap);
/* One statement with text parameters (NULL: null), which PostgreSQL does not quote in its log. */
int db_query_params(struct db *db, const char *sql, int count, const char *const *values,
                    PGresult **result);
/* db_query, results dropped. */
int db_run(struct db *db, const char *sql);

/* One row of COPY (FORMAT binary). len -1: null. Not NUL-terminated. */
#define DB_FIELDS_MAX 32
struct db_row {
  int count;
  const char *value[DB_FIELDS_MAX];
  int len[DB_FIELDS_MAX];
};
/* false: stop, no memory. */
typedef bool (*db_row_fn)(const struct db_row *row, void *arg);
/* sql: a query without COPY around it. 0, ENOMEM (fn said so), or as db_query. */
int db_copy(struct db *db, const char *sql, db_row_fn fn, void *arg);

/* Waits for a notification. 1: there was one; 0: time is over; ECANCELED: woken; EIO: the
 * connection is lost. */
#define DB_NOTIFIED 1
int db_wait(struct db *db, uint32_t timeout_ms);

int64_t db_int(const struct db_row *row,
               int field); /* of a big-endian int8, int4 or bool; null: 0 */
uint64_t monotonic_ms(void);

#endif
