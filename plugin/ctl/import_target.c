/*
 * import_target.c - where a row of coturn's goes: the realm, and how it is stored
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/utf8.h"
#include "import.h"

#include <stdio.h>
#include <string.h>

json_t *import_target(struct import *im, struct import_row *row) {
  if (!*row->realm && im->default_realm) {
    row->realm = im->default_realm;
  }
  if (im->only_used && row->use == IMPORT_UNUSED) {
    import_note(im, row, "skip", "coturn does not take it, as turnserver.conf has it");
    return NULL;
  }
  if (!*row->realm) {
    import_note(im, row, "skip", "the row belongs to the server's default realm: name that realm with --default-realm");
    return NULL;
  }
  json_t *found = json_object_get(im->realms, row->realm);
  if (!found && !utf8_is(row->realm, strlen(row->realm))) {
    import_note(
        im, row, "skip",
        "the realm's name is not UTF-8, which RFC 8489 demands, and no realm here can have it: give the realm another "
        "name (coturn goes on to decide about it until auth-module-only)");
  } else if (!found) {
    import_note(im, row, "skip",
                "the realm does not exist here: turncredctl realm add%s (coturn goes on to decide about it until "
                "auth-module-only)",
                im->add_realms ? "" : ", or --add-realms");
  }
  return found;
}

bool import_can_store(struct import *im, const struct import_row *row, const json_t *entry, const char **id) {
  bool plain = !strcmp(json_string_value(json_object_get(entry, "at_rest")), "plain");
  const char *wanted = json_string_value(json_object_get(entry, "kek_id"));
  *id = im->ring ? wanted ? wanted : kek_ring_default(im->ring) : NULL;
  if (*id && kek_ring_find(im->ring, *id)) {
    return true;
  }
  if (plain && !im->ring) {
    return true;
  }
  import_note(im, row, "skip", "no key encryption key can seal the row: %s",
              im->ring ? "--kek lacks the realm's key, or holds several keys" : "give --kek");
  return false;
}

enum ctl_exit import_load_realms(struct ctl *ctl, struct import *im) {
  json_t *rows = NULL, *row;
  size_t i;
  json_object_clear(im->realms);
  enum ctl_exit rc =
      ctl_rows(ctl,
               "SELECT name, at_rest, kek_id, mechanisms, server_name, guest_kids, origins, denied_peers, user_quota, "
               "total_quota, max_bps, max_ttl FROM turncred.realm",
               NULL, &rows);
  json_array_foreach(rows, i, row) {
    json_object_set(im->realms, json_string_value(json_object_get(row, "name")), row);
  }
  json_decref(rows);
  return rc;
}

static enum ctl_exit add_served(struct ctl *ctl, struct import *im, const char *const *row, int64_t n) {
  (void)ctl, (void)n;
  if (*row[0]) {
    json_object_set_new(im->served, row[0], json_true());
  }
  return CTL_OK;
}

enum ctl_exit import_load_served(struct ctl *ctl, struct import *im) {
  if (im->default_realm) {
    json_object_set_new(im->served, im->default_realm, json_true());
  }
  return im->conf.no_dynamic_realms ? CTL_OK : source_realms(ctl, im, SOURCE_ORIGINS, add_served);
}

/* --- realms that only coturn has --- */

/* Collects what the rows of a realm need, in im->needs. */
static void need(json_t *needs, const struct import *im, const char *realm, const char *mechanism,
                 enum import_use use) {
  realm = *realm ? realm : im->default_realm;
  if (!realm || (im->only_used && use == IMPORT_UNUSED)) {
    return;
  }
  json_t *one = json_object_get(needs, realm);
  if (!one) {
    one = json_object();
    if (json_object_set_new(needs, realm, one)) {
      return; /* the name is not UTF-8: its rows are reported */
    }
  }
  json_object_set_new(one, mechanism, json_true());
}

