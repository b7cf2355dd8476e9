/*
 * change.c - how a command ends that changes what servers know, in a transaction of its own
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "change.h"

#include <stdlib.h>

enum ctl_exit ctl_finish_change(struct ctl *ctl, enum ctl_exit rc, json_t *record, const struct ctl_column *columns) {
  char *xid = NULL;
  if (!rc) {
    rc = ctl_value(ctl, "SELECT pg_current_xact_id()", NULL, &xid);
  }
  if (!rc) {
    rc = ctl_commit(ctl);
  }
  ctl_rollback(ctl);
  if (!rc) {
    rc = ctl_print_when_in_force(ctl, xid, record, columns);
  } else {
    json_decref(record);
  }
  free(xid);
  return rc;
}
