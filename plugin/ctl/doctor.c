/*
 * doctor.c - turncredctl doctor: checks database, keys, servers and issuers, and names remedies
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "keyring.h"
#include "migrate.h"
#include "readyz.h"
#include "store/store.h"
#include "turn/error_text.h"
#include "turn/probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLOCK_OFFSET_MAX 2 /* seconds; tokens allow 5 */
#define SOON (7 * 86400)   /* seconds before its end at which a key is worth a warning */
#define CERTIFICATE_SOON (21 * 86400)
#define SNAPSHOT_AGE_MAX 60
#define SILENT_MAX 60
#define RESERVED_HIGH 3000000000LL /* of 2^32 tokens under one key */
#define PROBE_TIMEOUT_MS 5000

struct doctor {
  json_t *findings;
  int64_t failed, warned;
};

/* How a check ended. */
enum grade { FINE, WARN, FAIL };

/* Adds a finding. remedy: what to do; "": nothing. */
static void add_finding(struct doctor *d, const char *check, enum grade grade, const char *remedy, const char *format,
                        ...) __attribute__((format(printf, 5, 6)));

static void add_finding(struct doctor *d, const char *check, enum grade grade, const char *remedy, const char *format,
                        ...) {
  static const char *const names[] = {"ok", "warning", "FAILED"};
  char text[768];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  d->warned += grade == WARN;
  d->failed += grade == FAIL;
  json_array_append_new(d->findings, json_pack("{s:s, s:s, s:s, s:s}", "check", check, "result", names[grade],
                                               "finding", text, "remedy", remedy));
}

static const char *text_of(const json_t *row, const char *member) {
  const char *text = json_string_value(json_object_get(row, member));
  return text ? text : "";
}

static json_int_t number_of(const json_t *row, const char *member) {
  return json_integer_value(json_object_get(row, member));
}

/* connected: whether db has a connection. */
static void check_database(const struct pg *db, struct doctor *d, bool connected) {
  if (connected) {
    add_finding(d, "database", FINE, "", "PostgreSQL %s answers", PQparameterStatus(db->conn, "server_version"));
  } else {
    add_finding(d, "database", FAIL, "start PostgreSQL, or name the right database with --database",
                "no connection: %.600s", db->text);
  }
}

static enum ctl_exit check_schema(struct ctl *ctl, struct doctor *d, bool *usable) {
  struct schema_status status = {0};
  char text[1024];
  int err = schema_status(ctl->db, NULL, &status, text, sizeof text);
  *usable = !err && status.database > 0;
  if (err) {
    add_finding(d, "schema", FAIL, "connect as a member of turncred_admin; see the message", "%s", text);
  } else if (!status.database) {
    add_finding(d, "schema", FAIL, "turncredctl schema upgrade", "this database has no turncred schema");
  } else if (status.database < status.files) {
    add_finding(d, "schema", WARN, "turncredctl schema upgrade", "version %d, this program has %d", status.database,
                status.files);
  } else if (status.database > status.files) {
    add_finding(d, "schema", WARN, "update turncredctl", "version %d is newer than this program's %d", status.database,
                status.files);
  } else {
    add_finding(d, "schema", FINE, "", "version %d", status.database);
  }
  for (size_t i = 0; !err && i < status.count; i++) {
    if (status.migrations[i].changed) {
      add_finding(d, "schema", WARN, "find out who edited the file after it was applied",
                  "migration %d was applied from another file than the one here", status.migrations[i].version);
    }
  }
  schema_status_clear(&status);
  return CTL_OK;
}

static enum ctl_exit check_role(struct ctl *ctl, struct doctor *d, bool *usable) {
  json_t *row = NULL;
  enum ctl_exit rc = ctl_row(ctl,
                             "SELECT session_user::text AS name, pg_has_role(session_user, 'turncred_admin', "
                             "'MEMBER') AS admin, pg_is_in_recovery() AS standby",
                             NULL, &row);
  if (rc) {
    return rc;
  }
  if (json_is_true(json_object_get(row, "admin"))) {
    add_finding(d, "role", FINE, "", "%s is a member of turncred_admin", text_of(row, "name"));
  } else {
    add_finding(d, "role", FAIL, "GRANT turncred_admin TO ...", "%s is no member of turncred_admin",
                text_of(row, "name"));
    *usable = false;
  }
  if (json_is_true(json_object_get(row, "standby"))) {
    add_finding(d, "role", WARN, "name the primary: target_session_attrs=read-write",
                "this is a standby server: nothing can be changed here");
  }
  json_decref(row);
  return CTL_OK;
}

