/*
 * server.c - turncredctl server list and server forget: the instances that use this database
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "sql.h"

#include <stdlib.h>

enum ctl_exit cmd_server_list(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"id", "INSTANCE", CTL_TEXT},
      {"kind", "KIND", CTL_TEXT},
      {"version", "VERSION", CTL_TEXT},
      {"current", "CURRENT", CTL_TEXT},
      {"snapshot_age", "SNAPSHOT AGE", CTL_SECONDS},
      {"database_state", "DATABASE", CTL_TEXT},
      {"refused_rows", "REFUSED ROWS", CTL_TEXT},
      {"kek_ids", "KEKS", CTL_TEXT},
      {"silent_for", "LAST SEEN", CTL_SECONDS},
      {NULL, NULL, CTL_TEXT},
  };
  json_t *list = NULL;
  /* current: the instance has every transaction that wrote a change */
  enum ctl_exit rc =
      ctl_rows(ctl,
               "SELECT id, kind, version, schema_version, progress::text, "
               "coalesce(progress > (SELECT max(xid) FROM turncred.change), true) AS current, "
               "snapshot_age, database_state, refused_rows, kek_ids, extract(epoch FROM started_at)::bigint "
               "AS started_at, extract(epoch FROM last_seen)::bigint AS last_seen, greatest(0, "
               "extract(epoch "
               "FROM now() - last_seen))::bigint AS silent_for, reported_by FROM turncred.instance ORDER BY "
               "kind DESC, id",
               NULL, &list);
  return rc ? rc : ctl_print_list(ctl, list, columns);
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
