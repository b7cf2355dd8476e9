/*
 * wait.c - waits until every instance has a change
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/clock.h"
#include "sql.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define STEP_MS 50
#define SILENT_SECONDS                                                                                                 \
  60 /* not heard of for so long: it is down, and reloads when it comes back                                           \
      */

enum ctl_exit ctl_get_wait(const struct ctl *ctl, int64_t fallback, int64_t *seconds) {
  *seconds = fallback;
  return ctl_get_duration(ctl, "wait", 0, 86400, seconds);
}

static bool contains(const json_t *list, const char *id) {
  size_t i;
  json_t *one;
  json_array_foreach(list, i, one) {
    if (!strcmp(json_string_value(one), id)) {
      return true;
    }
  }
  return false;
}

/* *late gets the ids of instances that lack the changes of transaction xid. */
static enum ctl_exit behind(struct ctl *ctl, const char *xid, const json_t *without, int64_t silent, json_t **late) {
  struct pg_params p = {0};
  json_t *rows = NULL, *row;
  size_t i;
  pg_text(&p, xid);
  pg_time(&p, silent);
  enum ctl_exit rc =
      ctl_rows(ctl, "SELECT id FROM turncred.behind($1::xid8, make_interval(secs => $2::bigint))", &p, &rows);
  *late = json_array();
  json_array_foreach(rows, i, row) {
    json_t *id = json_object_get(row, "id");
    if (!contains(without, json_string_value(id))) {
      json_array_append(*late, id);
    }
  }
  json_decref(rows);
  return rc;
}

enum ctl_exit ctl_wait(struct ctl *ctl, const char *xid, int64_t seconds, const json_t *without, int64_t silent,
                       json_t **late, int64_t *alive) {
  int64_t deadline = clock_ms() + seconds * 1000;
  struct pg_params p = {0};
  char *count = NULL;
  *late = NULL;
  pg_time(&p, silent);
  enum ctl_exit rc = ctl_value(ctl,
                               "SELECT count(*) FROM turncred.instance i WHERE to_jsonb(i)->>'stopped_at' IS NULL AND "
                               "($1::bigint IS NULL OR last_seen > now() - make_interval(secs => $1::bigint))",
                               &p, &count);
  *alive = count ? strtoll(count, NULL, 10) : 0;
  free(count);
  while (!rc) {
    json_decref(*late);
    rc = behind(ctl, xid, without, silent, late);
    if (rc || !json_array_size(*late) || clock_ms() >= deadline) {
      break;
    }
    poll(NULL, 0, STEP_MS);
  }
  return rc;
}

enum ctl_exit ctl_print_when_in_force(struct ctl *ctl, const char *xid, json_t *record,
                                      const struct ctl_column *columns) {
  json_t *late = NULL;
  int64_t seconds = 5, alive = 0;
  enum ctl_exit rc = ctl_get_wait(ctl, 5, &seconds);
  if (!rc) {
    rc = ctl_wait(ctl, xid, seconds, NULL, SILENT_SECONDS, &late, &alive);
  }
  if (rc) {
    json_decref(record);
    json_decref(late);
    return rc;
  }
  bool everywhere = !json_array_size(late);
  json_object_set_new(record, "in_force", json_boolean(everywhere));
  json_object_set_new(record, "instances", json_integer(alive));
  json_object_set(record, "late", late);
  rc = ctl_print_record(ctl, record, columns);
  if (!rc && !everywhere && seconds) {
    char names[512];
    ctl_cell(late, CTL_TEXT, names, sizeof names);
    rc = ctl_fail(ctl, CTL_LATE,
                  "done, but not yet reported by %s; they take it over when they reach the database "
                  "(turncredctl server list)",
                  names);
  }
  json_decref(late);
  return rc;
}
