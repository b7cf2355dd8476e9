/*
 * realm.c - turncredctl realm add, set, list, show and remove
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "change.h"
#include "pg/array.h"
#include "values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CREATED_AT SQL_SECONDS("created_at")
#define UPDATED_AT SQL_SECONDS("updated_at")

/* Options of realm add and realm set, and the columns that they set. */
enum kind { TEXT, NUMBER, DURATION, YESNO, WORDS /* a,b,c */, REPEATED };
static const struct setting {
  const char *option, *column, *cast;
  enum kind kind;
} settings[] = {
    {"server-name", "server_name", "text", TEXT},
    {"mechanisms", "mechanisms", "text[]", WORDS},
    {"expiry-token", "expiry_token", "text", TEXT},
    {"expiry-derived", "expiry_derived", "text", TEXT},
    {"expiry-rest", "expiry_rest", "text", TEXT},
    {"expiry-pushed", "expiry_pushed", "text", TEXT},
    {"grace", "grace_seconds", "integer", DURATION},
    {"max-ttl", "max_ttl", "integer", DURATION},
    {"default-ttl", "default_ttl", "integer", DURATION},
    {"user-quota", "user_quota", "integer", NUMBER},
    {"total-quota", "total_quota", "integer", NUMBER},
    {"quota-scope", "quota_scope", "text", TEXT},
    {"max-bps", "max_bps", "bigint", NUMBER},
    {"keys-tried", "keys_tried", "integer", NUMBER},
    {"at-rest", "at_rest", "text", TEXT},
    {"kek-id", "kek_id", "text", TEXT},
    {"subject-tag", "subject_tag", "boolean", YESNO},
    {"bind-address", "bind_address", "boolean", YESNO},
    {"guest-kid", "guest_kids", "text[]", REPEATED},
    {"listen-address", "listen_addresses", "inet[]", REPEATED},
    {"origin", "origins", "text[]", REPEATED},
    {"allowed-peers", "allowed_peers", "text[]", WORDS},
    {"denied-peers", "denied_peers", "text[]", WORDS},
    {"uri", "uris", "text[]", REPEATED},
    {"foreign-caller", "foreign_caller", "text", TEXT},
    {"offer-tokens", "offer_tokens", "text", TEXT},
    {"usage", "usage", "text", TEXT},
    {"retention-days", "retention_days", "integer", NUMBER},
};
#define SETTINGS (sizeof settings / sizeof *settings)

#define REALM_COLUMNS                                                                                                  \
  "name, server_name, mechanisms, expiry_token, expiry_derived, expiry_rest, expiry_pushed, "                          \
  "grace_seconds, max_ttl, default_ttl, user_quota, total_quota, quota_scope, max_bps, keys_tried, at_rest, kek_id, "  \
  "subject_tag, bind_address, guest_kids, "                                                                            \
  "(SELECT coalesce(array_agg(host(a)), '{}') FROM unnest(listen_addresses) a) AS "                                    \
  "listen_addresses, origins, allowed_peers, denied_peers, uris, foreign_caller, offer_tokens, usage, "                \
  "retention_days, " CREATED_AT " AS created_at, " UPDATED_AT " AS updated_at"

static const struct ctl_column record_columns[] = {
    {"name", "name", CTL_TEXT},
    {"server_name", "server name", CTL_TEXT},
    {"mechanisms", "mechanisms", CTL_TEXT},
    {"expiry_token", "expiry of tokens", CTL_TEXT},
    {"expiry_derived", "expiry of derived", CTL_TEXT},
    {"expiry_rest", "expiry of rest", CTL_TEXT},
    {"expiry_pushed", "expiry of pushed", CTL_TEXT},
    {"grace_seconds", "grace", CTL_SECONDS},
    {"max_ttl", "max ttl", CTL_SECONDS},
    {"default_ttl", "default ttl", CTL_SECONDS},
    {"user_quota", "user quota", CTL_TEXT},
    {"total_quota", "total quota", CTL_TEXT},
    {"quota_scope", "quota scope", CTL_TEXT},
    {"max_bps", "max bps", CTL_TEXT},
    {"keys_tried", "keys tried", CTL_TEXT},
    {"at_rest", "at rest", CTL_TEXT},
    {"kek_id", "kek id", CTL_TEXT},
    {"subject_tag", "subject tag", CTL_TEXT},
    {"bind_address", "bind address", CTL_TEXT},
    {"guest_kids", "guest kids", CTL_TEXT},
    {"listen_addresses", "listen addresses", CTL_TEXT},
    {"origins", "origins", CTL_TEXT},
    {"allowed_peers", "allowed peers", CTL_TEXT},
    {"denied_peers", "denied peers", CTL_TEXT},
    {"uris", "uris", CTL_TEXT},
    {"foreign_caller", "foreign caller", CTL_TEXT},
    {"offer_tokens", "offer tokens", CTL_TEXT},
    {"usage", "usage", CTL_TEXT},
    {"retention_days", "retention days", CTL_TEXT},
    {"created_at", "created at", CTL_TIME},
    {"updated_at", "updated at", CTL_TIME},
    {NULL, NULL, CTL_TEXT},
};

