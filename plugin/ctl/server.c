/*
 * server.c - turncredctl server list, drain, undrain, forget: the instances that use this database
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "change.h"
#include "sql.h"

#include <stdlib.h>

#define DRAINING_AT SQL_SECONDS("(j->>'draining_at')::timestamptz")
#define STOPPED_AT SQL_SECONDS("(j->>'stopped_at')::timestamptz")
#define STARTED_AT SQL_SECONDS("started_at")
#define LAST_SEEN SQL_SECONDS("last_seen")
#define SILENT SQL_AGE("last_seen")

/* Programs from before schema 9 do not say which schema they know. */
static void name_unreported(json_t *list) {
  json_t *row;
  size_t i;
  json_array_foreach(list, i, row) {
    if (json_is_null(json_object_get(row, "schema_known"))) {
      json_object_set_new(row, "schema_known", json_string("not reported"));
    }
  }
}

enum ctl_exit cmd_server_list(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"id", "INSTANCE", CTL_TEXT},
      {"kind", "KIND", CTL_TEXT},
      {"state", "STATE", CTL_TEXT},
      {"version", "VERSION", CTL_TEXT},
      {"coturn", "TURN SERVER", CTL_TEXT},
      {"series", "SERIES", CTL_TEXT},
      {"abi", "ABI", CTL_TEXT},
      {"schema_known", "SCHEMA", CTL_TEXT},
      {"current", "CURRENT", CTL_TEXT},
      {"snapshot_age", "SNAPSHOT AGE", CTL_SECONDS},
      {"database_state", "DATABASE", CTL_TEXT},
      {"refused_rows", "REFUSED ROWS", CTL_TEXT},
      {"kek_ids", "KEKS", CTL_TEXT},
      {"silent_for", "LAST SEEN", CTL_SECONDS},
      {"sessions", "SESSIONS", CTL_TEXT},
      {"region", "REGION", CTL_TEXT},
      {"uris", "URIS", CTL_TEXT},
      {NULL, NULL, CTL_TEXT},
  };
  json_t *list = NULL;
  /* current: the instance has every transaction that wrote a change. What it says of its software counts only if its
   * last report said so: an older program may report under the same id. */
  enum ctl_exit rc = ctl_rows(
      ctl,
      "SELECT id, kind, CASE WHEN j->>'stopped_at' IS NOT NULL THEN 'stopped' WHEN j->>'draining_at' IS NOT NULL "
      "THEN 'draining' WHEN last_seen < now() - interval '1 minute' THEN 'silent' ELSE 'running' END AS state, "
      "(j->>'sessions')::bigint AS sessions, coalesce(j->>'region', '') AS region, "
      "ARRAY(SELECT jsonb_array_elements_text(j->'uris')) AS uris, (j->>'weight')::int AS weight, " DRAINING_AT
      " AS draining_at, " STOPPED_AT " AS stopped_at, version, CASE WHEN reported THEN "
      "j->>'host' END AS coturn, CASE WHEN reported THEN "
      "j->>'series' END AS series, CASE WHEN reported THEN j->>'abi' END AS abi, CASE WHEN reported THEN "
      "(j->>'schema_known')::integer END AS schema_known, schema_version, progress::text, "
      "coalesce(progress > (SELECT max(xid) FROM turncred.change WHERE " CTL_OF_THIS_CLUSTER "), true) "
      "AND progress <= pg_snapshot_xmax(pg_current_snapshot()) AS current, "
      "snapshot_age, database_state, refused_rows, kek_ids, " STARTED_AT " AS started_at, " LAST_SEEN
      " AS last_seen, " SILENT " AS silent_for, reported_by FROM (SELECT *, to_jsonb(i) AS j, "
      "coalesce((to_jsonb(i)->>'software_at')::timestamptz = last_seen, false) AS reported FROM "
      "turncred.instance i) i ORDER BY kind DESC, id",
      NULL, &list);
  if (!rc && !ctl->json) {
    name_unreported(list);
  }
  return rc ? rc : ctl_print_list(ctl, list, columns);
}

static enum ctl_exit drain(struct ctl *ctl, const char *key, const char *sql) {
  const struct ctl_column columns[] = {{key, key, CTL_TEXT},
                                       {"in_force", "in force everywhere", CTL_TEXT},
                                       {"late", "late", CTL_TEXT},
                                       {NULL, NULL, CTL_TEXT}};
  struct pg_params p = {0};
  pg_text(&p, ctl_operand(ctl, 0));
  enum ctl_exit rc = ctl_begin(ctl);
  if (!rc) {
    rc = ctl_run(ctl, sql, &p, NULL);
  }
  return ctl_finish_change(ctl, rc, rc ? NULL : json_pack("{s:s}", key, ctl_operand(ctl, 0)), columns);
}

enum ctl_exit cmd_server_drain(struct ctl *ctl) { return drain(ctl, "drained", "SELECT turncred.server_drain($1)"); }

enum ctl_exit cmd_server_undrain(struct ctl *ctl) {
  return drain(ctl, "undrained", "SELECT turncred.server_drain($1, false)");
}

enum ctl_exit cmd_server_forget(struct ctl *ctl) {
  static const struct ctl_column columns[] = {{"forgotten", "forgotten", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
  struct pg_params p = {0};
  char *found = NULL;
  pg_text(&p, ctl_operand(ctl, 0));
  enum ctl_exit rc = ctl_value(ctl, "SELECT turncred.instance_forget($1)", &p, &found);
  if (!rc && *found != 't') {
    rc = ctl_fail(ctl, CTL_REFUSED, "there is no instance \"%s\"; turncredctl server list shows all",
                  ctl_operand(ctl, 0));
  }
  free(found);
  return rc ? rc : ctl_print_record(ctl, json_pack("{s:s}", "forgotten", ctl_operand(ctl, 0)), columns);
}
