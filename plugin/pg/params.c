/* db.c - statements with parameters over one libpq connection
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "params.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void no_notices(void *arg, const char *message) {
  (void)arg;
  (void)message;
}

/* Copies a message of libpq on one line. */
static void keep_text(struct db *db, const char *message) {
  size_t at = 0;
  for (; message && *message && at + 1 < sizeof db->text; message++) {
    if (*message == '\n' && !message[1])
      break;
    db->text[at++] = *message;
    if (*message == '\n' || *message == '\t')
      db->text[at - 1] = ' ';
  }
  db->text[at] = '\0';
}

bool db_open(struct db *db, const char *conninfo, const char *program) {
  const char *const names[] = {"connect_timeout", "dbname", "fallback_application_name",
                               "client_encoding", NULL};
  const char *const values[] = {"10", conninfo ? conninfo : "", program, "UTF8", NULL};
  memset(db, 0, sizeof *db);
  db->conn = PQconnectdbParams(names, values, 1);
  if (!db->conn || PQstatus(db->conn) != CONNECTION_OK) {
    db->error = DB_LOST;
    keep_text(db, db->conn ? PQerrorMessage(db->conn) : "out of memory");
    return false;
  }
  PQsetNoticeProcessor(db->conn, no_notices, NULL);
  return true;
}

void db_close(struct db *db) {
  PQfinish(db->conn);
  db->conn = NULL;
}

static void add(struct db_params *params, const char *value, int len, int format) {
  if (params->count >= DB_PARAMS_MAX)
    abort(); /* a statement of ours with too many parameters */
  params->values[params->count] = value;
  params->lengths[params->count] = len;
  params->formats[params->count++] = format;
}

void db_text(struct db_params *params, const char *text) { add(params, text, 0, 0); }

void db_int(struct db_params *params, int64_t value) {
  int n = params->count;
  if (n < DB_PARAMS_MAX)
    snprintf(params->numbers[n], sizeof params->numbers[n], "%lld", (long long)value);
  add(params, params->numbers[n < DB_PARAMS_MAX ? n : 0], 0, 0);
}

void db_time(struct db_params *params, int64_t seconds) {
  if (seconds)
    db_int(params, seconds);
  else
    db_text(params, NULL);
}

void db_bytes(struct db_params *params, const uint8_t *octets, size_t len) {
  add(params, (const char *)octets, (int)len, 1);
}

static enum db_error kind_of(const char *state) {
  if (!strncmp(state, "08", 2) || !strncmp(state, "57P", 3) || !strncmp(state, "53", 2) ||
      !strncmp(state, "58", 2) || !strcmp(state, "25006"))
    return DB_LOST;
  if (!strncmp(state, "23", 2) || !strncmp(state, "TC", 2) || !strncmp(state, "22", 2))
    return DB_REFUSED;
  if (!strcmp(state, "42501"))
    return DB_DENIED;
  if (!strcmp(state, "3F000") || !strcmp(state, "42P01") || !strcmp(state, "42703") ||
      !strcmp(state, "42883"))
    return DB_MISSING;
  return DB_FAILED;
}

static void keep_error(struct db *db, const PGresult *result) {
  const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
  const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
  char text[1024];
  if (!state || PQstatus(db->conn) != CONNECTION_OK) {
    db->error = DB_LOST;
    keep_text(db, PQerrorMessage(db->conn));
    return;
  }
  snprintf(db->sqlstate, sizeof db->sqlstate, "%s", state);
  snprintf(db->constraint, sizeof db->constraint, "%s", constraint ? constraint : "");
  db->error = kind_of(state);
  snprintf(text, sizeof text, "%s%s%s", primary ? primary : "unknown error", hint ? ". " : "",
           hint ? hint : "");
  keep_text(db, text);
}

PGresult *db_query(struct db *db, const char *sql, const struct db_params *params) {
  db->error = DB_OK;
  db->sqlstate[0] = db->constraint[0] = db->text[0] = '\0';
  PGresult *result =
      PQexecParams(db->conn, sql, params ? params->count : 0, NULL, params ? params->values : NULL,
                   params ? params->lengths : NULL, params ? params->formats : NULL, 0);
  ExecStatusType status = PQresultStatus(result);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
    return result;
  keep_error(db, result);
  PQclear(result);
  return NULL;
}

bool db_run(struct db *db, const char *sql, const struct db_params *params, int64_t *rows) {
  PGresult *result = db_query(db, sql, params);
  if (!result)
    return false;
  if (rows)
    *rows = *PQcmdTuples(result) ? strtoll(PQcmdTuples(result), NULL, 10) : 0;
  PQclear(result);
  return true;
}