/* The option's values, in their one spelling, as PostgreSQL's array literal, every item quoted. *out gets it, which the
 * caller frees. */
static enum ctl_exit array_literal(const struct ctl *ctl, const struct setting *s, char **out) {
  struct pg_array array = {0};
  const char *value;
  char canonical[CTL_VALUE];
  enum ctl_exit rc = CTL_OK;
  *out = NULL;
  for (size_t n = 0; !rc && (value = ctl_get_nth(ctl, s->option, n)); n++) {
    char *copy = strdup(value), *rest = copy, *word;
    /* an empty value stands for an empty list */
    while (copy && !rc && (word = s->kind == WORDS ? strsep(&rest, ",") : rest)) {
      *canonical = '\0';
      rc = *value ? ctl_canonical(ctl, s->option, word, canonical) : CTL_OK;
      if (!rc && (*word || (s->kind == WORDS && *value))) {
        pg_array_text(&array, canonical);
      }
      if (s->kind != WORDS) {
        break;
      }
    }
    array.failed |= !copy;
    free(copy);
  }
  const char *text = rc ? NULL : pg_array_end(&array);
  *out = text ? strdup(text) : NULL;
  pg_array_clear(&array);
  return rc || *out ? rc : ctl_fail(ctl, CTL_INTERNAL, "out of memory");
}

/* Adds the setting's value to params. *owned gets memory that params points to; the caller frees
 * it. */
static enum ctl_exit add_value(const struct ctl *ctl, const struct setting *s, struct pg_params *params, char **owned) {
  const char *text = ctl_get(ctl, s->option);
  int64_t value = 0;
  enum ctl_exit rc = CTL_OK;
  switch (s->kind) {
  case TEXT:
    pg_text(params, *text || (strcmp(s->option, "kek-id") && strcmp(s->option, "foreign-caller")) ? text : NULL);
    if (!strncmp(s->option, "expiry-", 7) && strcmp(text, "strict") && strcmp(text, "grace") &&
        strcmp(text, "allocate")) {
      rc = ctl_fail(ctl, CTL_USAGE, "--%s: \"%s\" is not one of strict, grace, allocate", s->option, text);
    }
    if (!strcmp(s->option, "at-rest") && strcmp(text, "sealed") && strcmp(text, "plain")) {
      rc = ctl_fail(ctl, CTL_USAGE, "--at-rest: \"%s\" is not one of sealed, plain", text);
    }
    break;
  case NUMBER:
    rc = ctl_get_int(ctl, s->option, 0, strcmp(s->cast, "bigint") ? INT32_MAX : INT64_MAX, &value);
    pg_int(params, value);
    break;
  case DURATION:
    rc = ctl_get_duration(ctl, s->option, 0, 31536000, &value);
    pg_int(params, value);
    break;
  case YESNO:
    if (strcmp(text, "yes") && strcmp(text, "no")) {
      rc = ctl_fail(ctl, CTL_USAGE, "--%s: \"%s\" is not yes or no", s->option, text);
    }
    pg_text(params, text);
    break;
  case WORDS:
  case REPEATED:
    rc = array_literal(ctl, s, owned);
    pg_text(params, *owned);
    break;
  }
  return rc;
}

static enum ctl_exit print_realm(struct ctl *ctl, const char *name) {
  struct pg_params p = {0};
  json_t *row = NULL;
  pg_text(&p, name);
  enum ctl_exit rc = ctl_row(ctl, "SELECT " REALM_COLUMNS " FROM turncred.realm WHERE name = $1", &p, &row);
  if (!rc && !row) {
    rc = ctl_need_realm(ctl, name);
  }
  return rc ? rc : ctl_print_record(ctl, row, record_columns);
}

