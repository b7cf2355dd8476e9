/* sql.h - the database as the commands see it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions that can fail have then written their message and return an exit code.
 */
#ifndef TURNCRED_CTL_SQL_H
#define TURNCRED_CTL_SQL_H

#include "pg/pg.h"
#include "ctl.h"

/* CTL_USAGE if a connection string from the command line holds a password. NULL is fine. */
int ctl_refuse_password(const struct ctl *ctl, const char *what, const char *conninfo);
/* Connects once. */
int ctl_connect(struct ctl *ctl);
/* The last statement's error as a message and an exit code. */
int ctl_db_error(struct ctl *ctl);
int ctl_begin(struct ctl *ctl);
int ctl_commit(struct ctl *ctl);
void ctl_rollback(struct ctl *ctl);
/* Runs; *rows may be NULL. */
int ctl_run(struct ctl *ctl, const char *sql, const struct pg_params *params, int64_t *rows);
/* One text value (NULL for no row or null) in *out, which the caller frees. */
int ctl_value(struct ctl *ctl, const char *sql, const struct pg_params *params, char **out);
/* The rows as an array of objects, made by PostgreSQL. */
int ctl_rows(struct ctl *ctl, const char *sql, const struct pg_params *params, json_t **out);
/* Like ctl_rows, one object; NULL: no row. */
int ctl_row(struct ctl *ctl, const char *sql, const struct pg_params *params, json_t **out);
/* Fails with CTL_REFUSED unless the realm is there. */
int ctl_need_realm(struct ctl *ctl, const char *realm);

/* --- wait.c --- */

/* --wait DURATION, else the default; 0: do not wait. */
int ctl_get_wait(const struct ctl *ctl, int64_t fallback, int64_t *seconds);
/* Waits until every instance that is alive has the changes of transaction xid, or the time is up.
 * *late gets an array of their ids (empty: all have it; release it), *alive how many were asked.
 * without: ids not to wait for (may be NULL). silent: instances not heard of for so many seconds
 * are left out; 0: none are. */
int ctl_wait(struct ctl *ctl, const char *xid, int64_t seconds, const json_t *without,
             int64_t silent, json_t **late, int64_t *alive);
/* Waits as the options say, adds in_force, servers and late to record, prints it, and returns
 * CTL_OK or CTL_LATE. record is released. */
int ctl_print_when_in_force(struct ctl *ctl, const char *xid, json_t *record,
                            const struct ctl_column *columns);
#define CTL_WAIT_OPTION                                                                            \
  { "wait", "DURATION", 0, "for servers to report that they have it (default 5s); 0: do not wait" }

#endif