static enum ctl_exit check_clock(struct ctl *ctl, struct doctor *d) {
  char *now = NULL;
  int64_t before = time(NULL);
  enum ctl_exit rc = ctl_value(ctl, "SELECT extract(epoch FROM clock_timestamp())::bigint", NULL, &now);
  if (rc) {
    return rc;
  }
  int64_t offset = strtoll(now, NULL, 10) - before;
  free(now);
  if (offset > CLOCK_OFFSET_MAX || offset < -CLOCK_OFFSET_MAX) {
    add_finding(d, "clock", FAIL, "run NTP on both: tokens allow 5 seconds in all",
                "the database's clock is %lld s %s this machine's", (long long)(offset < 0 ? -offset : offset),
                offset < 0 ? "behind" : "ahead of");
  } else {
    add_finding(d, "clock", FINE, "", "the database's clock and this machine's agree");
  }
  return CTL_OK;
}

static enum ctl_exit check_keys(struct ctl *ctl, struct doctor *d) {
  struct kek_ring *ring = NULL;
  struct stored_key *rows = NULL;
  size_t count = 0, closed = 0, plain = 0;
  enum ctl_exit rc = keyring_load_optional(ctl, &ring);
  if (rc == CTL_USAGE) {
    add_finding(d, "key encryption key", FAIL, "see the message above", "--kek cannot be used");
    rc = CTL_OK;
  }
  if (!rc) {
    rc = keyring_rows(ctl, ring, "true", NULL, &rows, &count);
  }
  for (size_t i = 0; i < count; i++) {
    plain += !rows[i].kek_id[0];
    if (ring && !rows[i].k_len) {
      closed++;
      add_finding(d, "key encryption key", FAIL, "add the file that sealed the key to --kek, or import the key again",
                  "key \"%s\" of realm \"%s\" does not open under \"%s\"", rows[i].kid, rows[i].realm, rows[i].kek_id);
    }
    keyring_clear(&rows[i]);
  }
  free(rows);
  kek_ring_free(ring);
  if (rc) {
    return rc;
  }
  if (!ring && count > plain) {
    add_finding(d, "key encryption key", WARN, "give --kek", "no --kek is given: %zu sealed keys were not tried",
                count - plain);
  } else if (ring && !closed) {
    add_finding(d, "key encryption key", FINE, "", "--kek opens all %zu sealed keys", count - plain);
  }
  if (plain) {
    add_finding(d, "keys at rest", WARN, "realm set --at-rest sealed, after adding them anew",
                "%zu keys are stored plain: anybody who reads a backup can make credentials", plain);
  }
  return CTL_OK;
}