/* Adds the realm that operand 0 names (fresh), or changes the settings that options name. */
static enum ctl_exit write_realm(struct ctl *ctl, bool fresh) {
  struct pg_params p = {0};
  char *owned[SETTINGS] = {0}, sql[4096], names[1536] = "", values[1536] = "";
  const char *name = ctl_operand(ctl, 0);
  size_t n = 0, v = 0;
  enum ctl_exit rc = CTL_OK;
  int64_t rows = 0;
  pg_text(&p, name);
  for (size_t i = 0; !rc && i < SETTINGS; i++) {
    const struct setting *s = &settings[i];
    if (ctl_has(ctl, s->option)) {
      rc = add_value(ctl, s, &p, &owned[i]);
    } else if (fresh && !strcmp(s->option, "server-name")) {
      pg_text(&p, name);
    } else {
      continue;
    }
    if (fresh) {
      n += (size_t)snprintf(names + n, sizeof names - n, ", %s", s->column);
      v += (size_t)snprintf(values + v, sizeof values - v, ", $%d::%s", p.count, s->cast);
    } else {
      n += (size_t)snprintf(names + n, sizeof names - n, "%s%s = $%d::%s", n ? ", " : "", s->column, p.count, s->cast);
    }
  }
  if (!rc && !fresh && !n) {
    rc = ctl_fail(ctl, CTL_USAGE, "nothing to set; see turncredctl realm set --help");
  }
  if (fresh) {
    snprintf(sql, sizeof sql, "INSERT INTO turncred.realm (name%s) VALUES ($1%s)", names, values);
  } else {
    snprintf(sql, sizeof sql, "UPDATE turncred.realm SET %s WHERE name = $1", names);
  }
  if (!rc) {
    rc = ctl_run(ctl, sql, &p, &rows);
  }
  if (!rc && !rows) {
    rc = ctl_need_realm(ctl, name);
  }
  for (size_t i = 0; i < SETTINGS; i++) {
    free(owned[i]);
  }
  return rc ? rc : print_realm(ctl, name);
}

enum ctl_exit cmd_realm_add(struct ctl *ctl) { return write_realm(ctl, true); }
enum ctl_exit cmd_realm_set(struct ctl *ctl) { return write_realm(ctl, false); }
enum ctl_exit cmd_realm_show(struct ctl *ctl) { return print_realm(ctl, ctl_operand(ctl, 0)); }

enum ctl_exit cmd_realm_list(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"name", "REALM", CTL_TEXT},
      {"server_name", "SERVER NAME", CTL_TEXT},
      {"mechanisms", "MECHANISMS", CTL_TEXT},
      {"max_ttl", "MAX TTL", CTL_SECONDS},
      {"at_rest", "AT REST", CTL_TEXT},
      {"keys", "KEYS", CTL_TEXT},
      {NULL, NULL, CTL_TEXT},
  };
  json_t *list = NULL;
  enum ctl_exit rc = ctl_rows(ctl,
                              "SELECT " REALM_COLUMNS ", (SELECT count(*) FROM turncred.key_list k WHERE "
                              "k.realm = r.name AND k.use <> 'tag') AS keys FROM turncred.realm r ORDER BY name",
                              NULL, &list);
  return rc ? rc : ctl_print_list(ctl, list, columns);
}

enum ctl_exit cmd_realm_remove(struct ctl *ctl) {
  static const struct ctl_column columns[] = {{"removed", "removed", CTL_TEXT},
                                              {"in_force", "in force everywhere", CTL_TEXT},
                                              {"late", "late", CTL_TEXT},
                                              {NULL, NULL, CTL_TEXT}};
  const char *name = ctl_operand(ctl, 0);
  struct pg_params p = {0};
  char *held = NULL;
  pg_text(&p, name);
  enum ctl_exit rc = ctl_begin(ctl);
  if (!rc) {
    rc = ctl_need_realm(ctl, name);
  }
  if (!rc) {
    rc = ctl_value(ctl,
                   "SELECT k.n || ' keys and ' || c.n || ' credentials' FROM (SELECT count(*) n FROM "
                   "turncred.key WHERE realm = $1 AND use <> 'tag') k, (SELECT count(*) n FROM "
                   "turncred.credential "
                   "WHERE realm = $1) c WHERE k.n + c.n > 0",
                   &p, &held);
  }
  if (!rc && held && !ctl_has(ctl, "with-contents")) {
    rc =
        ctl_fail(ctl, CTL_REFUSED, "realm \"%s\" still has %s; remove them first, or give --with-contents", name, held);
  }
  if (!rc) {
    rc = ctl_run(ctl, "DELETE FROM turncred.realm WHERE name = $1", &p, NULL);
  }
  free(held);
  return ctl_finish_change(ctl, rc, json_pack("{s:s}", "removed", name), columns);
}
