/*
 * schema.c - turncredctl schema upgrade and schema status
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "migrate.h"
#include "sql.h"

#include <errno.h>
#include <stdlib.h>

static const struct ctl_column columns[] = {
    {"version", "VERSION", CTL_TEXT},      {"name", "NAME", CTL_TEXT},
    {"applied", "APPLIED", CTL_TEXT},      {"applied_at", "AT", CTL_TEXT},
    {"changed", "FILE CHANGED", CTL_TEXT}, {NULL, NULL, CTL_TEXT},
};

static json_t *migration_json(const struct schema_migration *m) {
  return json_pack("{s:i, s:s, s:b, s:s, s:b}", "version", m->version, "name", m->name, "applied", m->applied,
                   "applied_at", m->applied_at, "changed", m->changed);
}

enum ctl_exit cmd_schema_status(struct ctl *ctl) {
  struct schema_status status = {0};
  char text[1024];
  enum ctl_exit rc = ctl_connect_to_any(ctl);
  if (rc) {
    return rc;
  }
  int err = schema_status(ctl->db, ctl_get(ctl, "directory"), &status, text, sizeof text);
  if (err) {
    return ctl_fail(ctl, err == ENOENT ? CTL_USAGE : CTL_DATABASE, "%s", text);
  }
  json_t *list = json_array();
  for (size_t i = 0; i < status.count; i++) {
    json_array_append_new(list, migration_json(&status.migrations[i]));
  }
  int database = status.database, files = status.files;
  schema_status_clear(&status);
  if (ctl->json) {
    static const struct ctl_column none[] = {{NULL, NULL, CTL_TEXT}};
    rc = ctl_print_record(ctl,
                          json_pack("{s:i, s:i, s:b, s:o}", "database", database, "program", files, "current",
                                    database == files, "migrations", list),
                          none);
  } else {
    rc = ctl_print_list(ctl, list, columns);
  }
  if (!rc && database < files) {
    rc = ctl_fail(ctl, CTL_REFUSED,
                  "the database has version %d, this program version %d; run turncredctl schema "
                  "upgrade",
                  database, files);
  }
  if (!rc && database > files) {
    rc = ctl_fail(ctl, CTL_REFUSED,
                  "the database has version %d, which is newer than this program's %d; update "
                  "turncredctl",
                  database, files);
  }
  return rc;
}

static void applied(const struct schema_migration *migration, void *arg) {
  json_array_append_new(arg, json_pack("{s:i, s:s}", "version", migration->version, "name", migration->name));
}

enum ctl_exit ctl_unusable_values(struct ctl *ctl, bool credentials, json_t **rows) {
  char *there = NULL;
  enum ctl_exit rc =
      ctl_value(ctl, "SELECT 1 WHERE to_regprocedure('turncred.unusable_values(boolean)') IS NOT NULL", NULL, &there);
  bool older = !there;
  free(there);
  if (rc || older) {
    *rows = rc ? NULL : json_array();
    return rc;
  }
  return ctl_rows(ctl,
                  credentials ? "SELECT what FROM turncred.unusable_values(true)"
                              : "SELECT what FROM turncred.unusable_values()",
                  NULL, rows);
}

static enum ctl_exit note_unusable(struct ctl *ctl) {
  json_t *rows = NULL, *row;
  size_t i;
  enum ctl_exit rc = ctl_unusable_values(ctl, true, &rows);
  json_array_foreach(rows, i, row) {
    ctl_note(ctl, "%s; it stays as it is: change it when you can", json_string_value(json_object_get(row, "what")));
  }
  json_decref(rows);
  return rc;
}

enum ctl_exit cmd_schema_upgrade(struct ctl *ctl) {
  static const struct ctl_column done[] = {
      {"version", "APPLIED", CTL_TEXT}, {"name", "NAME", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
  char text[1024];
  enum ctl_exit rc = ctl_connect_to_any(ctl);
  if (rc) {
    return rc;
  }
  json_t *list = json_array();
  int err = schema_upgrade(ctl->db, ctl_get(ctl, "directory"), applied, list, text, sizeof text);
  if (err) {
    json_decref(list);
    return ctl_fail(ctl, err == ENOENT ? CTL_USAGE : err == EPROTONOSUPPORT ? CTL_REFUSED : CTL_DATABASE, "%s", text);
  }
  if (!json_array_size(list) && !ctl->json) {
    ctl_note(ctl, "nothing to do: the schema is current");
  }
  rc = note_unusable(ctl);
  enum ctl_exit printed = ctl_print_list(ctl, list, done);
  return rc ? rc : printed;
}
