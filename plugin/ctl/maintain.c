/*
 * maintain.c - turncredctl maintain: drops old partitions, purges what has expired
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "sql.h"

#include <stdlib.h>

#define PURGE_BATCHES_MAX 100000 /* of 500 rows each; only a bound for the loop */

enum ctl_exit cmd_maintain(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"action", "ACTION", CTL_TEXT}, {"object", "OBJECT", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
  struct pg_params p = {0};
  int64_t keep_change = 7 * 86400, keep_issue_log = 90 * 86400, purged = 0;
  json_t *list = NULL;
  enum ctl_exit rc = ctl_get_duration(ctl, "keep-changes", 3600, 31536000, &keep_change);
  if (!rc) {
    rc = ctl_get_duration(ctl, "keep-issue-log", 3600, 315360000, &keep_issue_log);
  }
  pg_int(&p, keep_change);
  pg_int(&p, keep_issue_log);
  if (!rc) {
    rc = ctl_rows(ctl,
                  "SELECT action, object FROM turncred.maintain_partitions(make_interval(secs => "
                  "$1::bigint), make_interval(secs => $2::bigint)) UNION ALL "
                  "SELECT action, object FROM turncred.maintain_usage()",
                  &p, &list);
  }
  for (int i = 0; !rc && i < PURGE_BATCHES_MAX; i++) {
    char *text = NULL;
    rc = ctl_value(ctl, "SELECT turncred.purge_expired()", NULL, &text);
    int64_t n = text ? strtoll(text, NULL, 10) : 0;
    free(text);
    purged += n;
    if (!n) {
      break;
    }
  }
  if (rc) {
    json_decref(list);
    return rc;
  }
  if (purged) {
    json_array_append_new(list, json_pack("{s:s, s:o}", "action", "purge", "object",
                                          json_sprintf("%lld expired credentials and revocations", (long long)purged)));
  }
  return ctl_print_list(ctl, list, columns);
}
