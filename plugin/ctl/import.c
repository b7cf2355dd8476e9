/*
 * import.c - turncredctl import coturn: users, secrets, keys and options of a coturn database
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads turnusers_lt, turn_secret, oauth_key, turn_realm_option and turn_origin_to_realm in one
 * read-only snapshot, and the users and secrets of a turnserver.conf. Without --apply nothing is
 * written. The command can be repeated: rows that were imported before are recognised by their
 * octets and left alone.
 */
#include "config.h"

#include "import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct ctl_column columns[] = {
    {"kind", "KIND", CTL_TEXT},     {"realm", "REALM", CTL_TEXT},   {"name", "NAME", CTL_TEXT},
    {"action", "ACTION", CTL_TEXT}, {"reason", "REASON", CTL_TEXT}, {NULL, NULL, CTL_TEXT},
};

/* A row of turn_realm_option: a quota of a realm. */
static enum ctl_exit import_option(struct ctl *ctl, struct import *im, const PGresult *r, int i) {
  static const struct {
    const char *option, *sql;
  } known[] = {
      {"max-bps", "UPDATE turncred.realm SET max_bps = $2::bigint WHERE name = $1"},
      {"total-quota", "UPDATE turncred.realm SET total_quota = $2::integer WHERE name = $1"},
      {"user-quota", "UPDATE turncred.realm SET user_quota = $2::integer WHERE name = $1"},
  };
  const char *realm = PQgetvalue(r, i, 0), *option = PQgetvalue(r, i, 1);
  const char *value = PQgetvalue(r, i, 2);
  struct pg_params p = {0};
  int64_t number = 0;
  if (!import_target(im, "option", &realm, option)) {
    return CTL_OK;
  }
  pg_text(&p, realm);
  pg_text(&p, value);
  for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
    if (strcmp(known[k].option, option)) {
      continue;
    }
    if (!ctl_number(value, 0, INT32_MAX, &number)) {
      import_note(im, "option", realm, option, "skip", "the value \"%s\" is not a number", value);
      return CTL_OK;
    }
    import_note(im, "option", realm, option, "set", "%s", value);
    return im->apply ? ctl_run(ctl, known[k].sql, &p, NULL) : CTL_OK;
  }
  import_note(im, "option", realm, option, "skip", "realms here have no such setting");
  return CTL_OK;
}

/* A row of turn_origin_to_realm. */
static enum ctl_exit import_origin(struct ctl *ctl, struct import *im, const PGresult *r, int i) {
  const char *realm = PQgetvalue(r, i, 0), *origin = PQgetvalue(r, i, 1);
  struct pg_params p = {0};
  if (!import_target(im, "origin", &realm, origin)) {
    return CTL_OK;
  }
  pg_text(&p, realm);
  pg_text(&p, origin);
  import_note(im, "origin", realm, origin, "set", "%s", "");
  return im->apply ? ctl_run(ctl,
                             "UPDATE turncred.realm SET origins = origins || $2::text WHERE name = "
                             "$1 AND NOT $2 = ANY (origins)",
                             &p, NULL)
                   : CTL_OK;
}

/* A row of turn_secret. */
static enum ctl_exit import_secret_row(struct ctl *ctl, struct import *im, const PGresult *r, int i) {
  char name[40];
  snprintf(name, sizeof name, "secret %d", i + 1);
  return import_secret(ctl, im, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), name);
}

/* The static-auth-secret= lines of turnserver.conf. */
static enum ctl_exit import_conf_secrets(struct ctl *ctl, struct import *im) {
  enum ctl_exit rc = CTL_OK;
  for (size_t i = 0; !rc && i < im->conf.count; i++) {
    const struct turnserver_line *line = &im->conf.lines[i];
    char name[40];
    snprintf(name, sizeof name, "secret of line %u", line->number);
    rc = line->secret ? import_secret(ctl, im, "", line->value, name) : CTL_OK;
  }
  return rc;
}

/* A table of coturn's database, and what imports one row of it. */
struct table {
  const char *sql;
  enum ctl_exit (*import_row)(struct ctl *ctl, struct import *im, const PGresult *r, int i);
};

static enum ctl_exit import_table(struct ctl *ctl, struct import *im, const struct table *table) {
  PGresult *r = NULL;
  enum ctl_exit rc = import_query(ctl, im, table->sql, &r);
  for (int i = 0; !rc && i < PQntuples(r); i++) {
    rc = table->import_row(ctl, im, r, i);
  }
  PQclear(r);
  return rc;
}

