/* server.c - turncredctl server: who shares this database; turncredctl maintain: housekeeping
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "sql.h"

#include <stdlib.h>

int cmd_server_list(struct ctl *ctl) {
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
  /* current: it has every transaction that wrote a change */
  int rc = ctl_rows(
      ctl,
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

int cmd_server_forget(struct ctl *ctl) {
  static const struct ctl_column columns[] = {{"forgotten", "forgotten", CTL_TEXT},
                                              {NULL, NULL, CTL_TEXT}};
  struct pg_params p = {0};
  char *found = NULL;
  pg_text(&p, ctl_operand(ctl, 0));
  int rc = ctl_value(ctl, "SELECT turncred.instance_forget($1)", &p, &found);
  if (!rc && *found != 't')
    rc = ctl_fail(ctl, CTL_REFUSED, "there is no instance \"%s\"; see turncredctl server list",
                  ctl_operand(ctl, 0));
  free(found);
  return rc ? rc
            : ctl_print_record(ctl, json_pack("{s:s}", "forgotten", ctl_operand(ctl, 0)), columns);
}

#define PURGE_BATCHES_MAX 100000 /* of 500 rows each: a bound, not a goal */

int cmd_maintain(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"action", "ACTION", CTL_TEXT}, {"object", "OBJECT", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
  struct pg_params p = {0};
  int64_t keep_change = 7 * 86400, keep_issue_log = 90 * 86400, purged = 0;
  json_t *list = NULL;
  int rc = ctl_get_duration(ctl, "keep-changes", 3600, 31536000, &keep_change);
  if (!rc)
    rc = ctl_get_duration(ctl, "keep-issue-log", 3600, 315360000, &keep_issue_log);
  pg_int(&p, keep_change);
  pg_int(&p, keep_issue_log);
  if (!rc)
    rc = ctl_rows(ctl,
                  "SELECT action, object FROM turncred.maintain_partitions(make_interval(secs => "
                  "$1::bigint), make_interval(secs => $2::bigint))",
                  &p, &list);
  for (int i = 0; !rc && i < PURGE_BATCHES_MAX; i++) {
    char *text = NULL;
    rc = ctl_value(ctl, "SELECT turncred.purge_expired()", NULL, &text);
    int64_t n = text ? strtoll(text, NULL, 10) : 0;
    free(text);
    purged += n;
    if (!n)
      break;
  }
  if (rc) {
    json_decref(list);
    return rc;
  }
  if (purged)
    json_array_append_new(list, json_pack("{s:s, s:o}", "action", "purge", "object",
                                          json_sprintf("%lld expired credentials and revocations",
                                                       (long long)purged)));
  return ctl_print_list(ctl, list, columns);
}
