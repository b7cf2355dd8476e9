/*
 * import_source.h - coturn's database as turncredctl import coturn reads it: PostgreSQL or SQLite, of any age
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Values are octets as coturn gets them, in no encoding in particular. Nothing is changed in the database.
 */
#ifndef TURNCRED_CTL_IMPORT_SOURCE_H
#define TURNCRED_CTL_IMPORT_SOURCE_H

#include "ctl.h"
#include "pg/pg.h"

struct import;

enum source_table {
  SOURCE_USERS,   /* realm, name, hmackey */
  SOURCE_SECRETS, /* realm, value */
  SOURCE_OAUTH,   /* kid, ikm_key, timestamp, lifetime, as_rs_alg, realm */
  SOURCE_OPTIONS, /* realm, opt, value */
  SOURCE_ORIGINS, /* realm, origin */
  SOURCE_ALLOWED, /* realm, ip_range */
  SOURCE_DENIED,  /* realm, ip_range */
  SOURCE_ADMINS,  /* name */
  SOURCE_TABLES
};
#define SOURCE_COLUMNS_MAX 6

struct source {
  bool open;
  struct pg pg;
  char schema[132]; /* "name." before a table of PostgreSQL's, quoted; empty: the search path finds the tables */
  void *sqlite;     /* struct sqlite3; NULL: PostgreSQL */
};

/* Row number n, from 1; values end with NUL, and live as long as the call. A missing column and a null are "". */
typedef enum ctl_exit (*source_row_fn)(struct ctl *ctl, struct import *im, const char *const *row, int64_t n);

/* --- import_source.c --- */

/* Connects, and begins one read-only snapshot. CTL_DATABASE with a message; CTL_DATABASE as well if the database has no
 * table of coturn's. */
enum ctl_exit source_open_postgres(struct ctl *ctl, struct source *source, const char *conninfo);
/* The same for a file. */
enum ctl_exit source_open_sqlite(struct ctl *ctl, struct source *source, const char *path);
/* Calls fn for each row of the table. A table that is missing or cannot be read is reported in im, and is no error. */
enum ctl_exit source_read(struct ctl *ctl, struct import *im, enum source_table table, source_row_fn fn);
/* The same for each realm that the table has a row of: row[0]. Says nothing about missing tables. */
enum ctl_exit source_realms(struct ctl *ctl, struct import *im, enum source_table table, source_row_fn fn);
void source_close(struct source *source);

/* --- import_postgres.c, import_sqlite.c: the two kinds of database --- */

enum ctl_exit postgres_open(struct ctl *ctl, struct source *source, const char *conninfo);
enum ctl_exit sqlite_open(struct ctl *ctl, struct source *source, const char *path);
/* Looks for coturn's tables where the search path does not: another role's search path may be coturn's. CTL_DATABASE
 * with a message: there are none, or several schemas have them. */
enum ctl_exit postgres_find_schema(struct ctl *ctl, struct source *source);
/* 1: the table (column NULL) or the column is there; 0: it is not; -1: the database fails. */
int postgres_has(struct source *source, const char *table, const char *column);
int sqlite_has(struct source *source, const char *table, const char *column);
/* Why SQLite failed last. */
const char *sqlite_reason(struct source *source);
/* Runs a query, and calls fn for each row. *why gets the reason, in the source's memory, if the database refuses the
 * query. */
enum ctl_exit postgres_query(struct ctl *ctl, struct import *im, const char *sql, source_row_fn fn, const char **why);
enum ctl_exit sqlite_query(struct ctl *ctl, struct import *im, const char *sql, source_row_fn fn, const char **why);
void sqlite_close_source(struct source *source);

#endif
