/*
 * revocation.c - turncredctl revoke, unrevoke and revocation list
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "change.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REVOKED_AT SQL_SECONDS("revoked_at")
#define UNTIL SQL_SECONDS("until")
#define LIFTED_AT SQL_SECONDS("lifted_at")

static const struct ctl_column columns[] = {
    {"kind", "kind", CTL_TEXT},
    {"realm", "realm", CTL_TEXT},
    {"name", "name", CTL_TEXT},
    {"tokens", "tokens revoked with it", CTL_TEXT},
    {"in_force", "in force everywhere", CTL_TEXT},
    {"late", "late", CTL_TEXT},
    {NULL, NULL, CTL_TEXT},
};

/* Adds KIND, REALM and NAME to params; a realm is revoked without NAME, anything else by its NAME.
 */
static enum ctl_exit add_operands(const struct ctl *ctl, struct pg_params *p) {
  const char *kind = ctl_operand(ctl, 0), *name = ctl_operand(ctl, 2);
  if (strcmp(kind, "user") && strcmp(kind, "token") && strcmp(kind, "kid") && strcmp(kind, "realm")) {
    return ctl_fail(ctl, CTL_USAGE, "KIND: \"%s\" is not one of user, token, kid, realm", kind);
  }
  if (!strcmp(kind, "realm") ? name != NULL : !name) {
    return ctl_fail(ctl, CTL_USAGE, "NAME: %s",
                    name ? "KIND realm takes no NAME: it revokes the whole realm"
                         : "missing: give a user id, a token's fingerprint or a kid");
  }
  pg_text(p, kind);
  pg_text(p, ctl_operand(ctl, 1));
  pg_text(p, name ? name : "");
  return CTL_OK;
}

/* What KIND, REALM and NAME revoke, for the answer. tokens: how many of the user's; -1: not said.
 */
static json_t *revocation_json(const struct ctl *ctl, int64_t tokens) {
  const char *name = ctl_operand(ctl, 2);
  json_t *record =
      json_pack("{s:s, s:s, s:s}", "kind", ctl_operand(ctl, 0), "realm", ctl_operand(ctl, 1), "name", name ? name : "");
  if (tokens >= 0) {
    json_object_set_new(record, "tokens", json_integer(tokens));
  }
  return record;
}

/* Notes that a failover right now could lose the revocation, if a standby server replicates
 * asynchronously. */
static enum ctl_exit warn_asynchronous(struct ctl *ctl) {
  char *standbys = NULL;
  enum ctl_exit rc = ctl_value(ctl,
                               "SELECT count(*) FROM pg_stat_replication WHERE "
                               "current_setting('synchronous_standby_names') = '' HAVING count(*) > 0",
                               NULL, &standbys);
  if (!rc && standbys) {
    ctl_note(ctl,
             "%s standby servers replicate asynchronously: a failover right now could lose this "
             "revocation; set synchronous_standby_names",
             standbys);
  }
  free(standbys);
  return rc;
}

enum ctl_exit cmd_revoke(struct ctl *ctl) {
  struct pg_params p = {0}, count = {0};
  char *xid = NULL, *tokens = NULL;
  int64_t now = time(NULL), until = 0;
  enum ctl_exit rc = add_operands(ctl, &p);
  if (!rc) {
    rc = ctl_get_end(ctl, "until", now, &until);
  }
  if (!rc && until && until <= now) {
    rc = ctl_fail(ctl, CTL_REFUSED, "--until: the time is over, so nothing would be revoked");
  }
  pg_text(&p, ctl_has(ctl, "reason") ? ctl_get(ctl, "reason") : "");
  pg_time(&p, until);
  if (!rc) {
    rc = ctl_value(ctl, "SELECT turncred.revoke($1, $2, $3, $4, to_timestamp($5::bigint))", &p, &xid);
  }
  pg_text(&count, ctl_operand(ctl, 1));
  pg_text(&count, ctl_operand(ctl, 2));
  if (!rc && !strcmp(ctl_operand(ctl, 0), "user")) {
    rc = ctl_value(ctl,
                   "SELECT count(DISTINCT fingerprint) FROM turncred.issue_log WHERE realm = $1 "
                   "AND subject = $2 AND kind = 'token' AND (expiry IS NULL OR expiry > now())",
                   &count, &tokens);
  }
  if (!rc) {
    rc = warn_asynchronous(ctl);
  }
  if (!rc) {
    rc = ctl_print_when_in_force(ctl, xid, revocation_json(ctl, tokens ? strtoll(tokens, NULL, 10) : 0), columns);
  }
  free(xid);
  free(tokens);
  return rc;
}

enum ctl_exit cmd_unrevoke(struct ctl *ctl) {
  struct pg_params p = {0};
  char *lifted = NULL;
  enum ctl_exit rc = add_operands(ctl, &p);
  if (!rc) {
    rc = ctl_begin(ctl);
  }
  if (!rc) {
    rc = ctl_value(ctl, "SELECT turncred.lift($1, $2, $3)", &p, &lifted);
  }
  if (!rc && *lifted != 't') {
    rc = ctl_fail(ctl, CTL_REFUSED, "no such revocation is in force; turncredctl revocation list shows those that are");
  }
  free(lifted);
  return ctl_finish_change(ctl, rc, revocation_json(ctl, -1), columns);
}

enum ctl_exit cmd_revocation_list(struct ctl *ctl) {
  static const struct ctl_column list_columns[] = {
      {"kind", "KIND", CTL_TEXT},     {"realm", "REALM", CTL_TEXT},
      {"name", "NAME", CTL_TEXT},     {"revoked_at", "REVOKED AT", CTL_TIME},
      {"until", "UNTIL", CTL_TIME},   {"lifted_at", "LIFTED AT", CTL_TIME},
      {"revoked_by", "BY", CTL_TEXT}, {"reason", "REASON", CTL_TEXT},
      {NULL, NULL, CTL_TEXT},
  };
  struct pg_params p = {0};
  json_t *list = NULL;
  pg_text(&p, ctl_operand(ctl, 0));
  pg_text(&p, ctl_has(ctl, "all") ? "t" : "f");
  enum ctl_exit rc =
      ctl_rows(ctl,
               "SELECT kind, realm, name, " REVOKED_AT " AS revoked_at, " UNTIL " AS until, " LIFTED_AT
               " AS lifted_at, revoked_by, reason, lifted_at IS NULL AND (until IS NULL OR until > now()) AS "
               "active FROM turncred.revocation WHERE ($1::text IS NULL OR realm = $1) AND ($2::boolean OR "
               "(lifted_at IS NULL AND (until IS NULL OR until > now()))) ORDER BY revoked_at DESC, realm, "
               "kind, name",
               &p, &list);
  return rc ? rc : ctl_print_list(ctl, list, list_columns);
}
