/*
 * db.h - statements with parameters over one libpq connection
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Errors stay in the connection until the next statement: what kind they are, and a sentence with
 * PostgreSQL's own hint.
 */
#ifndef TURNCRED_DB_H
#define TURNCRED_DB_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum db_error {
  DB_OK = 0,
  DB_LOST,    /* no connection, or the server cannot work */
  DB_REFUSED, /* a rule of the schema: constraint, or one of its own TC codes */
  DB_DENIED,  /* the role lacks a right */
  DB_MISSING, /* no turncred schema here, or an old one */
  DB_FAILED   /* whatever else */
};

struct db {
  PGconn *conn;
  enum db_error error;
  char sqlstate[6];
  char constraint[64];
  char text[1024]; /* without a newline at the end */
};

/* conninfo NULL or "": libpq's environment and service files. Gives up after 10 s per host unless
 * connect_timeout says otherwise. false: text says why. db is usable with db_close in any case. */
bool db_open(struct db *db, const char *conninfo, const char *program);
void db_close(struct db *db);

#define DB_PARAMS_MAX 40
struct db_params {
  int count;
  const char *values[DB_PARAMS_MAX];
  int lengths[DB_PARAMS_MAX];
  int formats[DB_PARAMS_MAX];
  char numbers[DB_PARAMS_MAX][24];
};
/* Parameters in order; texts and octets must live until the statement has run. */
void db_text(struct db_params *params, const char *text); /* NULL: null */
void db_int(struct db_params *params, int64_t value);
/* UTC seconds for to_timestamp($n); 0: null. */
void db_time(struct db_params *params, int64_t seconds);
void db_bytes(struct db_params *params, const uint8_t *octets, size_t len);

/* The result, which the caller clears, or NULL with db->error set. params may be NULL. */
PGresult *db_query(struct db *db, const char *sql, const struct db_params *params);
/* For statements whose result nobody needs; *rows (may be NULL) gets the rows touched. */
bool db_run(struct db *db, const char *sql, const struct db_params *params, int64_t *rows);

#endif
