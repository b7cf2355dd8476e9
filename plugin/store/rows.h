/*
 * rows.h - turns a row of the database into a realm, key, credential or revocation
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A row that cannot be used (wrong length, unknown algorithm, does not unseal) is refused: it is
 * left out of the snapshot, named once in the log, and harms no other row.
 */
#ifndef TURNCRED_ROWS_H
#define TURNCRED_ROWS_H

#include "base/kek.h"
#include "pg/pg.h"
#include "snapshot.h"

enum rows_table { ROWS_REALM, ROWS_KEY, ROWS_CREDENTIAL, ROWS_REVOCATION, ROWS_TABLES };

struct rows {
  struct store_snapshot *snapshot; /* the one that is being made */
  const struct kek_ring *keks;     /* NULL: none */
  const char *plain_realms;        /* see struct store_config */
  struct turncred_ws *ws;          /* NULL: unsealing is slower */
  struct hamt refused;             /* the rows that are refused now */
  struct hamt refused_before;      /* during a full load: the rows refused before it */
  bool keep_k;                     /* issuers: see store_key.k */
  bool all;                        /* all rows are loaded: credentials are put aside, see snapshot_pile_credential */
  bool failed;                     /* OpenSSL failed at the row that is being taken */
  int schema;                      /* version of the database's */
  store_log_fn log;
  void *arg;
};

void rows_init(struct rows *rows, const struct kek_ring *keks, store_log_fn log, void *arg);
void rows_clear(struct rows *rows);
/* Writes a line to the log, if the program has one. */
void rows_say(const struct rows *rows, enum store_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Around a full load, which meets every row again: the refused rows are collected anew, and those that
 * the log has named are not named again. done: the load succeeded. */
void rows_begin_full(struct rows *rows);
void rows_end_full(struct rows *rows, bool done);
/* Whether a row of this table is refused now. */
bool rows_refuse_some(const struct rows *rows, enum rows_table table);

const char *rows_table_name(enum rows_table table);
/* The query for all rows of a table (ids NULL), or for those that changes name (ids: the numbers of the changes,
 * "1,2,3"); of a row that no longer exists the query then gives the name alone. schema: the database's version, which
 * may be older or newer than this program's. The caller frees the text. NULL: out of memory. */
char *rows_sql(int schema, enum rows_table table, const char *ids);
/* The query for all keys (or credentials) of the realms that changes name. */
char *rows_sql_of_realms(int schema, enum rows_table table, const char *ids);
/* Take a row of such a query; arg is a struct rows. False: out of memory, and the load has failed. */
bool rows_take_realm(const struct pg_row *row, void *arg);
bool rows_take_key(const struct pg_row *row, void *arg);
bool rows_take_credential(const struct pg_row *row, void *arg);
bool rows_take_revocation(const struct pg_row *row, void *arg);
pg_row_fn rows_take(enum rows_table table);

#endif