/* Checks that each mechanism of each realm has a key that signs and that servers accept. */
static enum ctl_exit check_realms(struct ctl *ctl, struct doctor *d) {
  json_t *rows = NULL, *row;
  size_t i;
  enum ctl_exit rc =
      ctl_rows(ctl,
               "SELECT r.name, m.use, count(k.kid) FILTER (WHERE k.state = 'active' AND "
               "coalesce(k.not_before, now()) <= now() AND coalesce(k.sign_until, 'infinity') > now() AND "
               "coalesce(k.accept_until, 'infinity') > now()) AS signing, (extract(epoch FROM "
               "max(coalesce(least(k.sign_until, k.accept_until), 'infinity')) FILTER (WHERE k.state = "
               "'active')) - extract(epoch FROM now()))::text AS remaining, coalesce(max(k.tokens_reserved) "
               "FILTER "
               "(WHERE k.state = 'active'), 0) AS reserved, count(k.kid) FILTER (WHERE m.use <> 'token' AND "
               "k.state <> 'disabled' AND coalesce(k.not_before, now()) <= now() AND "
               "coalesce(k.accept_until, 'infinity') > now()) AS crowd FROM turncred.realm r CROSS JOIN "
               "unnest(r.mechanisms) "
               "m(use) LEFT JOIN turncred.key_list k ON k.realm = r.name AND k.use = m.use WHERE m.use <> "
               "'pushed' GROUP BY r.name, m.use ORDER BY r.name, m.use",
               NULL, &rows);
  size_t fine = 0;
  json_array_foreach(rows, i, row) {
    const char *realm = text_of(row, "name"), *use = text_of(row, "use");
    double remaining = strtod(text_of(row, "remaining"), NULL);
    bool open = !strncmp(text_of(row, "remaining"), "inf", 3) || !strncmp(text_of(row, "remaining"), "Inf", 3);
    if (!number_of(row, "signing")) {
      add_finding(d, "keys", FAIL, "turncredctl key add, or key set --state active",
                  "realm \"%s\" offers %s, but no %s key signs now", realm, use, use);
    } else if (number_of(row, "crowd") > STORE_DERIVED_KEYS_MAX) {
      add_finding(d, "keys", FAIL, "turncredctl key disable, or key set --accept-until",
                  "realm \"%s\" has %lld %s keys that are accepted, but servers try only the newest %d", realm,
                  (long long)number_of(row, "crowd"), use, STORE_DERIVED_KEYS_MAX);
    } else if (!open && remaining < SOON) {
      add_finding(d, "keys", WARN, "turncredctl key rotate",
                  "the last %s key of realm \"%s\" stops signing in %.0f hours", use, realm, remaining / 3600);
    } else if (number_of(row, "reserved") > RESERVED_HIGH) {
      add_finding(d, "keys", WARN, "turncredctl key rotate",
                  "a token key of realm \"%s\" has signed %lld of 2^32 tokens", realm,
                  (long long)number_of(row, "reserved"));
    } else {
      fine++;
    }
  }
  if (!rc && !json_array_size(rows)) {
    add_finding(d, "keys", WARN, "turncredctl realm add", "there is no realm that needs a key");
  } else if (!rc && fine) {
    add_finding(d, "keys", FINE, "", "%zu of %zu mechanisms of realms have a key that signs", fine,
                json_array_size(rows));
  }
  json_decref(rows);
  return rc;
}

static enum ctl_exit check_instances(struct ctl *ctl, struct doctor *d) {
  json_t *rows = NULL, *row;
  size_t i, servers = 0;
  enum ctl_exit rc =
      ctl_rows(ctl,
               "SELECT id, kind, (to_jsonb(i)->>'clock_offset_ms')::bigint AS clock, progress > "
               "coalesce((SELECT max(xid) FROM turncred.change WHERE at < now() "
               "- interval '10 seconds'), '0'::xid8) AS current, snapshot_age, refused_rows, "
               "database_state, greatest(0, extract(epoch FROM now() - last_seen))::bigint AS silent, "
               "(SELECT "
               "string_agg(DISTINCT k.kek_id, ', ') FROM turncred.key k WHERE k.kek_id IS NOT NULL AND NOT "
               "k.kek_id = ANY (i.kek_ids)) AS lacks FROM turncred.instance i ORDER BY kind DESC, id",
               NULL, &rows);
  json_array_foreach(rows, i, row) {
    const char *id = text_of(row, "id");
    int64_t before = d->failed + d->warned;
    servers += !strcmp(text_of(row, "kind"), "server");
    if (number_of(row, "silent") > SILENT_MAX) {
      add_finding(d, "instances", FAIL, "start the instance, or turncredctl server forget",
                  "%s \"%s\" was last heard of %lld s ago", text_of(row, "kind"), id,
                  (long long)number_of(row, "silent"));
    } else if (!json_is_true(json_object_get(row, "current"))) {
      add_finding(d, "instances", FAIL, "see in its log whether it reaches the database",
                  "\"%s\" does not have the latest changes", id);
    }
    if (number_of(row, "snapshot_age") > SNAPSHOT_AGE_MAX) {
      add_finding(d, "instances", FAIL, "see in its log whether it reaches the database",
                  "\"%s\" works from data of %lld s ago (%s)", id, (long long)number_of(row, "snapshot_age"),
                  text_of(row, "database_state"));
    }
    if (number_of(row, "refused_rows")) {
      add_finding(d, "instances", FAIL, "see its log, which names each row once", "\"%s\" could not use %lld rows", id,
                  (long long)number_of(row, "refused_rows"));
    }
    int64_t clock = number_of(row, "clock");
    if (clock > 1000 * CLOCK_OFFSET_MAX || clock < -1000 * CLOCK_OFFSET_MAX) {
      add_finding(d, "clock", FAIL, "run NTP on both: tokens allow 5 seconds in all",
                  "the clock of \"%s\" is %.1f s %s the database's", id, (double)(clock < 0 ? -clock : clock) / 1000,
                  clock < 0 ? "behind" : "ahead of");
    }
    if (*text_of(row, "lacks")) {
      add_finding(d, "instances", FAIL, "give the instance the file and reload it",
                  "\"%s\" does not hold key encryption key %s", id, text_of(row, "lacks"));
    }
    if (d->failed + d->warned == before) {
      add_finding(d, "instances", FINE, "", "%s \"%s\" is current", text_of(row, "kind"), id);
    }
  }
  json_decref(rows);
  if (!rc && !servers) {
    add_finding(d, "instances", WARN, "start a turnserver with auth-module= and look at its log",
                "no TURN server has reported to this database");
  }
  return rc;
}

