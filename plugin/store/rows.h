/*
 * rows.h - rows of the database into a snapshot
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A row that cannot be used (wrong length, unknown algorithm, does not unseal) is refused: it is
 * left out of the snapshot, named once in the log, and harms no other row.
 */
#ifndef TURNCRED_ROWS_H
#define TURNCRED_ROWS_H

#include "pg/pg.h"
#include "base/kek.h"
#include "snapshot.h"

enum rows_table { ROWS_REALM, ROWS_KEY, ROWS_CREDENTIAL, ROWS_REVOCATION, ROWS_TABLES };

struct rows {
  struct store_snapshot *snapshot; /* being made */
  const struct kek_ring *keks;     /* NULL: none */
  struct turncred_ws *ws;          /* NULL: unsealing is slower */
  struct hamt refused;             /* rows refused now */
  struct hamt refused_before;      /* named in the log already */
  bool keep_k;                     /* issuers: see store_key.k */
  store_log_fn log;
  void *arg;
  size_t seen; /* rows, since the caller zeroed it */
};

void rows_init(struct rows *rows, const struct kek_ring *keks, store_log_fn log, void *arg);
void rows_clear(struct rows *rows);
/* Writes a line to the log, if there is one. */
void rows_say(const struct rows *rows, enum store_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* All refused rows will be met again (full load): forget them, but not that they were named. */
void rows_begin_full(struct rows *rows);
void rows_end_full(struct rows *rows, bool done);

const char *rows_table_name(enum rows_table table);
/* The query for all rows of a table, or (ids: a list of change ids "1,2,3") for those that the
 * changes name: then a row that is gone comes with its name alone. The caller frees; NULL: no
 * memory. */
char *rows_sql(enum rows_table table, const char *ids);
/* All keys (or credentials) of the realms that the changes name. */
char *rows_sql_of_realms(enum rows_table table, const char *ids);
/* Takes a row of such a query. false: no memory. arg: struct rows. */
bool rows_take_realm(const struct pg_row *row, void *arg);
bool rows_take_key(const struct pg_row *row, void *arg);
bool rows_take_credential(const struct pg_row *row, void *arg);
bool rows_take_revocation(const struct pg_row *row, void *arg);
pg_row_fn rows_take(enum rows_table table);

#endif
