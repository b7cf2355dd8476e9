/*
 * doctor.c - turncredctl doctor: checks database, keys, servers and issuers, and names remedies
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "doctor.h"
#include "keyring.h"
#include "migrate.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SILENT SQL_AGE("last_seen")

#define CLOCK_OFFSET_MAX 2 /* seconds; tokens allow 5 */
#define SNAPSHOT_AGE_MAX 60
#define SILENT_MAX 60
#define RESERVED_HIGH 3000000000LL /* of 2^32 tokens under one key */

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
    const char *encoding = PQparameterStatus(db->conn, "server_encoding");
    add_finding(d, "database", FINE, "", "PostgreSQL %s answers", PQparameterStatus(db->conn, "server_version"));
    if (!encoding || strcmp(encoding, "UTF8") != 0) {
      add_finding(d, "database", FAIL, "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0, and move with pg_dump",
                  "its encoding is %s: names of users in other letters cannot be recorded, pushed or revoked",
                  encoding ? encoding : "unknown");
    }
  } else {
    add_finding(d, "database", FAIL,
                *db->remedy ? db->remedy : "start PostgreSQL, or name the right database with --database",
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
  } else if (ctl_schema_needs(ctl) > SCHEMA_NEWEST) {
    *usable = false;
    add_finding(d, "schema", FAIL, "upgrade turncred on this machine",
                "version %d has left this program behind, which knows %d", status.database, SCHEMA_NEWEST);
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
               "coalesce(k.accept_until, 'infinity') > now()) AS crowd, count(k.kid) FILTER (WHERE k.imported AND "
               "k.state <> 'disabled' AND coalesce(k.accept_until, 'infinity') > now()) AS imported, r.keys_tried "
               "FROM turncred.realm r CROSS JOIN "
               "unnest(r.mechanisms) "
               "m(use) LEFT JOIN turncred.key_list k ON k.realm = r.name AND k.use = m.use WHERE m.use <> "
               "'pushed' GROUP BY r.name, r.keys_tried, m.use ORDER BY r.name, m.use",
               NULL, &rows);
  size_t fine = 0;
  json_array_foreach(rows, i, row) {
    const char *realm = text_of(row, "name"), *use = text_of(row, "use");
    double remaining = strtod(text_of(row, "remaining"), NULL);
    bool open = !strncmp(text_of(row, "remaining"), "inf", 3) || !strncmp(text_of(row, "remaining"), "Inf", 3);
    if (!number_of(row, "signing") && number_of(row, "imported")) {
      add_finding(d, "keys", WARN,
                  "turncredctl key add; or key set REALM KID --state active, to sign with an imported one",
                  "realm \"%s\": %s keys were imported and are accepted, but nothing here signs %s", realm, use, use);
    } else if (!number_of(row, "signing")) {
      add_finding(d, "keys", FAIL, "turncredctl key add, or key set --state active",
                  "realm \"%s\" offers %s, but no %s key signs now", realm, use, use);
    } else if (number_of(row, "crowd") > number_of(row, "keys_tried")) {
      add_finding(d, "keys", FAIL, "turncredctl realm set --keys-tried, key disable, or key set --accept-until",
                  "realm \"%s\" has %lld %s keys that are accepted, but servers try only the newest %lld", realm,
                  (long long)number_of(row, "crowd"), use, (long long)number_of(row, "keys_tried"));
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

/* An instance whose program is older than the schema. */
static void check_software(struct doctor *d, const json_t *row) {
  if (number_of(row, "known") < number_of(row, "newest")) {
    add_finding(d, "instances", WARN, "upgrade it, or turncredctl server forget if it is gone for good",
                "%s \"%s\" (turncred %s) knows schema %lld, the database has %lld: it cannot use what is newer",
                text_of(row, "kind"), text_of(row, "id"), text_of(row, "version"), (long long)number_of(row, "known"),
                (long long)number_of(row, "newest"));
  }
}

/* True: the instance has said goodbye, and nobody waits for it. */
static bool has_stopped(struct doctor *d, const json_t *row) {
  if (!*text_of(row, "stopped_at")) {
    return false;
  }
  add_finding(d, "instances", FINE, "", "%s \"%s\" has stopped in an orderly way", text_of(row, "kind"),
              text_of(row, "id"));
  return true;
}

/* Has an instance every change that is 10 seconds old? */
#define HAS_CHANGES                                                                                                    \
  "progress > coalesce((SELECT max(xid) FROM turncred.change WHERE at < now() - interval '10 seconds' "                \
  "AND " CTL_OF_THIS_CLUSTER "), '0'::xid8) AND progress <= pg_snapshot_xmax(pg_current_snapshot())"

static enum ctl_exit check_instances(struct ctl *ctl, struct doctor *d) {
  json_t *rows = NULL, *row;
  size_t i, servers = 0;
  enum ctl_exit rc = ctl_rows(
      ctl,
      "SELECT id, kind, version, j->>'stopped_at' AS stopped_at, (j->>'clock_offset_ms')::bigint AS clock, " HAS_CHANGES
      " AS current, snapshot_age, refused_rows, "
      "database_state, " SILENT " AS silent, "
      "(SELECT string_agg(DISTINCT k.kek_id, ', ') FROM turncred.key k WHERE k.kek_id IS NOT NULL AND NOT k.kek_id = "
      "ANY (i.kek_ids)) AS lacks, (SELECT max(version) FROM turncred.migration) AS newest, "
      "CASE WHEN (j->>'software_at')::timestamptz = last_seen THEN (j->>'schema_known')::int "
      "ELSE 3 END AS known FROM turncred.instance i, to_jsonb(i) j ORDER BY kind DESC, id",
      NULL, &rows);
  json_array_foreach(rows, i, row) {
    const char *id = text_of(row, "id");
    int64_t before = d->failed + d->warned;
    if (has_stopped(d, row)) {
      continue;
    }
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
    check_software(d, row);
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

static enum ctl_exit check_values(struct ctl *ctl, struct doctor *d) {
  json_t *rows = NULL, *row;
  size_t i;
  enum ctl_exit rc = ctl_unusable_values(ctl, false, &rows);
  json_array_foreach(rows, i, row) {
    add_finding(d, "values", WARN, "turncredctl realm set", "%s", text_of(row, "what"));
  }
  json_decref(rows);
  return rc;
}

/* Checks that no issuer keeps entries that this database has refused. */
static enum ctl_exit check_journals(struct ctl *ctl, struct doctor *d) {
  json_t *rows = NULL, *row;
  size_t i;
  enum ctl_exit rc =
      ctl_rows(ctl,
               "SELECT instance, (to_jsonb(j)->>'set_aside')::bigint AS set_aside FROM turncred.journal j "
               "WHERE (to_jsonb(j)->>'set_aside')::bigint > 0 ORDER BY instance",
               NULL, &rows);
  json_array_foreach(rows, i, row) {
    add_finding(d, "journals", FAIL, "see SET ASIDE in turncredd(8): replay them with a reload, or remove the files",
                "\"%s\" has set %lld issues aside, which this database refused; revoking a user does not find them",
                text_of(row, "instance"), (long long)number_of(row, "set_aside"));
  }
  json_decref(rows);
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
    add_finding(d, "housekeeping", WARN,
                "run turncredctl maintain daily: systemctl enable --now turncred-maintain.timer",
                "%lld credentials that ran out two days ago are still stored; %s", (long long)number_of(row, "expired"),
                number_of(row, "ahead") ? "partitions are made ahead" : "no partition is made ahead");
  } else {
    add_finding(d, "housekeeping", FINE, "", "maintain has run: partitions are made ahead");
  }
  json_decref(row);
  return CTL_OK;
}

enum ctl_exit cmd_doctor(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"check", "CHECK", CTL_TEXT},   {"result", "RESULT", CTL_TEXT}, {"finding", "FINDING", CTL_TEXT},
      {"remedy", "REMEDY", CTL_TEXT}, {NULL, NULL, CTL_TEXT},
  };
  /* what a member of turncred_admin can see */
  static enum ctl_exit (*const contents[])(struct ctl *, struct doctor *) = {
      check_keys, check_realms, check_values, check_instances, check_journals, check_housekeeping};
  struct doctor d = {.findings = json_array()};
  bool usable = false;
  enum ctl_exit rc = doctor_check_options(ctl);
  if (!rc) {
    rc = ctl_connect_to_any(ctl);
  }
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
  for (size_t i = 0; !rc && usable && i < sizeof contents / sizeof *contents; i++) {
    rc = contents[i](ctl, &d);
  }
  if (!rc) {
    doctor_check_servers(ctl, &d);
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
