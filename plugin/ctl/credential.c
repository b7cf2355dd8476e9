/*
 * credential.c - turncredctl credential push, list and remove: credentials that TURN servers look
 * up
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/secret.h"
#include "change.h"
#include "issuing/mint.h"
#include "keyring.h"
#include "values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPIRY SQL_SECONDS("expiry")
#define PUSHED_AT SQL_SECONDS("pushed_at")

static const struct ctl_column push_columns[] = {
    {"username", "username", CTL_TEXT},
    {"user_id", "user", CTL_TEXT},
    {"password", "password", CTL_TEXT},
    {"realm", "realm", CTL_TEXT},
    {"expires_at", "expires at", CTL_TIME},
    {"client_address", "client address", CTL_TEXT},
    {"max_bps", "max bps", CTL_TEXT},
    {"max_allocations", "max allocations", CTL_TEXT},
    {"in_force", "in force everywhere", CTL_TEXT},
    {"late", "late", CTL_TEXT},
    {NULL, NULL, CTL_TEXT},
};

/* The first line of --password-file, or 256 random bits in base64url. */
static enum ctl_exit read_password(const struct ctl *ctl, char password[MINT_PASSWORD_MAX + 1]) {
  const char *file = ctl_get(ctl, "password-file");
  char text[512];
  if (file) {
    if (secret_read_line(file, "--password-file", password, MINT_PASSWORD_MAX + 1, text, sizeof text)) {
      return ctl_fail(ctl, CTL_USAGE, "%s", text);
    }
    return strlen(password) >= MINT_PASSWORD_MIN
               ? CTL_OK
               : ctl_fail(ctl, CTL_REFUSED,
                          "--password-file: %zu octets are too few; use at least %d random "
                          "characters, or leave the option out to get a random password",
                          strlen(password), MINT_PASSWORD_MIN);
  }
  return mint_secret(password) ? ctl_fail(ctl, CTL_INTERNAL, "the random number generator failed") : CTL_OK;
}

/* The end of the credential in UTC seconds, 0 for none. realm: the row of turncred.realm. */
static enum ctl_exit read_expiry(struct ctl *ctl, const json_t *realm, int64_t *expiry) {
  int64_t now = time(NULL), ttl = json_integer_value(json_object_get(realm, "default_ttl"));
  int64_t max = json_integer_value(json_object_get(realm, "max_ttl"));
  if (ctl_has(ctl, "lifetime") + ctl_has(ctl, "expiry") + ctl_has(ctl, "no-expiry") > 1) {
    return ctl_fail(ctl, CTL_USAGE, "give one of --lifetime, --expiry and --no-expiry");
  }
  if (ctl_has(ctl, "no-expiry")) {
    *expiry = 0;
    return CTL_OK;
  }
  enum ctl_exit rc = ctl_get_duration(ctl, "lifetime", 1, max, &ttl);
  *expiry = now + ttl;
  if (!rc) {
    rc = ctl_get_time(ctl, "expiry", now, expiry);
  }
  if (!rc && (*expiry <= now || *expiry > now + max)) {
    rc = ctl_fail(ctl, CTL_REFUSED,
                  "--expiry: the time must lie in the future, at most the realm's max ttl of %lld s ahead",
                  (long long)max);
  }
  return rc;
}

/* --client-address in its one spelling, since the sealed row is bound to that text; "": none. The caller frees *out. */
static enum ctl_exit client_address(struct ctl *ctl, char **out) {
  char address[IP_TEXT];
  enum ctl_exit rc = ctl_get_address(ctl, "client-address", address);
  *out = rc ? NULL : strdup(address);
  return rc || *out ? rc : ctl_fail(ctl, CTL_INTERNAL, "out of memory");
}

/* Stores the long-term keys of the password, sealed under kek, or plain where kek is NULL. *xid
 * gets the transaction, which the caller frees. */
