/*
 * import_write.c - each row of an import is written on its own: one that the database refuses costs no other
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "import.h"

#include <string.h>

enum ctl_exit import_attempt(struct ctl *ctl, struct import_attempt *attempt) {
  attempt->said.text[0] = '\0';
  enum ctl_exit rc = ctl_run(ctl, "SAVEPOINT import_row", NULL, NULL);
  if (!rc) {
    ctl->said = &attempt->said;
  }
  return rc;
}

/* Whether the last error was about the row's values, and not about the database or somebody else's work. */
static bool about_the_row(const struct pg *db) {
  bool busy = !strcmp(db->sqlstate, "55P03") || !strncmp(db->sqlstate, "40", 2);
  return !busy && (db->error == PG_REFUSED || !strncmp(db->sqlstate, "21", 2) || !strncmp(db->sqlstate, "22", 2) ||
                   !strncmp(db->sqlstate, "23", 2) || !strncmp(db->sqlstate, "54", 2));
}

enum ctl_exit import_attempted(struct ctl *ctl, struct import_attempt *attempt, enum ctl_exit rc, bool *refused) {
  ctl->said = NULL;
  bool failed = ctl->db->error != PG_OK;
  *refused = rc && (failed ? about_the_row(ctl->db) : rc == CTL_REFUSED);
  if (rc && !*refused) {
    return ctl_fail(ctl, rc, "%s", attempt->said.text);
  }
  rc = rc ? ctl_run(ctl, "ROLLBACK TO import_row", NULL, NULL) : CTL_OK;
  return rc ? rc : ctl_run(ctl, "RELEASE import_row", NULL, NULL);
}
