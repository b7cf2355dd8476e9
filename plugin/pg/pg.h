/*
 * pg.h - the one PostgreSQL connection: it never hangs, takes parameters and knows classes of errors
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Every wait is nonblocking inside. The deadline of a statement restarts whenever octets arrive or leave, so that a
 * frozen server, a mute server and a dead network all end in ETIMEDOUT. A file descriptor ends every wait at once.
 * Functions that return int return 0 or an errno value; the connection then holds the error until the next statement.
 */
#ifndef TURNCRED_PG_H
#define TURNCRED_PG_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pg_error {
  PG_OK = 0,
  PG_LOST,        /* the connection is lost or was never made, or the server cannot work */
  PG_REFUSED,     /* a rule of the schema refused: a constraint, or one of the schema's own TC codes */
  PG_DENIED,      /* the role lacks a right */
  PG_MISSING,     /* the database has no turncred schema, or an old one */
  PG_INTERRUPTED, /* wake_fd ended the wait, and with it the connection: nothing is wrong */
  PG_FAILED       /* any other error */
};

#define PG_LINE 1024 /* octets of an error in a log, with the NUL */

struct pg {
  PGconn *conn; /* NULL: not connected */
  int wake_fd;  /* readable: waits end with ECANCELED; -1: none */
  /* Milliseconds until a server that does not answer has failed; see pg_no_limits for 0. */
  uint32_t connect_ms, silence_ms;
  /* The role of which the login must be a member, for remedies; NULL: this is no turncred database. */
  const char *group;
  unsigned rotation; /* of the hosts in the connection string, so that a mute one is passed over */
  /* The last error: */
  enum pg_error error;
  char sqlstate[6];    /* "" if the connection failed, not a statement */
  char constraint[64]; /* the constraint that a row broke; "" if none */
  char text[1024];     /* for a person at a terminal: a sentence with PostgreSQL's own hint, without a newline */
  char remedy[512];    /* what mends it; "" if that is not known */
  char line[PG_LINE];  /* for a log: the reasons, with the SQLSTATE and in parentheses the remedy, without a newline */
  /* Called with conn when a connection has been begun and before it is waited for; may be NULL. */
  void (*begun)(PGconn *conn, void *arg);
  void *begun_arg;
};

/* connect_ms becomes 10 s, silence_ms 15 s. */
void pg_init(struct pg *pg, int wake_fd);
/* For an operator's program, whose statements may wait for a lock as long as they like. connect_ms 0: libpq's own
 * connect_timeout for each host (10 s unless the connection string has one). silence_ms 0: no limit; keepalives and
 * tcp_user_timeout find a dead server. */
void pg_no_limits(struct pg *pg);
/* conninfo NULL or "": libpq's environment and service files. Adds keepalives and tcp_user_timeout where conninfo has
 * none. ETIMEDOUT, ECANCELED, EIO. pg_close works in any case. */
int pg_connect(struct pg *pg, const char *conninfo, const char *application_name);
void pg_close(struct pg *pg);

/* --- params.c: the parameters of a statement --- */

#define PG_PARAMS_MAX 40
struct pg_params {
  int count;
  const char *values[PG_PARAMS_MAX];
  int lengths[PG_PARAMS_MAX];
  int formats[PG_PARAMS_MAX];
  char numbers[PG_PARAMS_MAX][24];
};
/* Parameters in order. Texts and octets must live until the statement has run. */
void pg_text(struct pg_params *params, const char *text); /* NULL: null */
void pg_int(struct pg_params *params, int64_t value);
/* UTC seconds, for to_timestamp($n); 0: null. */
void pg_time(struct pg_params *params, int64_t seconds);
void pg_octets(struct pg_params *params, const uint8_t *octets, size_t len);

/* --- statements --- */

/* One statement with its parameters (NULL: none), which PostgreSQL does not quote in its log. Returns the result, which
 * the caller clears, or NULL. A failed statement leaves the connection open; conn is NULL after the connection is lost.
 */
PGresult *pg_query(struct pg *pg, const char *sql, const struct pg_params *params);
/* pg_query for a statement whose result nobody needs; *rows (may be NULL) gets the number of rows touched. */
int pg_run(struct pg *pg, const char *sql, const struct pg_params *params, int64_t *rows);
/* Several statements without parameters, separated by semicolons. results has room for cap; the caller clears those
 * that are not NULL, after a failure too. ETIMEDOUT, ECANCELED, EIO. */
int pg_batch(struct pg *pg, const char *sql, PGresult **results, size_t cap);

/* --- COPY --- */

/* One row of COPY (FORMAT binary). len -1: null. Values are not NUL-terminated. */
#define PG_FIELDS_MAX 32
struct pg_row {
  int count;
  const char *value[PG_FIELDS_MAX];
  int len[PG_FIELDS_MAX];
};
/* Returns false to stop: out of memory. */
typedef bool (*pg_row_fn)(const struct pg_row *row, void *arg);
/* sql: a query without COPY around it. Errors as of pg_batch, and ENOMEM (fn returned false). */
int pg_copy(struct pg *pg, const char *sql, pg_row_fn fn, void *arg);
/* The number in a field that is a big-endian int8, int4 or bool; null: 0. */
int64_t pg_row_int(const struct pg_row *row, int field);

/* --- notifications --- */

/* Waits up to timeout_ms milliseconds for a notification. PG_NOTIFIED: one came; 0: time is over; ECANCELED: wake_fd
 * became readable; EIO: the connection is lost. */
#define PG_NOTIFIED 1
int pg_wait(struct pg *pg, uint32_t timeout_ms);

#endif
