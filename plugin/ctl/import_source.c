/*
 * import_source.c - the tables of coturn's database, of its schema.sql or of an older or smaller one
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "import.h"

#include <stdio.h>
#include <string.h>

struct column {
  const char *name;
  const char *missing; /* what stands for a missing column; NULL: the table is of no use without it */
};

static const struct {
  const char *name;
  struct column columns[SOURCE_COLUMNS_MAX + 1];
} tables[SOURCE_TABLES] = {
    [SOURCE_USERS] = {"turnusers_lt", {{"realm", ""}, {"name", NULL}, {"hmackey", NULL}}},
    [SOURCE_SECRETS] = {"turn_secret", {{"realm", ""}, {"value", NULL}}},
    [SOURCE_OAUTH] =
        {"oauth_key",
         {{"kid", NULL}, {"ikm_key", NULL}, {"timestamp", "0"}, {"lifetime", "0"}, {"as_rs_alg", ""}, {"realm", ""}}},
    [SOURCE_OPTIONS] = {"turn_realm_option", {{"realm", ""}, {"opt", NULL}, {"value", NULL}}},
    [SOURCE_ORIGINS] = {"turn_origin_to_realm", {{"realm", NULL}, {"origin", NULL}}},
    [SOURCE_ALLOWED] = {"allowed_peer_ip", {{"realm", ""}, {"ip_range", NULL}}},
    [SOURCE_DENIED] = {"denied_peer_ip", {{"realm", ""}, {"ip_range", NULL}}},
    [SOURCE_ADMINS] = {"admin_user", {{"name", NULL}}},
};

static int has(struct source *source, const char *table, const char *column) {
  return source->sqlite ? sqlite_has(source, table, column) : postgres_has(source, table, column);
}

static bool has_any_table(struct source *source) {
  for (enum source_table t = 0; t < SOURCE_TABLES; t++) {
    if (has(source, tables[t].name, NULL) == 1) {
      return true;
    }
  }
  return false;
}

enum ctl_exit source_open_postgres(struct ctl *ctl, struct source *source, const char *conninfo) {
  enum ctl_exit rc = postgres_open(ctl, source, conninfo);
  return rc || has_any_table(source) ? rc : postgres_find_schema(ctl, source);
}

enum ctl_exit source_open_sqlite(struct ctl *ctl, struct source *source, const char *path) {
  enum ctl_exit rc = sqlite_open(ctl, source, path);
  if (!rc && !has_any_table(source)) {
    rc = ctl_fail(ctl, CTL_DATABASE,
                  "%s: the file has none of coturn's tables (turnusers_lt, turn_secret, oauth_key, ...)", path);
  }
  return rc;
}

/* Runs a query over a table, and reports it as unread if the database refuses. */
static enum ctl_exit query(struct ctl *ctl, struct import *im, enum source_table table, const char *sql,
                           source_row_fn fn) {
  const char *why = NULL;
  enum ctl_exit rc = (im->source.sqlite ? sqlite_query : postgres_query)(ctl, im, sql, fn, &why);
  if (!rc && why) {
    const struct import_row row = {"table", "", tables[table].name, IMPORT_UNKNOWN};
    import_note(im, &row, "skip", "coturn's database refuses to show it: %s", why);
  }
  return rc;
}

/* Writes the list of columns to sql. NULL, or the column without which the table is of no use. */
static const char *column_list(struct source *source, enum source_table table, char *sql, size_t cap) {
  size_t at = 0;
  for (const struct column *c = tables[table].columns; c->name; c++) {
    bool there = has(source, tables[table].name, c->name) == 1;
    if (!there && !c->missing) {
      return c->name;
    }
    /* a char(n) loses the blanks that fill it up, which coturn's own comparisons do not see either */
    at += (size_t)snprintf(sql + at, cap - at, there ? "%scoalesce(CAST(\"%s\" AS text), '')" : "%sCAST('%s' AS text)",
                           at ? ", " : "", there ? c->name : c->missing);
  }
  return NULL;
}

enum ctl_exit source_read(struct ctl *ctl, struct import *im, enum source_table table, source_row_fn fn) {
  char list[512], sql[1024];
  const char *name = tables[table].name;
  const struct import_row row = {"table", "", name, IMPORT_UNUSED};
  int there = im->source.open ? has(&im->source, name, NULL) : 0;
  if (!im->source.open) {
    return CTL_OK;
  }
  if (!there) {
    import_note(im, &row, "note", "coturn's database has no such table");
    return CTL_OK;
  }
  const char *lacks = there == 1 ? column_list(&im->source, table, list, sizeof list) : NULL;
  if (lacks) {
    import_note(im, &row, "note", "the table has no column \"%s\", without which coturn cannot use it", lacks);
    return CTL_OK;
  }
  snprintf(sql, sizeof sql, "SELECT %s FROM %s\"%s\" ORDER BY 1%s", list, im->source.schema, name,
           tables[table].columns[1].name ? ", 2" : "");
  return query(ctl, im, table, sql, fn);
}

enum ctl_exit source_realms(struct ctl *ctl, struct import *im, enum source_table table, source_row_fn fn) {
  char sql[512];
  const char *name = tables[table].name;
  if (!im->source.open || has(&im->source, name, NULL) != 1) {
    return CTL_OK;
  }
  bool named = has(&im->source, name, "realm") == 1;
  snprintf(sql, sizeof sql, "SELECT DISTINCT %s FROM %s\"%s\" ORDER BY 1",
           named ? "coalesce(CAST(\"realm\" AS text), '')" : "CAST('' AS text)", im->source.schema, name);
  const char *why = NULL; /* source_read() reports it */
  return (im->source.sqlite ? sqlite_query : postgres_query)(ctl, im, sql, fn, &why);
}

void source_close(struct source *source) {
  if (source->sqlite) {
    sqlite_close_source(source);
  } else if (source->open) {
    pg_close(&source->pg);
  }
  source->open = false;
}