static enum ctl_exit push(struct ctl *ctl, const uint8_t *kek, const struct turncred_credential_row *row,
                          const struct ctl_limits *limits, const char *password, char **xid) {
  uint8_t octets[TURNCRED_CREDENTIAL_SEALED];
  struct pg_params p = {0};
  enum turncred_err err = mint_pushed(NULL, kek, row, password, octets);
  if (err) {
    return ctl_core_error(ctl, "credential", err);
  }
  pg_text(&p, row->realm);
  pg_text(&p, row->username);
  if (kek) {
    pg_octets(&p, octets, TURNCRED_CREDENTIAL_SEALED);
    pg_text(&p, row->kek_id);
  } else {
    pg_octets(&p, octets, TURNCRED_LONG_TERM_MD5);
    pg_octets(&p, octets + TURNCRED_LONG_TERM_MD5, TURNCRED_LONG_TERM_SHA256);
  }
  pg_time(&p, row->expiry);
  pg_text(&p, row->client_address);
  pg_text(&p, row->user_id);
  pg_int(&p, limits->max_bps);
  pg_int(&p, limits->max_allocations);
  enum ctl_exit rc = ctl_value(ctl,
                               kek ? "SELECT turncred.credential_push_limited($1, $7, $2, $3, $4, NULL, NULL, "
                                     "to_timestamp($5::bigint), $6, $8::bigint, $9::integer)"
                                   : "SELECT turncred.credential_push_limited($1, $7, $2, NULL, NULL, $3, $4, "
                                     "to_timestamp($5::bigint), $6, $8::bigint, $9::integer)",
                               &p, xid);
  turncred_cleanse(octets, sizeof octets);
  return rc;
}

/* What the realm says of pushed credentials, in *policy, which the caller releases. Refuses a realm that does not offer
 * them, and a username that coturn would refuse. */
static enum ctl_exit read_policy(struct ctl *ctl, const char *realm, const char *username, json_t **policy) {
  struct pg_params p = {0};
  pg_text(&p, realm);
  enum ctl_exit rc = ctl_row(ctl,
                             "SELECT at_rest, kek_id, max_ttl, default_ttl, 'pushed' = ANY (mechanisms) AS "
                             "offered FROM turncred.realm WHERE name = $1",
                             &p, policy);
  if (!rc && !*policy) {
    rc = ctl_need_realm(ctl, realm);
  }
  if (!rc && !json_is_true(json_object_get(*policy, "offered"))) {
    rc = ctl_fail(ctl, CTL_REFUSED,
                  "realm \"%s\" does not offer the mechanism pushed, so its servers would refuse "
                  "the credential; change it with turncredctl realm set --mechanisms",
                  realm);
  }
  return rc ? rc : ctl_check_user(ctl, "USERNAME", username, TURNCRED_USERNAME_MAX, true);
}

enum ctl_exit cmd_credential_push(struct ctl *ctl) {
  const char *realm = ctl_operand(ctl, 0), *username = ctl_operand(ctl, 1), *kek_id = NULL;
  struct kek_ring *ring = NULL;
  json_t *policy = NULL;
  char password[MINT_PASSWORD_MAX + 1] = "", *address = NULL, *xid = NULL;
  int64_t expiry = 0;
  enum ctl_exit rc = read_policy(ctl, realm, username, &policy);
  if (!rc) {
    rc = read_expiry(ctl, policy, &expiry);
  }
  struct ctl_limits limits = {0};
  if (!rc) {
    rc = ctl_get_limits(ctl, &limits);
  }
  if (!rc) {
    rc = client_address(ctl, &address);
  }
  if (!rc) {
    rc = read_password(ctl, password);
  }
  if (!rc) {
    rc = strcmp(json_string_value(json_object_get(policy, "at_rest")), "plain") ? keyring_load(ctl, &ring)
                                                                                : keyring_load_optional(ctl, &ring);
  }
  if (!rc && ring) {
    rc = keyring_choose(ctl, ring, ctl_get(ctl, "kek-id"), json_string_value(json_object_get(policy, "kek_id")),
                        &kek_id);
  }
  const char *user = ctl_get(ctl, "user");
  if (!rc && user) {
    rc = ctl_check_user(ctl, "--user", user, TURNCRED_USERNAME_MAX, true);
  }
  if (!rc && user && strcmp(user, username)) {
    rc = ctl_refuse_too_new(ctl, 7, "a credential with a user id of its own", "{server}");
  }
  if (!rc) {
    struct turncred_credential_row row = {kek_id, realm,   username,
                                          expiry, address, user && strcmp(user, username) ? user : NULL};
    rc = push(ctl, ring ? kek_ring_find(ring, kek_id) : NULL, &row, &limits, password, &xid);
  }
  if (!rc) {
    json_t *record = json_pack("{s:s, s:s, s:s, s:I, s:s, s:I, s:I}", "username", username, "user_id",
                               ctl_has(ctl, "user") ? ctl_get(ctl, "user") : username, "realm", realm, "expires_at",
                               (json_int_t)expiry, "client_address", address, "max_bps", (json_int_t)limits.max_bps,
                               "max_allocations", (json_int_t)limits.max_allocations);
    /* a password from a file is not printed */
    if (!ctl_has(ctl, "password-file")) {
      json_object_set_new(record, "password", json_string(password));
    }
    rc = ctl_print_when_in_force(ctl, xid, record, push_columns);
  }
  turncred_cleanse(password, sizeof password);
  kek_ring_free(ring);
  json_decref(policy);
  free(address);
  free(xid);
  return rc;
}

