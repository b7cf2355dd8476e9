/*
 * import_settings.c - quotas and origins of coturn's realms become settings of realms; what else coturn reads is named
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Runs one UPDATE of a realm as a row of its own, and reports it. *written: it was not refused. */
static enum ctl_exit set(struct ctl *ctl, struct import *im, const struct import_row *row, const char *sql,
                         const struct pg_params *p, const char *value, bool *written) {
  struct import_attempt attempt;
  bool refused = false;
  enum ctl_exit rc = import_attempt(ctl, &attempt);
  if (!rc) {
    rc = import_attempted(ctl, &attempt, ctl_run(ctl, sql, p, NULL), &refused);
  }
  if (!rc) {
    import_note(im, row, refused ? "skip" : "set", "%s", refused ? attempt.said.text : value);
  }
  *written = !rc && !refused;
  return rc;
}

/* --- options of realms --- */

struct limit {
  const char *option, *member, *sql;
  int64_t max;
};
static const struct limit limits[] = {
    {"max-bps", "max_bps", "UPDATE turncred.realm SET max_bps = $2::bigint WHERE name = $1", INT64_MAX},
    {"total-quota", "total_quota", "UPDATE turncred.realm SET total_quota = $2::integer WHERE name = $1", INT32_MAX},
    {"user-quota", "user_quota", "UPDATE turncred.realm SET user_quota = $2::integer WHERE name = $1", INT32_MAX},
};

/* What turnserver.conf says, which a 0 in coturn's database lifts. */
static int64_t limit_of_conf(const struct turnserver_conf *conf, const char *option) {
  return !strcmp(option, "max-bps")       ? conf->max_bps
         : !strcmp(option, "total-quota") ? conf->total_quota
                                          : conf->user_quota;
}

/* value: as coturn reads it, the number at its beginning */
static enum ctl_exit import_limit(struct ctl *ctl, struct import *im, const struct import_row *row, json_t *entry,
                                  const struct limit *limit, const char *value) {
  struct pg_params p = {0};
  char *end;
  unsigned long long big = strtoull(value, &end, 10);
  bool is_number = end != value;
  int64_t number = *value == '-' || big > INT64_MAX ? 0 : (int64_t)big; /* as good as no limit */
  int64_t of_conf = limit_of_conf(&im->conf, limit->option);
  if (number > limit->max) {
    import_note(im, row, "skip", "\"%s\" is not from 0 to %lld", value, (long long)limit->max);
    return CTL_OK;
  }
  if (!number && of_conf) {
    import_note(im, row, "skip",
                "\"%s\" lifts the limit %lld of turnserver.conf for this realm; realms here cannot do so", value,
                (long long)of_conf);
    return CTL_OK;
  }
  if (!is_number) {
    const struct import_row dead = {row->kind, row->realm, row->name, IMPORT_UNUSED};
    import_note(im, &dead, "skip", "the value \"%s\" is not a number", value);
    return CTL_OK;
  }
  if (json_integer_value(json_object_get(entry, limit->member)) == number) {
    import_note(im, row, "same", "%lld", (long long)number);
    return CTL_OK;
  }
  char text[24];
  snprintf(text, sizeof text, "%lld", (long long)number);
  pg_text(&p, row->realm);
  pg_int(&p, number);
  bool written;
  enum ctl_exit rc = set(ctl, im, row, limit->sql, &p, text, &written);
  if (written) { /* a row of the realm may follow one of no realm */
    json_object_set_new(entry, limit->member, json_integer(number));
  }
  return rc;
}

/* A row of turn_realm_option: a quota of a realm. */
static enum ctl_exit import_option(struct ctl *ctl, struct import *im, const char *const *values, int64_t n) {
  (void)n;
  bool read = !im->conf.given || !im->conf.no_dynamic_realms;
  struct import_row row = {"option", values[0], values[1], read ? IMPORT_USED : IMPORT_UNUSED};
  const struct limit *limit = NULL;
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    limit = strcmp(limits[i].option, row.name) ? limit : &limits[i];
  }
  if (!limit) {
    row.use = IMPORT_UNUSED;
    import_note(im, &row, "skip", "coturn does not know this option either");
    return CTL_OK;
  }
  json_t *entry = import_target(im, &row);
  return entry ? import_limit(ctl, im, &row, entry, limit, values[2]) : CTL_OK;
}

/* A row of turn_origin_to_realm. */
static enum ctl_exit import_origin(struct ctl *ctl, struct import *im, const char *const *values, int64_t n) {
  (void)n;
  bool read = !im->conf.given || !im->conf.no_dynamic_realms;
  struct import_row row = {"origin", values[0], values[1], read ? IMPORT_USED : IMPORT_UNUSED};
  struct pg_params p = {0};
  size_t i;
  json_t *origin;
  const json_t *entry = import_target(im, &row);
  if (!entry) {
    return CTL_OK;
  }
  json_array_foreach(json_object_get(entry, "origins"), i, origin) {
    if (!strcmp(json_string_value(origin), row.name)) {
      import_note(im, &row, "same", "%s", "");
      return CTL_OK;
    }
  }
  pg_text(&p, row.realm);
  pg_text(&p, row.name);
  bool written;
  return set(ctl, im, &row, "UPDATE turncred.realm SET origins = origins || $2::text WHERE name = $1", &p, "",
             &written);
}

/* --- what is not taken over, and stays coturn's --- */

static enum ctl_exit note_admin(struct ctl *ctl, struct import *im, const char *const *values, int64_t n) {
  (void)ctl, (void)n;
  const struct import_row row = {"admin_user", "", values[0], IMPORT_USED};
  import_note(im, &row, "note", "not taken over: an account of coturn's web interface");
  return CTL_OK;
}

/* What turnserver.conf says about credentials beyond users, secrets and the database. */
static void note_conf(struct import *im) {
  const struct turnserver_conf *conf = &im->conf;
  for (size_t i = 0; i < conf->strange_count; i++) {
    char where[24];
    snprintf(where, sizeof where, "line %u", conf->strange[i].number);
    const struct import_row row = {"turnserver.conf", "", where, IMPORT_UNUSED};
    import_note(im, &row, "note", "coturn passes over it: no version has an option \"%s\"", conf->strange[i].name);
  }
  const struct import_row anybody = {"turnserver.conf", "", "no-auth", IMPORT_USED};
  if (conf->given && turnserver_conf_mode(conf) == TURNSERVER_TAKES_ANYBODY) {
    import_warn(im, &anybody, "%s: coturn lets in everybody without credentials; the module asks everybody for them",
                conf->no_auth ? "no-auth" : "neither lt-cred-mech nor use-auth-secret nor a user");
  }
  const struct import_row web = {"turnserver.conf", "", "web-admin", IMPORT_USED};
  if (conf->web_admin) {
    import_note(im, &web, "note", "users that are added in coturn's web interface come here with the next import");
  }
}

enum ctl_exit import_settings(struct ctl *ctl, struct import *im) {
  enum ctl_exit rc = source_read(ctl, im, SOURCE_OPTIONS, import_option);
  if (!rc) {
    rc = source_read(ctl, im, SOURCE_ORIGINS, import_origin);
  }
  if (!rc) {
    rc = import_peers(ctl, im);
  }
  if (!rc) {
    rc = source_read(ctl, im, SOURCE_ADMINS, note_admin);
  }
  note_conf(im);
  return rc;
}
