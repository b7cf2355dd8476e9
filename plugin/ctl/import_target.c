/*
 * import_target.c - where a row of coturn's goes: the report, the realm, how it is stored
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "import.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void import_note(struct import *im, const char *kind, const char *realm, const char *name, const char *action,
                 const char *format, ...) {
  char reason[512];
  va_list args;
  va_start(args, format);
  vsnprintf(reason, sizeof reason, format, args);
  va_end(args);
  im->skipped += !strcmp(action, "skip");
  json_array_append_new(im->report, json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", kind, "realm", realm, "name", name,
                                              "action", action, "reason", reason));
}

enum ctl_exit import_query(struct ctl *ctl, struct import *im, const char *sql, PGresult **out) {
  *out = pg_query(&im->source, sql, NULL);
  return *out ? CTL_OK : ctl_fail(ctl, CTL_DATABASE, "the coturn database: %s", im->source.text);
}

json_t *import_target(struct import *im, const char *kind, const char **realm, const char *name) {
  if (!**realm) {
    *realm = im->default_realm;
  }
  if (!*realm) {
    import_note(im, kind, "", name, "skip",
                "the row belongs to the server's default realm: name that realm with "
                "--default-realm");
    return NULL;
  }
  json_t *found = json_object_get(im->realms, *realm);
  if (!found) {
    import_note(im, kind, *realm, name, "skip",
                "the realm does not exist here: turncredctl realm add, or --add-realms");
  }
  return found;
}

bool import_can_store(struct import *im, const char *kind, const char *realm, const char *name, const json_t *entry,
                      const char **id) {
  bool plain = !strcmp(json_string_value(json_object_get(entry, "at_rest")), "plain");
  const char *wanted = json_string_value(json_object_get(entry, "kek_id"));
  *id = im->ring ? wanted ? wanted : kek_ring_default(im->ring) : NULL;
  if (*id && kek_ring_find(im->ring, *id)) {
    return true;
  }
  if (plain && !im->ring) {
    return true;
  }
  import_note(im, kind, realm, name, "skip", "no key encryption key can seal the row: %s",
              im->ring ? "--kek lacks the realm's key, or holds several keys" : "give --kek");
  return false;
}

/* Puts a realm into im->realms; takes over mechanisms. */
static void remember_realm(struct import *im, const char *name, const char *at_rest, const char *kek_id,
                           json_t *mechanisms) {
  json_object_set_new(im->realms, name,
                      json_pack("{s:s, s:s?, s:o}", "at_rest", at_rest, "kek_id", kek_id, "mechanisms", mechanisms));
}

enum ctl_exit import_load_realms(struct ctl *ctl, struct import *im) {
  json_t *rows = NULL, *row;
  size_t i;
  enum ctl_exit rc = ctl_rows(ctl, "SELECT name, at_rest, kek_id, mechanisms FROM turncred.realm", NULL, &rows);
  json_array_foreach(rows, i, row) {
    remember_realm(im, json_string_value(json_object_get(row, "name")),
                   json_string_value(json_object_get(row, "at_rest")),
                   json_string_value(json_object_get(row, "kek_id")), json_incref(json_object_get(row, "mechanisms")));
  }
  json_decref(rows);
  return rc;
}

enum ctl_exit import_add_realms(struct ctl *ctl, struct import *im) {
  static const char sql[] =
      "SELECT realm, array_to_string(array_agg(DISTINCT m), ',') FROM (SELECT trim(realm) AS "
      "realm, "
      "'pushed' AS m FROM turnusers_lt UNION ALL SELECT trim(realm), 'rest' FROM turn_secret UNION "
      "ALL SELECT trim(coalesce(realm, '')), 'token' FROM oauth_key) x GROUP BY realm ORDER BY "
      "realm";
  PGresult *r = NULL;
  enum ctl_exit rc = import_query(ctl, im, sql, &r);
  for (int i = 0; !rc && i < PQntuples(r); i++) {
    const char *realm = PQgetvalue(r, i, 0), *list = PQgetvalue(r, i, 1);
    char array[128];
    struct pg_params p = {0};
    if (!*realm) {
      realm = im->default_realm;
    }
    if (!realm || json_object_get(im->realms, realm)) {
      continue;
    }
    snprintf(array, sizeof array, "{%s}", list);
    pg_text(&p, realm);
    pg_text(&p, array);
    if (im->apply) {
      rc = ctl_run(ctl,
                   "INSERT INTO turncred.realm (name, server_name, mechanisms) VALUES ($1, $1, "
                   "$2::text[])",
                   &p, NULL);
    }
    json_t *mechanisms = json_array();
    for (const char *m = list; *m; m += *m == ',') {
      size_t len = strcspn(m, ",");
      json_array_append_new(mechanisms, json_stringn(m, len));
      m += len;
    }
    remember_realm(im, realm, "sealed", NULL, mechanisms);
    import_note(im, "realm", realm, realm, "add", "offers %s", list);
  }
  PQclear(r);
  return rc;
}

void import_need_mechanism(struct import *im, const char *kind, const char *realm, const json_t *entry,
                           const char *mechanism) {
  size_t i;
  json_t *one;
  json_array_foreach(json_object_get(entry, "mechanisms"), i, one) {
    if (!strcmp(json_string_value(one), mechanism)) {
      return;
    }
  }
  import_note(im, kind, realm, "", "note",
              "the realm does not offer %s yet: turncredctl realm set %s --mechanisms ...,%s", mechanism, realm,
              mechanism);
  json_array_append_new(json_object_get(entry, "mechanisms"), json_string(mechanism));
}
