/*
 * sql.c - the database as the commands see it: queries, transactions, errors as messages
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A password in argv is seen by everybody on the machine. */
enum ctl_exit ctl_refuse_password(const struct ctl *ctl, const char *what, const char *given) {
  PQconninfoOption *options = given ? PQconninfoParse(given, NULL) : NULL;
  bool found = false;
  for (PQconninfoOption *o = options; o && o->keyword; o++) {
    found |= !strcmp(o->keyword, "password") && o->val;
  }
  PQconninfoFree(options);
  return found ? ctl_fail(ctl, CTL_USAGE,
                          "%s: a password here can be read by every user of this machine; put it "
                          "into a passfile (~/.pgpass) or a service file",
                          what)
               : CTL_OK;
}

enum ctl_exit ctl_connect_to_any(struct ctl *ctl) {
  if (ctl->db) {
    return CTL_OK;
  }
  enum ctl_exit rc = ctl_settings(ctl);
  if (!rc) {
    rc = ctl_refuse_password(ctl, "--database", ctl_get(ctl, "database"));
  }
  if (rc) {
    return rc;
  }
  if (!(ctl->db = calloc(1, sizeof *ctl->db))) {
    return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  pg_init(ctl->db, -1);
  pg_no_limits(ctl->db);
  ctl->db->group = "turncred_admin";
  if (pg_connect(ctl->db, ctl->database, "turncredctl")) {
    return ctl_fail(ctl, CTL_DATABASE,
                    "cannot connect to the database: %s\n  remedy: %s%sname it with --database, "
                    "TURNCRED_DATABASE, the configuration file or libpq's PG* variables",
                    ctl->db->text, ctl->db->remedy, *ctl->db->remedy ? "; or " : "");
  }
  /* with ALTER ROLE ... SET row_security = off PostgreSQL would refuse instead of showing what the role may see */
  pg_run(ctl->db, "SET row_security = on", NULL, NULL);
  if (ctl_has(ctl, "even-if-old")) {
    pg_run(ctl->db, "SET turncred.even_if_old = on", NULL, NULL);
  }
  /* nobody who keeps a lock makes an operator wait without end */
  if (pg_run(ctl->db, "SET lock_timeout = '10s'", NULL, NULL)) {
    return ctl_db_error(ctl);
  }
  return CTL_OK;
}

int ctl_schema_needs(struct ctl *ctl) {
  PGresult *r = pg_query(ctl->db, "SELECT coalesce(max(min_program), 0) FROM turncred.migration", NULL);
  int needs = r ? atoi(PQgetvalue(r, 0, 0)) : 0;
  PQclear(r);
  return needs;
}

enum ctl_exit ctl_connect(struct ctl *ctl) {
  bool before = ctl->db;
  enum ctl_exit rc = ctl_connect_to_any(ctl);
  int needs = rc || before ? 0 : ctl_schema_needs(ctl);
  if (needs > SCHEMA_NEWEST) {
    rc = ctl_fail(ctl, CTL_REFUSED,
                  "the database needs programs for schema %d or newer, this turncredctl is for %d: upgrade turncred on "
                  "this machine",
                  needs, SCHEMA_NEWEST);
  }
  return rc;
}

/* What a broken rule means on the command line. */
static const struct {
  const char *constraint, *text;
} rules[] = {
    {"realm_pkey", "the realm exists already; change it with turncredctl realm set"},
    {"realm_name_length", "NAME: 1 to 127 octets"},
    {"realm_name_characters", "NAME: no control characters, quotes, backslashes or slashes"},
    {"realm_server_name_length", "--server-name: 1 to 255 octets"},
    {"realm_server_name_characters", "--server-name: no blanks, quotes or backslashes"},
    {"realm_mechanisms_known", "--mechanisms: one to four of token, derived, rest, pushed"},
    {"realm_mechanisms_once", "--mechanisms: each at most once"},
    {"realm_grace_seconds_range", "--grace: 0 to 365 days"},
    {"realm_max_ttl_range", "--max-ttl: 1 second to 365 days"},
    {"realm_default_ttl_range", "--default-ttl: at least 1 second, at most --max-ttl"},
    {"realm_kek_id_form", "--kek-id: 1 to 64 of letters, digits, '.', '_', '-'"},
    {"realm_guest_kids_form", "--guest-kid: write REALM/KID"},
    {"realm_origins_form", "--origin: 1 to 255 octets without blanks"},
    {"realm_keys_tried_range", "--keys-tried: 1 to 256"},
    {"realm_allowed_peers_count", "--allowed-peers: 1024 networks at the most"},
    {"realm_denied_peers_count", "--denied-peers: 1024 networks at the most"},
    {"realm_foreign_caller_fkey", "--foreign-caller: there is no such caller; turncredctl caller add makes one"},
    {"realm_offer_tokens_known", "--offer-tokens: one of always, shown"},
    {"realm_quota_scope_known", "--quota-scope: one of server, fleet"},
    {"realm_quota_scope_usage",
     "--quota-scope fleet counts the sessions that servers record: set --usage to totals, user or address, too"},
    {"realm_usage_known", "--usage: one of off, totals, user, address"},
    {"realm_retention_days_range", "--retention-days: 1 to 36500"},
    {"key_tried",
     "the realm has as many keys of this use that are accepted as servers try: raise that with turncredctl "
     "realm set --keys-tried, or end another key and what it signed with key disable or key set "
     "--accept-until"},
    {"key_pkey", "the realm has a key with this KID already; choose another KID"},
    {"key_realm_fkey", "the realm does not exist; add it with turncredctl realm add"},
    {"key_kid_length", "KID: 1 to 508 octets"},
    {"key_kid_characters", "KID: no blanks, quotes or backslashes (coturn refuses such names)"},
    {"key_alg_for_use", "--alg: does not go with --use"},
    {"key_derivation_known", "--derivation: hkdf-sha256 goes with --use token only"},
    {"key_username_format_known", "--username-format: timestamp:user-id and either go with --use rest only"},
    {"key_separator_form",
     "--separator: one visible ASCII character, no letter, digit, sign or quote; --use rest only"},
    {"key_plain_once", "another key of the realm has these octets already"},
    {"key_allow_zero_iv_cbc_only", "--allow-zero-iv: A256CBC-HS512 only"},
    {"key_windows_order", "--not-before, --sign-until, --accept-until: they must come in this order"},
    {"credential_realm_fkey", "the realm does not exist; add it with turncredctl realm add"},
    {"credential_username_length", "USERNAME: 1 to 508 octets"},
    {"credential_username_characters", "USERNAME: no blanks, quotes or backslashes (coturn refuses such names)"},
    {"realm_uris_form", "--uri: turn:, turns:, stun: or stuns: URIs without blanks, 32 at the most"},
    {"caller_pkey", "the caller exists already; remove it first, or choose another NAME"},
    {"caller_name_form", "NAME: 1 to 64 of letters, digits, '.', '_', '-'"},
    {"caller_scopes_known",
     "--scopes: of token, exchange, derived, rest, push, revoke, metrics, stun-key, separated by commas"},
    {"caller_cert_once", "another caller shows this certificate already"},
    {"caller_subject_once", "another caller has this certificate subject already"},
    {"revocation_name_form", "NAME: a user id or kid of 1 to 508 octets, or a token's fingerprint of 32 hex digits"},
    {"revocation_reason_length", "--reason: at most 1000 octets"},
};

void ctl_lock_holders(struct pg *db, char *out, size_t cap) {
  PGresult *holders =
      pg_query(db,
               "SELECT coalesce(string_agg(DISTINCT format('pid %s (role %s, program \"%s\")', a.pid, a.usename,"
               " a.application_name), ', '), 'nobody any more') FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
               " LEFT JOIN pg_class c ON c.oid = l.relation AND c.relnamespace = to_regnamespace('turncred')"
               " WHERE l.granted AND l.pid <> pg_backend_pid() AND (c.oid IS NOT NULL AND l.mode NOT IN"
               " ('AccessShareLock', 'SIReadLock') OR l.locktype = 'advisory' AND l.classid = 1953853027)",
               NULL);
  snprintf(out, cap, "%s", holders ? PQgetvalue(holders, 0, 0) : db->text);
  PQclear(holders);
}

/* A lock did not come in time: says who holds one, unless the schema has said so. */
static enum ctl_exit lock_error(struct ctl *ctl) {
  char text[sizeof ctl->db->text], holders[600];
  snprintf(text, sizeof text, "%s", ctl->db->text);
  if (strstr(text, "pg_terminate_backend")) {
    return ctl_fail(ctl, CTL_REFUSED, "%s", text);
  }
  ctl_rollback(ctl);
  ctl_lock_holders(ctl->db, holders, sizeof holders);
  return ctl_fail(ctl, CTL_REFUSED,
                  "somebody else is changing this at this moment (%s); who holds a lock: %s\n  remedy: try again, or "
                  "end that session: SELECT pg_terminate_backend(PID)",
                  text, holders);
}

enum ctl_exit ctl_db_error(struct ctl *ctl) {
  const struct pg *db = ctl->db;
  for (size_t i = 0; db->error == PG_REFUSED && i < sizeof rules / sizeof *rules; i++) {
    if (!strcmp(rules[i].constraint, db->constraint)) {
      return ctl_fail(ctl, CTL_REFUSED, "%s", rules[i].text);
    }
  }
  if (!strcmp(db->sqlstate, "55P03")) {
    return lock_error(ctl);
  }
  if (!strcmp(db->sqlstate, "40001") || !strcmp(db->sqlstate, "40P01")) {
    return ctl_fail(ctl, CTL_DATABASE, "%s: nothing was changed; try again", db->text);
  }
  if (db->error == PG_REFUSED) {
    return ctl_fail(ctl, CTL_REFUSED, "%s", db->text);
  }
  return ctl_fail(ctl, CTL_DATABASE, "database: %s%s%s", db->text, *db->remedy ? "\n  remedy: " : "", db->remedy);
}

enum ctl_exit ctl_run(struct ctl *ctl, const char *sql, const struct pg_params *params, int64_t *rows) {
  enum ctl_exit rc = ctl_connect(ctl);
  if (rc) {
    return rc;
  }
  return pg_run(ctl->db, sql, params, rows) ? ctl_db_error(ctl) : CTL_OK;
}

enum ctl_exit ctl_begin(struct ctl *ctl) { return ctl_run(ctl, "BEGIN", NULL, NULL); }
enum ctl_exit ctl_commit(struct ctl *ctl) { return ctl_run(ctl, "COMMIT", NULL, NULL); }

void ctl_rollback(struct ctl *ctl) {
  if (ctl->db && ctl->db->conn && PQtransactionStatus(ctl->db->conn) != PQTRANS_IDLE) {
    pg_run(ctl->db, "ROLLBACK", NULL, NULL);
  }
}

enum ctl_exit ctl_value(struct ctl *ctl, const char *sql, const struct pg_params *params, char **out) {
  *out = NULL;
  enum ctl_exit rc = ctl_connect(ctl);
  if (rc) {
    return rc;
  }
  PGresult *result = pg_query(ctl->db, sql, params);
  if (!result) {
    return ctl_db_error(ctl);
  }
  if (PQntuples(result) && !PQgetisnull(result, 0, 0) && !(*out = strdup(PQgetvalue(result, 0, 0)))) {
    rc = ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  PQclear(result);
  return rc;
}

enum ctl_exit ctl_rows(struct ctl *ctl, const char *sql, const struct pg_params *params, json_t **out) {
  size_t cap = strlen(sql) + 128;
  char *whole = malloc(cap), *text = NULL;
  *out = NULL;
  if (!whole) {
    return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  snprintf(whole, cap, "SELECT coalesce(json_agg(row_to_json(t)), '[]') FROM (%s) t", sql);
  enum ctl_exit rc = ctl_value(ctl, whole, params, &text);
  free(whole);
  if (rc) {
    return rc;
  }
  *out = json_loads(text, 0, NULL);
  free(text);
  return *out ? 0 : ctl_fail(ctl, CTL_INTERNAL, "out of memory");
}

enum ctl_exit ctl_row(struct ctl *ctl, const char *sql, const struct pg_params *params, json_t **out) {
  json_t *list = NULL;
  enum ctl_exit rc = ctl_rows(ctl, sql, params, &list);
  *out = json_incref(json_array_get(list, 0));
  json_decref(list);
  return rc;
}

enum ctl_exit ctl_refuse_too_new(struct ctl *ctl, int needs, const char *what, const char *kinds) {
  struct pg_params p = {0};
  char *there = NULL;
  enum ctl_exit rc =
      ctl_value(ctl, "SELECT 1 WHERE to_regprocedure('turncred.refuse_too_new(integer, text, text[])') IS NOT NULL",
                NULL, &there);
  bool asks = there;
  free(there);
  if (rc || !asks) {
    return rc;
  }
  pg_int(&p, needs);
  pg_text(&p, what);
  pg_text(&p, kinds);
  return ctl_run(ctl, "SELECT turncred.refuse_too_new($1, $2, $3)", &p, NULL);
}

enum ctl_exit ctl_need_realm(struct ctl *ctl, const char *realm) {
  struct pg_params p = {0};
  char *found = NULL;
  pg_text(&p, realm);
  enum ctl_exit rc = ctl_value(ctl, "SELECT 1 FROM turncred.realm WHERE name = $1", &p, &found);
  if (!rc && !found) {
    rc = ctl_fail(ctl, CTL_REFUSED,
                  "realm \"%s\" does not exist; turncredctl realm list shows what there is, realm "
                  "add makes one",
                  realm);
  }
  free(found);
  return rc;
}
