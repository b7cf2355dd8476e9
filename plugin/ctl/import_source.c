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

/* Whether the table, or its column, is there. CTL_DATABASE with a message: the database does not say. */
static enum ctl_exit look(struct ctl *ctl, struct source *source, const char *table, const char *column, bool *there) {
  int found = has(source, table, column);
  *there = found == 1;
  return found < 0 ? ctl_fail(ctl, CTL_DATABASE, "the coturn database: %s",
                              source->sqlite ? sqlite_reason(source) : source->pg.text)
                   : CTL_OK;
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

/* Writes the list of columns to sql. *lacks: the column without which the table is of no use; NULL: it has them all. */
static enum ctl_exit column_list(struct ctl *ctl, struct source *source, enum source_table table, char *sql, size_t cap,
                                 const char **lacks) {
  size_t at = 0;
  *lacks = NULL;
  for (const struct column *c = tables[table].columns; c->name; c++) {
    bool there;
    enum ctl_exit rc = look(ctl, source, tables[table].name, c->name, &there);
    if (rc) {
      return rc;
    }
    if (!there && !c->missing) {
      *lacks = c->name;
      return CTL_OK;
    }
    /* a char(n) loses the blanks that fill it up, which coturn's own comparisons do not see either */
    at += (size_t)snprintf(sql + at, cap - at, there ? "%scoalesce(CAST(\"%s\" AS text), '')" : "%sCAST('%s' AS text)",
                           at ? ", " : "", there ? c->name : c->missing);
  }
  return CTL_OK;
}

enum ctl_exit source_read(struct ctl *ctl, struct import *im, enum source_table table, source_row_fn fn) {
  char list[512], sql[1024];
  const char *name = tables[table].name;
  const struct import_row row = {"table", "", name, IMPORT_UNUSED};
  const char *lacks = NULL;
  bool there = false;
  if (!im->source.open) {
    return CTL_OK;
  }
  enum ctl_exit rc = look(ctl, &im->source, name, NULL, &there);
  if (!rc && there) {
    rc = column_list(ctl, &im->source, table, list, sizeof list, &lacks);
  }
  if (!rc && !there) {
    import_note(im, &row, "note", "coturn's database has no such table");
  } else if (!rc && lacks) {
    import_note(im, &row, "note", "the table has no column \"%s\", without which coturn cannot use it", lacks);
  }
  if (rc || !there || lacks) {
    return rc;
  }
  snprintf(sql, sizeof sql, "SELECT %s FROM %s\"%s\" ORDER BY 1%s", list, im->source.schema, name,
           tables[table].columns[1].name ? ", 2" : "");
  return query(ctl, im, table, sql, fn);
}

enum ctl_exit source_realms(struct ctl *ctl, struct import *im, enum source_table table, source_row_fn fn) {
  char sql[512];
  const char *name = tables[table].name;
  bool there = false, named = false;
  enum ctl_exit rc = im->source.open ? look(ctl, &im->source, name, NULL, &there) : CTL_OK;
  if (!rc && there) {
    rc = look(ctl, &im->source, name, "realm", &named);
  }
  if (rc || !there) {
    return rc;
  }
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