static enum ctl_exit need_pushed(struct ctl *ctl, struct import *im, const char *const *row, int64_t n) {
  (void)ctl, (void)n;
  need(im->needs, im, row[0], "pushed", import_row_use(im, import_user_use(im), row[0]));
  return CTL_OK;
}
static enum ctl_exit need_rest(struct ctl *ctl, struct import *im, const char *const *row, int64_t n) {
  (void)ctl, (void)n;
  need(im->needs, im, row[0], "rest", import_row_use(im, import_secret_use(im), row[0]));
  return CTL_OK;
}
static enum ctl_exit need_token(struct ctl *ctl, struct import *im, const char *const *row, int64_t n) {
  (void)ctl, (void)n;
  need(im->needs, im, row[0], "token", import_token_use(im));
  return CTL_OK;
}

/* What the lines of turnserver.conf need: its secrets are for every realm that coturn serves. */
static void need_of_conf(struct import *im) {
  const char *realm;
  json_t *ignored;
  for (size_t i = 0; i < im->conf.count; i++) {
    if (!im->conf.lines[i].secret) {
      need(im->needs, im, "", "pushed", import_user_use(im));
      continue;
    }
    json_object_foreach(im->served, realm, ignored) { need(im->needs, im, realm, "rest", import_secret_use(im)); }
  }
}

/* Adds one realm, which offers the members of mechanisms. */
static enum ctl_exit add_realm(struct ctl *ctl, struct import *im, const char *realm, const json_t *mechanisms) {
  static const char *const order[] = {"token", "pushed", "rest"};
  const struct import_row row = {"realm", realm, realm, IMPORT_USED};
  struct import_attempt attempt;
  struct pg_params p = {0};
  char list[32] = "";
  bool refused = false;
  for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
    size_t len = strlen(list);
    if (json_object_get(mechanisms, order[i])) {
      snprintf(list + len, sizeof list - len, "%s%s", len ? "," : "", order[i]);
    }
  }
  pg_text(&p, realm);
  pg_text(&p, list);
  pg_text(&p, *im->conf.server_name ? im->conf.server_name : realm);
  enum ctl_exit rc = import_attempt(ctl, &attempt);
  if (!rc) {
    rc = ctl_run(ctl,
                 "INSERT INTO turncred.realm (name, server_name, mechanisms) VALUES ($1, $3, string_to_array($2, ','))",
                 &p, NULL);
    rc = import_attempted(ctl, &attempt, rc, &refused);
  }
  if (!rc) {
    import_note(im, &row, refused ? "skip" : "add", refused ? "%s" : "offers %s", refused ? attempt.said.text : list);
  }
  return rc;
}

enum ctl_exit import_add_realms(struct ctl *ctl, struct import *im) {
  const char *realm;
  json_t *mechanisms;
  enum ctl_exit rc = source_realms(ctl, im, SOURCE_USERS, need_pushed);
  if (!rc) {
    rc = source_realms(ctl, im, SOURCE_SECRETS, need_rest);
  }
  if (!rc) {
    rc = source_realms(ctl, im, SOURCE_OAUTH, need_token);
  }
  need_of_conf(im);
  json_object_foreach(im->needs, realm, mechanisms) {
    if (!rc && !json_object_get(im->realms, realm)) {
      rc = add_realm(ctl, im, realm, mechanisms);
    }
  }
  return rc ? rc : import_load_realms(ctl, im);
}

void import_need_mechanism(struct import *im, const struct import_row *row, json_t *entry, const char *mechanism) {
  json_t *offered = json_object_get(entry, "mechanisms"), *one;
  size_t i;
  char list[64] = "";
  json_array_foreach(offered, i, one) {
    size_t len = strlen(list);
    snprintf(list + len, sizeof list - len, "%s,", json_string_value(one));
    if (!strcmp(json_string_value(one), mechanism)) {
      return;
    }
  }
  const struct import_row realm = {"realm", row->realm, "mechanisms", row->use};
  if (row->use == IMPORT_UNUSED) {
    return;
  }
  import_warn(im, &realm, "the realm does not offer %s yet: turncredctl realm set %s --mechanisms %s%s", mechanism,
              row->realm, list, mechanism);
  json_array_append_new(offered, json_string(mechanism));
}