static enum ctl_exit check_housekeeping(struct ctl *ctl, struct doctor *d) {
  json_t *row = NULL;
  enum ctl_exit rc = ctl_row(ctl,
                             "SELECT (SELECT count(*) FROM turncred.credential_list WHERE expiry < now() - "
                             "interval '2 days') AS expired, (SELECT count(*) FROM pg_inherits h JOIN pg_class "
                             "c ON c.oid = h.inhrelid WHERE h.inhparent = 'turncred.change'::regclass AND "
                             "c.relname ~ '_[0-9]{8}$' AND to_date(right(c.relname, 8), 'YYYYMMDD') > now()) "
                             "AS ahead",
                             NULL, &row);
  if (rc) {
    return rc;
  }
  if (number_of(row, "expired") || !number_of(row, "ahead")) {
    add_finding(d, "housekeeping", WARN, "run turncredctl maintain daily, from a timer",
                "%lld credentials that ran out two days ago are still stored; %s", (long long)number_of(row, "expired"),
                number_of(row, "ahead") ? "partitions are made ahead" : "no partition is made ahead");
  } else {
    add_finding(d, "housekeeping", FINE, "", "maintain has run: partitions are made ahead");
  }
  json_decref(row);
  return CTL_OK;
}

static void check_certificate(struct doctor *d, const char *server, int64_t until) {
  int64_t left = until - time(NULL);
  char text[32];
  ctl_time_text(until, text, sizeof text);
  if (until && left < CERTIFICATE_SOON) {
    add_finding(d, "certificate", left < SOON ? FAIL : WARN, "renew the certificate and reload the server",
                "the certificate of %s ends %s", server, text);
  } else if (until) {
    add_finding(d, "certificate", FINE, "", "the certificate of %s is good until %s", server, text);
  }
}

