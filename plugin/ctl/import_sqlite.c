/*
 * import_sqlite.c - coturn's database in SQLite, its default
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_SQLITE3

#include <sqlite3.h>

/* Prepares sql with up to two texts; NULL: the database refuses it. */
static sqlite3_stmt *prepare(struct source *source, const char *sql, const char *a, const char *b) {
  sqlite3_stmt *st = NULL;
  if (sqlite3_prepare_v2(source->sqlite, sql, -1, &st, NULL) != SQLITE_OK ||
      (a && sqlite3_bind_text(st, 1, a, -1, SQLITE_STATIC) != SQLITE_OK) ||
      (b && sqlite3_bind_text(st, 2, b, -1, SQLITE_STATIC) != SQLITE_OK)) {
    sqlite3_finalize(st);
    return NULL;
  }
  return st;
}

int sqlite_has(struct source *source, const char *table, const char *column) {
  sqlite3_stmt *st =
      prepare(source,
              column ? "SELECT 1 FROM pragma_table_info(?1) WHERE lower(name) = ?2"
                     : "SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND lower(name) = ?1",
              table, column);
  int rc = st ? sqlite3_step(st) : SQLITE_ERROR;
  sqlite3_finalize(st);
  return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}

const char *sqlite_reason(struct source *source) { return sqlite3_errmsg(source->sqlite); }

enum ctl_exit sqlite_open(struct ctl *ctl, struct source *source, const char *path) {
  sqlite3 *db = NULL;
  int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);
  if (!db) {
    return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  source->sqlite = db;
  source->open = true;
  sqlite3_busy_timeout(db, 10000); /* milliseconds: turnadmin may be writing */
  if (rc != SQLITE_OK || sqlite3_exec(db, "BEGIN; SELECT count(*) FROM sqlite_master", NULL, NULL, NULL) != SQLITE_OK) {
    return ctl_fail(ctl, CTL_DATABASE, "coturn's database %s: %s", path, sqlite3_errmsg(db));
  }
  return CTL_OK;
}

enum ctl_exit sqlite_query(struct ctl *ctl, struct import *im, const char *sql, source_row_fn fn, const char **why) {
  sqlite3_stmt *st = prepare(&im->source, sql, NULL, NULL);
  enum ctl_exit rc = CTL_OK;
  int64_t n = 0;
  int step = st ? sqlite3_step(st) : SQLITE_ERROR;
  for (; !rc && step == SQLITE_ROW; step = rc ? step : sqlite3_step(st)) {
    const char *row[SOURCE_COLUMNS_MAX] = {NULL};
    for (int c = 0; c < sqlite3_column_count(st) && c < SOURCE_COLUMNS_MAX; c++) {
      const char *text = (const char *)sqlite3_column_text(st, c);
      row[c] = text ? text : "";
    }
    rc = fn(ctl, im, row, ++n);
  }
  sqlite3_finalize(st); /* replaces the text of sqlite3_errmsg by one of the same failure */
  if (!rc && step != SQLITE_DONE) {
    *why = sqlite3_errmsg(im->source.sqlite);
  }
  return rc;
}

void sqlite_close_source(struct source *source) {
  sqlite3_close(source->sqlite);
  source->sqlite = NULL;
}

#else

enum ctl_exit sqlite_open(struct ctl *ctl, struct source *source, const char *path) {
  (void)source;
  return ctl_fail(ctl, CTL_USAGE,
                  "coturn's database %s is SQLite, and this turncredctl was built without it (configure --with-sqlite)",
                  path);
}
int sqlite_has(struct source *source, const char *table, const char *column) {
  (void)source, (void)table, (void)column;
  return -1;
}
const char *sqlite_reason(struct source *source) {
  (void)source;
  return "";
}
enum ctl_exit sqlite_query(struct ctl *ctl, struct import *im, const char *sql, source_row_fn fn, const char **why) {
  (void)ctl, (void)im, (void)sql, (void)fn;
  *why = "";
  return CTL_INTERNAL;
}
void sqlite_close_source(struct source *source) { (void)source; }

#endif