enum ctl_exit cmd_credential_list(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"realm", "REALM", CTL_TEXT},
      {"username", "USERNAME", CTL_TEXT},
      {"user_id", "USER", CTL_TEXT},
      {"expires_at", "EXPIRES AT", CTL_TIME},
      {"client_address", "CLIENT ADDRESS", CTL_TEXT},
      {"pushed_at", "PUSHED AT", CTL_TIME},
      {"is_sealed", "SEALED", CTL_TEXT},
      {"max_bps", "MAX BPS", CTL_TEXT},
      {"max_allocations", "MAX ALLOCATIONS", CTL_TEXT},
      {NULL, NULL, CTL_TEXT},
  };
  struct pg_params p = {0};
  json_t *list = NULL;
  int64_t limit = 1000;
  enum ctl_exit rc = ctl_get_int(ctl, "limit", 1, 100000000, &limit);
  pg_text(&p, ctl_operand(ctl, 0));
  pg_text(&p, ctl_get(ctl, "user"));
  pg_int(&p, limit + 1);
  if (!rc && ctl_operand(ctl, 0)) {
    rc = ctl_need_realm(ctl, ctl_operand(ctl, 0));
  }
  if (!rc) {
    rc = ctl_rows(
        ctl,
        "SELECT realm, username, user_id, " EXPIRY " AS expires_at, "
        "client_address, " PUSHED_AT " AS pushed_at, is_sealed, "
        "kek_id, max_bps, max_allocations FROM turncred.credential_list WHERE ($1::text IS NULL OR realm = $1) AND "
        "($2::text IS NULL OR user_id = $2) ORDER BY realm, username LIMIT $3::bigint",
        &p, &list);
  }
  if (!rc && (int64_t)json_array_size(list) > limit) {
    json_array_remove(list, (size_t)limit);
    ctl_note(ctl, "there are more than these %lld; --limit shows more", (long long)limit);
  }
  return rc ? rc : ctl_print_list(ctl, list, columns);
}

enum ctl_exit cmd_credential_remove(struct ctl *ctl) {
  static const struct ctl_column columns[] = {{"removed", "removed", CTL_TEXT},
                                              {"realm", "realm", CTL_TEXT},
                                              {"in_force", "in force everywhere", CTL_TEXT},
                                              {"late", "late", CTL_TEXT},
                                              {NULL, NULL, CTL_TEXT}};
  const char *realm = ctl_operand(ctl, 0), *username = ctl_operand(ctl, 1);
  struct pg_params p = {0};
  char *removed = NULL;
  pg_text(&p, realm);
  pg_text(&p, username);
  enum ctl_exit rc = ctl_begin(ctl);
  if (!rc) {
    rc = ctl_need_realm(ctl, realm);
  }
  if (!rc) {
    rc = ctl_value(ctl, "SELECT turncred.credential_remove($1, $2)", &p, &removed);
  }
  if (!rc && *removed != 't') {
    rc = ctl_fail(ctl, CTL_REFUSED, "realm \"%s\" has no pushed credential of \"%s\"", realm, username);
  }
  free(removed);
  return ctl_finish_change(ctl, rc, json_pack("{s:s, s:s}", "removed", username, "realm", realm), columns);
}
