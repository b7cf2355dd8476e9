/*
 * sql.h - the database as the commands see it: queries, transactions, errors as messages
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions that fail have written their message.
 */
#ifndef TURNCRED_CTL_SQL_H
#define TURNCRED_CTL_SQL_H

#include "ctl.h"
#include "pg/pg.h"

/* In SQL, the seconds since 1970 of a time, and those from a time until now. Each has a value for every row, whatever
 * constraints are missing: an expression that fails would fail the list of all rows. An infinite time becomes the end
 * of the year 9999 or the beginning of the year 1, as in store/rows.c. */
#define SQL_SECONDS(time)                                                                                              \
  "CASE WHEN isfinite(" time ") THEN extract(epoch FROM " time ")::bigint WHEN " time                                  \
  " > '2000-01-01' THEN 253402300799 WHEN " time " < '2000-01-01' THEN -62135596800 END"
#define SQL_AGE(time)                                                                                                  \
  "CASE WHEN isfinite(" time ") THEN greatest(0, extract(epoch FROM now() - " time "))::bigint WHEN " time             \
  " > '2000-01-01' THEN 0 WHEN " time " < '2000-01-01' THEN 62135596800 END"

/* Writes a list of the sessions that hold a lock on the schema's tables, or of an upgrade, into out. */
void ctl_lock_holders(struct pg *db, char *out, size_t cap);

/* Of rows of turncred.change, those whose xid this cluster has given: others were restored from a dump of another one.
 */
#define CTL_OF_THIS_CLUSTER "(xid < pg_snapshot_xmax(pg_current_snapshot()) OR xid = pg_current_xact_id_if_assigned())"

/* CTL_USAGE if a connection string from the command line holds a password. NULL is fine. */
enum ctl_exit ctl_refuse_password(const struct ctl *ctl, const char *what, const char *conninfo);
/* Connects to the database, unless that is done. CTL_REFUSED: its schema has left this program behind. */
enum ctl_exit ctl_connect(struct ctl *ctl);
/* The same whatever schema it has: for commands that tell of it. */
enum ctl_exit ctl_connect_to_any(struct ctl *ctl);
/* For which schema the database wants programs to be made; 0: it does not say. */
int ctl_schema_needs(struct ctl *ctl);
/* Writes the error of the last statement as a message; returns its exit code. */
enum ctl_exit ctl_db_error(struct ctl *ctl);
enum ctl_exit ctl_begin(struct ctl *ctl);
enum ctl_exit ctl_commit(struct ctl *ctl);
void ctl_rollback(struct ctl *ctl);
/* Runs a statement. *rows gets how many rows it changed; rows may be NULL. */
enum ctl_exit ctl_run(struct ctl *ctl, const char *sql, const struct pg_params *params, int64_t *rows);
/* One text value (NULL for no row or null) in *out, which the caller frees. */
enum ctl_exit ctl_value(struct ctl *ctl, const char *sql, const struct pg_params *params, char **out);
/* The rows as an array of objects, made by PostgreSQL. */
enum ctl_exit ctl_rows(struct ctl *ctl, const char *sql, const struct pg_params *params, json_t **out);
/* Like ctl_rows, one object; NULL: no row. */
enum ctl_exit ctl_row(struct ctl *ctl, const char *sql, const struct pg_params *params, json_t **out);
/* CTL_REFUSED, with names, if a server or issuer of the last day cannot use what schema `needs` brought; what names it,
 * kinds is an array of server and issuer. A schema that does not know its programs refuses nobody. */
enum ctl_exit ctl_refuse_too_new(struct ctl *ctl, int needs, const char *what, const char *kinds);
#define CTL_EVEN_IF_OLD_OPTION                                                                                         \
  {"even-if-old", NULL, 0, "although a server or issuer that reports to this database is too old to use it"}
/* CTL_REFUSED unless the realm exists. */
enum ctl_exit ctl_need_realm(struct ctl *ctl, const char *realm);

/* --- wait.c --- */

/* --wait DURATION, else the default; 0: do not wait. */
enum ctl_exit ctl_get_wait(const struct ctl *ctl, int64_t fallback, int64_t *seconds);
/* Waits until every instance that is alive has the changes of transaction xid, or the time is up.
 * *late gets an array of their ids (empty: all have it; release it), *alive how many were asked.
 * without: ids not to wait for (may be NULL). silent: instances not heard of for so many seconds
 * are left out; 0: none are. */
enum ctl_exit ctl_wait(struct ctl *ctl, const char *xid, int64_t seconds, const json_t *without, int64_t silent,
                       json_t **late, int64_t *alive);
/* Waits as the options say, adds in_force, servers and late to record, prints it, and returns
 * CTL_OK or CTL_LATE. record is released. */
enum ctl_exit ctl_print_when_in_force(struct ctl *ctl, const char *xid, json_t *record,
                                      const struct ctl_column *columns);
#define CTL_WAIT_OPTION                                                                                                \
  {"wait", "DURATION", 0, "longest wait for instances to report the change (default 5s); 0: do not wait"}

/* --- schema.c --- */
/* Objects with the member what: values that are older than today's rules and break them, also names of pushed
 * credentials if credentials. Empty where the schema is older than these rules. */
enum ctl_exit ctl_unusable_values(struct ctl *ctl, bool credentials, json_t **rows);

#endif
