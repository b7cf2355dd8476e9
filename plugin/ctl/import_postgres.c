/*
 * import_postgres.c - coturn's database in PostgreSQL
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_AT_ONCE "1000"

int postgres_has(struct source *source, const char *table, const char *column) {
  char whole[256];
  struct pg_params p = {0};
  snprintf(whole, sizeof whole, "%s\"%s\"", source->schema, table);
  pg_text(&p, whole);
  pg_text(&p, column);
  PGresult *r =
      pg_query(&source->pg,
               "SELECT 1 WHERE to_regclass($1::text) IS NOT NULL AND ($2::text IS NULL OR EXISTS (SELECT FROM "
               "pg_catalog.pg_attribute WHERE attrelid = to_regclass($1::text) AND attname = $2::text AND "
               "attnum > 0 AND NOT attisdropped))",
               &p);
  int found = r ? PQntuples(r) : -1;
  PQclear(r);
  return found;
}

enum ctl_exit postgres_find_schema(struct ctl *ctl, struct source *source) {
  PGresult *r = pg_query(&source->pg,
                         "SELECT quote_ident(nspname) || '.', count(*) FROM pg_catalog.pg_class c JOIN "
                         "pg_catalog.pg_namespace n ON n.oid = relnamespace WHERE relname IN ('turnusers_lt', "
                         "'turn_secret', 'oauth_key', 'turn_realm_option', 'turn_origin_to_realm') AND relkind IN "
                         "('r', 'p', 'v', 'm', 'f') GROUP BY 1",
                         NULL);
  enum ctl_exit rc = CTL_OK;
  if (!r) {
    rc = ctl_fail(ctl, CTL_DATABASE, "the coturn database: %s", source->pg.text);
  } else if (PQntuples(r) == 1) {
    snprintf(source->schema, sizeof source->schema, "%s", PQgetvalue(r, 0, 0));
    ctl_note(ctl, "coturn's tables are in schema %.*s", (int)strlen(source->schema) - 1, source->schema);
  } else if (PQntuples(r)) {
    rc = ctl_fail(
        ctl, CTL_DATABASE,
        "the coturn database: several schemas have tables of coturn's; say which, as in \"options=-csearch_path=%.*s\"",
        (int)strlen(PQgetvalue(r, 0, 0)) - 1, PQgetvalue(r, 0, 0));
  } else {
    rc = ctl_fail(
        ctl, CTL_DATABASE,
        "the coturn database: it has none of coturn's tables (turnusers_lt, turn_secret, oauth_key, ...): is it the "
        "database of psql-userdb?");
  }
  PQclear(r);
  return rc;
}

/* Whether coturn's connection string chooses an encoding. Else coturn gets the octets as the database has them. */
static bool has_encoding(const char *conninfo) {
  PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
  bool found = false;
  for (PQconninfoOption *o = options; o && o->keyword; o++) {
    found |= o->val && !strcmp(o->keyword, "client_encoding");
  }
  PQconninfoFree(options);
  return found;
}

enum ctl_exit postgres_open(struct ctl *ctl, struct source *source, const char *conninfo) {
  pg_init(&source->pg, -1);
  pg_no_limits(&source->pg);
  source->open = true;
  if (pg_connect(&source->pg, conninfo, "turncredctl")) {
    return ctl_fail(ctl, CTL_DATABASE, "cannot connect to the coturn database: %s", source->pg.text);
  }
  if ((!has_encoding(conninfo) && pg_run(&source->pg, "SET client_encoding = SQL_ASCII", NULL, NULL)) ||
      pg_run(&source->pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, NULL)) {
    return ctl_fail(ctl, CTL_DATABASE, "the coturn database: %s", source->pg.text);
  }
  return CTL_OK;
}

/* Calls fn for the rows of the cursor "import". */
static enum ctl_exit fetch(struct ctl *ctl, struct import *im, source_row_fn fn, bool *failed) {
  enum ctl_exit rc = CTL_OK;
  int64_t n = 0;
  for (int rows = 1; !rc && rows;) {
    PGresult *r = pg_query(&im->source.pg, "FETCH " ROWS_AT_ONCE " FROM import", NULL);
    *failed = !r;
    rows = r ? PQntuples(r) : 0;
    for (int i = 0; !rc && i < rows; i++) {
      const char *row[SOURCE_COLUMNS_MAX] = {NULL};
      for (int c = 0; c < PQnfields(r) && c < SOURCE_COLUMNS_MAX; c++) {
        row[c] = PQgetvalue(r, i, c);
      }
      rc = fn(ctl, im, row, ++n);
    }
    PQclear(r);
  }
  return rc;
}

enum ctl_exit postgres_query(struct ctl *ctl, struct import *im, const char *sql, source_row_fn fn, const char **why) {
  struct pg *pg = &im->source.pg;
  static char reason[sizeof pg->text];
  char declare[1200];
  bool failed = false;
  snprintf(declare, sizeof declare, "DECLARE import NO SCROLL CURSOR FOR %s", sql);
  /* what the role may not read costs this table alone */
  if (pg_run(pg, "SAVEPOINT import_table", NULL, NULL)) {
    return ctl_fail(ctl, CTL_DATABASE, "the coturn database: %s", pg->text);
  }
  enum ctl_exit rc = CTL_OK;
  if (pg_run(pg, declare, NULL, NULL)) {
    failed = true;
  } else {
    rc = fetch(ctl, im, fn, &failed);
  }
  if (failed) {
    snprintf(reason, sizeof reason, "%s", pg->text);
    *why = reason;
  }
  if (!rc && pg_run(pg, failed ? "ROLLBACK TO import_table" : "CLOSE import", NULL, NULL)) {
    rc = ctl_fail(ctl, CTL_DATABASE, "the coturn database: %s", pg->text);
  }
  return rc;
}