static enum ctl_exit import_everything(struct ctl *ctl, struct import *im) {
  static const struct table secrets = {"SELECT trim(realm), value FROM turn_secret ORDER BY 1, 2", import_secret_row};
  static const struct table others[] = {
      {"SELECT kid, coalesce(ikm_key, ''), coalesce(timestamp, 0), coalesce(lifetime, 0), "
       "trim(coalesce(as_rs_alg, '')), trim(coalesce(realm, '')) FROM oauth_key ORDER BY realm, "
       "kid",
       import_oauth_key},
      {"SELECT trim(realm), trim(opt), trim(value) FROM turn_realm_option ORDER BY 1, 2", import_option},
      {"SELECT trim(realm), trim(origin) FROM turn_origin_to_realm ORDER BY 1, 2", import_origin},
  };
  enum ctl_exit rc = import_users(ctl, im);
  if (!rc) {
    rc = import_table(ctl, im, &secrets);
  }
  if (!rc) {
    rc = import_conf_secrets(ctl, im);
  }
  for (size_t i = 0; !rc && i < sizeof others / sizeof *others; i++) {
    rc = import_table(ctl, im, &others[i]);
  }
  return rc;
}

/* Reads the options and opens coturn's database. */
static enum ctl_exit open_source(struct ctl *ctl, struct import *im) {
  enum ctl_exit rc = ctl_refuse_password(ctl, "CONNINFO", ctl_operand(ctl, 0));
  if (!rc && ctl_has(ctl, "turnserver-conf")) {
    rc = turnserver_conf_read(ctl, ctl_get(ctl, "turnserver-conf"), &im->conf);
  }
  if (!im->default_realm && *im->conf.realm) {
    im->default_realm = im->conf.realm;
  }
  if (!rc && im->default_realm && (!*im->default_realm || strlen(im->default_realm) > TURNCRED_REALM_MAX)) {
    rc = ctl_fail(ctl, CTL_USAGE, "--default-realm: 1 to %d octets", TURNCRED_REALM_MAX);
  }
  if (!rc) {
    rc = keyring_load_optional(ctl, &im->ring);
  }
  pg_init(&im->source, -1);
  pg_no_limits(&im->source);
  if (!rc && pg_connect(&im->source, ctl_operand(ctl, 0), "turncredctl")) {
    rc = ctl_fail(ctl, CTL_DATABASE, "cannot connect to the coturn database: %s", im->source.text);
  }
  if (!rc && pg_run(&im->source, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, NULL)) {
    rc = ctl_fail(ctl, CTL_DATABASE, "the coturn database: %s", im->source.text);
  }
  return rc;
}

enum ctl_exit cmd_import_coturn(struct ctl *ctl) {
  struct import im = {.apply = ctl_has(ctl, "apply"),
                      .add_realms = ctl_has(ctl, "add-realms"),
                      .truncate = ctl_has(ctl, "truncate"),
                      .default_realm = ctl_get(ctl, "default-realm")};
  enum ctl_exit rc = open_source(ctl, &im);
  im.report = json_array();
  im.realms = json_object();
  im.conf_users = json_object();
  if (!rc) {
    rc = ctl_begin(ctl);
  }
  if (!rc) {
    rc = import_load_realms(ctl, &im);
  }
  if (!rc && im.add_realms) {
    rc = import_add_realms(ctl, &im);
  }
  if (!rc) {
    rc = import_everything(ctl, &im);
  }
  if (!rc && im.apply) {
    rc = ctl_commit(ctl);
  }
  ctl_rollback(ctl);
  if (im.source.conn) {
    pg_close(&im.source);
  }
  kek_ring_free(im.ring);
  turnserver_conf_free(&im.conf);
  json_decref(im.conf_users);
  json_decref(im.realms);
  if (rc) {
    json_decref(im.report);
    return rc;
  }
  rc = ctl_print_list(ctl, im.report, columns);
  if (!rc && !im.apply) {
    ctl_note(ctl, "nothing was written: look at the list, then give --apply");
  }
  if (!rc && im.skipped) {
    rc = ctl_fail(ctl, CTL_REFUSED, "%lld rows %s taken over; REASON says why", (long long)im.skipped,
                  im.apply ? "were not" : "would not be");
  }
  return rc;
}