/* Checks that the server challenges an Allocate of a user that does not exist, and refuses it. */
static void check_server(struct doctor *d, const char *server, enum turn_protocol protocol, const char *ca_file) {
  struct turn_probe_options options = {.server = server,
                                       .protocol = protocol,
                                       .tls = {.ca_file = ca_file},
                                       .allocate_only = true,
                                       .timeout_ms = PROBE_TIMEOUT_MS};
  struct turn_probe_report *report = calloc(1, sizeof *report);
  if (!report) {
    return;
  }
  snprintf(options.credential.username, sizeof options.credential.username, "turncredctl-doctor");
  snprintf(options.credential.password, sizeof options.credential.password, "none");
  turn_probe(&options, report);
  const struct turn_probe_step *last = report->count ? &report->steps[report->count - 1] : NULL;
  if (report->ok) {
    add_finding(d, "server", FAIL, "switch lt-cred-mech and the module on",
                "%s lets anybody in: it took a user that does not exist", server);
  } else if (report->code == 401) {
    add_finding(d, "server", FINE, "",
                "%s answers over %s for realm \"%s\"%s%s, and refuses users without a credential", server,
                turn_protocol_name(protocol), report->realm, report->offers_tokens ? " and offers tokens for " : "",
                report->server_name);
  } else if (last && report->outcome == TURN_OK && !strcmp(last->name, "challenge")) {
    add_finding(d, "server", FAIL, "switch lt-cred-mech and the module on, at once",
                "%s over %s lets anybody in, without any credential: it is an open relay", server,
                turn_protocol_name(protocol));
  } else {
    add_finding(d, "server", FAIL,
                report->code ? turn_error_text(report->code)->remedy : "see whether it runs and the port is open",
                "%s over %s: %s", server, turn_protocol_name(protocol), last ? last->detail : "");
  }
  check_certificate(d, server, report->certificate_until);
  free(report);
}

static void check_issuer(struct doctor *d, const char *server, const char *ca_file) {
  int status = 0;
  int64_t until = 0;
  char text[512] = "";
  if (readyz(server, ca_file, PROBE_TIMEOUT_MS, &status, &until, text, sizeof text)) {
    add_finding(d, "issuer", FAIL, "see whether turncredd runs and the port is open", "%s: %s", server, text);
  } else if (status == 200) {
    add_finding(d, "issuer", FINE, "", "%s is ready", server);
  } else {
    add_finding(d, "issuer", FAIL, "see its log, which says what it lacks", "%s answers %d to GET /readyz", server,
                status);
  }
  check_certificate(d, server, until);
}

enum ctl_exit cmd_doctor(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"check", "CHECK", CTL_TEXT},   {"result", "RESULT", CTL_TEXT}, {"finding", "FINDING", CTL_TEXT},
      {"remedy", "REMEDY", CTL_TEXT}, {NULL, NULL, CTL_TEXT},
  };
  struct doctor d = {.findings = json_array()};
  const char *server;
  bool usable = false;
  enum ctl_exit rc = ctl_connect(ctl);
  if (rc && rc != CTL_DATABASE) {
    json_decref(d.findings);
    return rc;
  }
  bool connected = !rc;
  check_database(ctl->db, &d, connected);
  rc = CTL_OK;
  if (connected) {
    rc = check_schema(ctl, &d, &usable);
  }
  if (!rc && usable) {
    rc = check_role(ctl, &d, &usable);
  }
  if (!rc && connected) {
    rc = check_clock(ctl, &d);
  }
  if (!rc && usable) {
    rc = check_keys(ctl, &d);
  }
  if (!rc && usable) {
    rc = check_realms(ctl, &d);
  }
  if (!rc && usable) {
    rc = check_instances(ctl, &d);
  }
  if (!rc && usable) {
    rc = check_housekeeping(ctl, &d);
  }
  for (size_t i = 0; !rc && (server = ctl_get_nth(ctl, "server", i)); i++) {
    check_server(&d, server, TURN_UDP, NULL);
  }
  for (size_t i = 0; !rc && (server = ctl_get_nth(ctl, "tls-server", i)); i++) {
    check_server(&d, server, TURN_TLS, ctl_get(ctl, "ca-file"));
  }
  for (size_t i = 0; !rc && (server = ctl_get_nth(ctl, "issuer", i)); i++) {
    check_issuer(&d, server, ctl_get(ctl, "ca-file"));
  }
  if (rc) {
    json_decref(d.findings);
    return rc;
  }
  rc = ctl_print_list(ctl, d.findings, columns);
  if (!rc && d.failed) {
    rc = ctl_fail(ctl, CTL_REFUSED, "%lld checks failed, %lld warnings", (long long)d.failed, (long long)d.warned);
  }
  return rc;
}
