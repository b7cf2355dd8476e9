/*
 * key.c - turncredctl key add, list, show, set, disable and remove
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/secret.h"
#include "change.h"
#include "key_file.h"
#include "keyring.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOT_BEFORE SQL_SECONDS("not_before")
#define SIGN_UNTIL SQL_SECONDS("sign_until")
#define ACCEPT_UNTIL SQL_SECONDS("accept_until")
#define CREATED_AT SQL_SECONDS("created_at")

#define KEY_COLUMNS                                                                                                    \
  "realm, kid, use, alg, CASE WHEN use = 'token' THEN derivation END AS derivation, "                                  \
  "CASE WHEN use = 'rest' THEN username_format END AS username_format, separator, state, " NOT_BEFORE                  \
  " AS not_before, " SIGN_UNTIL " AS sign_until, " ACCEPT_UNTIL " AS accept_until, "                                   \
  "allow_zero_iv, subject_tag, imported, tokens_reserved, is_sealed, kek_id, max_bps, "                                \
  "max_allocations, " CREATED_AT " AS created_at"

static const struct ctl_column record_columns[] = {
    {"realm", "realm", CTL_TEXT},
    {"kid", "kid", CTL_TEXT},
    {"use", "use", CTL_TEXT},
    {"alg", "algorithm", CTL_TEXT},
    {"derivation", "derivation", CTL_TEXT},
    {"username_format", "username format", CTL_TEXT},
    {"separator", "separator", CTL_TEXT},
    {"state", "state", CTL_TEXT},
    {"not_before", "not before", CTL_TIME},
    {"sign_until", "sign until", CTL_TIME},
    {"accept_until", "accept until", CTL_TIME},
    {"is_sealed", "sealed", CTL_TEXT},
    {"kek_id", "kek id", CTL_TEXT},
    {"subject_tag", "subject tag", CTL_TEXT},
    {"allow_zero_iv", "allow zero IV", CTL_TEXT},
    {"imported", "imported", CTL_TEXT},
    {"max_bps", "max bps", CTL_TEXT},
    {"max_allocations", "max allocations", CTL_TEXT},
    {"tokens_reserved", "tokens reserved", CTL_TEXT},
    {"created_at", "created at", CTL_TIME},
    {"in_force", "in force everywhere", CTL_TEXT},
    {"late", "late", CTL_TEXT},
    {NULL, NULL, CTL_TEXT},
};

static enum ctl_exit no_such_key(struct ctl *ctl, const char *realm, const char *kid) {
  enum ctl_exit rc = ctl_need_realm(ctl, realm);
  return rc ? rc
            : ctl_fail(ctl, CTL_REFUSED,
                       "realm \"%s\" has no key \"%s\"; turncredctl key list %s lists its "
                       "keys",
                       realm, kid, realm);
}

static enum ctl_exit key_row(struct ctl *ctl, const char *realm, const char *kid, json_t **row) {
  struct pg_params p = {0};
  pg_text(&p, realm);
  pg_text(&p, kid);
  enum ctl_exit rc =
      ctl_row(ctl, "SELECT " KEY_COLUMNS " FROM turncred.key_list WHERE realm = $1 AND kid = $2", &p, row);
  return rc || *row ? rc : no_such_key(ctl, realm, kid);
}

enum ctl_exit cmd_key_show(struct ctl *ctl) {
  json_t *row = NULL;
  enum ctl_exit rc = key_row(ctl, ctl_operand(ctl, 0), ctl_operand(ctl, 1), &row);
  return rc ? rc : ctl_print_record(ctl, row, record_columns);
}

enum ctl_exit cmd_key_list(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"realm", "REALM", CTL_TEXT},
      {"kid", "KID", CTL_TEXT},
      {"use", "USE", CTL_TEXT},
      {"alg", "ALGORITHM", CTL_TEXT},
      {"state", "STATE", CTL_TEXT},
      {"not_before", "NOT BEFORE", CTL_TIME},
      {"sign_until", "SIGN UNTIL", CTL_TIME},
      {"accept_until", "ACCEPT UNTIL", CTL_TIME},
      {NULL, NULL, CTL_TEXT},
  };
  struct pg_params p = {0};
  json_t *list = NULL;
  pg_text(&p, ctl_operand(ctl, 0));
  enum ctl_exit rc = ctl_operand(ctl, 0) ? ctl_need_realm(ctl, ctl_operand(ctl, 0)) : CTL_OK;
  if (!rc) {
    rc = ctl_rows(ctl,
                  "SELECT " KEY_COLUMNS " FROM turncred.key_list WHERE $1::text IS NULL OR realm = "
                  "$1 ORDER BY realm, use, created_at, kid",
                  &p, &list);
  }
  return rc ? rc : ctl_print_list(ctl, list, columns);
}

/* Reads use, alg, derivation, username format, state and flags of the new key from the options. */
static enum ctl_exit read_kind(const struct ctl *ctl, struct stored_key *key) {
  const char *text = ctl_get(ctl, "use");
  key->use = TURNCRED_USE_TOKEN;
  if (text && keyring_use_parse(text, &key->use)) {
    return ctl_fail(ctl, CTL_USAGE, "--use: \"%s\" is not one of token, derived, rest", text);
  }
  key->alg = key->use == TURNCRED_USE_TOKEN  ? TURNCRED_A256GCM
             : key->use == TURNCRED_USE_REST ? TURNCRED_HMAC_SHA1
                                             : TURNCRED_HMAC_SHA256;
  text = ctl_get(ctl, "alg");
  if (text && turncred_alg_parse(text, &key->alg)) {
    return ctl_fail(ctl, CTL_USAGE,
                    "--alg: \"%s\" is not one of A256GCM, A128GCM, A256CBC-HS512 (token), sha256 "
                    "(derived), sha1, sha256, sha384, sha512 (rest)",
                    text);
  }
  text = ctl_get(ctl, "derivation");
  if (text && turncred_derivation_parse(text, &key->derivation)) {
    return ctl_fail(ctl, CTL_USAGE, "--derivation: \"%s\" is not one of none, hkdf-sha256", text);
  }
  enum ctl_exit rc = key_file_form(ctl, key->use, &key->form);
  if (rc) {
    return rc;
  }
  if (key->use != TURNCRED_USE_REST && !turncred_key_length(key->use, key->alg, key->derivation)) {
    return ctl_fail(ctl, CTL_USAGE, "--use %s does not go with --alg %s and --derivation %s",
                    turncred_use_name(key->use), turncred_alg_name(key->alg),
                    turncred_derivation_name(key->derivation));
  }
  text = ctl_get(ctl, "state");
  if (text && strcmp(text, "active") && strcmp(text, "published")) {
    return ctl_fail(ctl, CTL_USAGE, "--state: \"%s\" is not one of active, published", text);
  }
  snprintf(key->state, sizeof key->state, "%s", text ? text : "active");
  text = ctl_get(ctl, "subject-tag");
  if (text && strcmp(text, "yes") && strcmp(text, "no")) {
    return ctl_fail(ctl, CTL_USAGE, "--subject-tag: \"%s\" is not yes or no", text);
  }
  key->subject_tag = text && !strcmp(text, "yes");
  key->allow_zero_iv = ctl_has(ctl, "allow-zero-iv");
  return CTL_OK;
}

/* The octets of --from, or new ones. */
static enum ctl_exit read_octets(const struct ctl *ctl, struct stored_key *key) {
  size_t need = turncred_key_length(key->use, key->alg, key->derivation);
  const char *from = ctl_get(ctl, "from");
  if (from) {
    return key_file_octets(ctl, "--from", from, key->use, key->alg, key->derivation, key->k, &key->k_len);
  }
  if (key->use == TURNCRED_USE_REST) {
    /* 64 hexadecimal digits, since other programs take the secret as text */
    uint8_t random[32];
    char hex[2 * sizeof random + 1];
    if (RAND_priv_bytes(random, sizeof random) != 1) {
      return ctl_fail(ctl, CTL_INTERNAL, "the random number generator failed");
    }
    turncred_hex_encode(random, sizeof random, hex, sizeof hex);
    memcpy(key->k, hex, sizeof hex - 1);
    key->k_len = sizeof hex - 1;
    turncred_cleanse(random, sizeof random);
    turncred_cleanse(hex, sizeof hex);
    return CTL_OK;
  }
  if (RAND_priv_bytes(key->k, (int)need) != 1) {
    return ctl_fail(ctl, CTL_INTERNAL, "the random number generator failed");
  }
  key->k_len = need;
  return CTL_OK;
}

/* Which key encryption key seals a new row of the realm: *kek_id, NULL for a plain row. The caller
 * frees *ring and *of_realm, which *kek_id may point into. */
static enum ctl_exit choose_kek(struct ctl *ctl, const char *realm, struct kek_ring **ring, char **of_realm,
                                const char **kek_id) {
  struct pg_params p = {0};
  json_t *row = NULL;
  pg_text(&p, realm);
  enum ctl_exit rc = ctl_row(ctl, "SELECT at_rest, kek_id FROM turncred.realm WHERE name = $1", &p, &row);
  if (!rc && !row) {
    rc = ctl_need_realm(ctl, realm);
  }
  bool plain = !rc && !strcmp(json_string_value(json_object_get(row, "at_rest")), "plain");
  const char *id = rc ? NULL : json_string_value(json_object_get(row, "kek_id"));
  *of_realm = id ? strdup(id) : NULL;
  json_decref(row);
  *kek_id = NULL;
  if (!rc) {
    rc = plain ? keyring_load_optional(ctl, ring) : keyring_load(ctl, ring);
  }
  if (!rc && *ring) {
    rc = keyring_choose(ctl, *ring, ctl_get(ctl, "kek-id"), *of_realm, kek_id);
  }
  return rc;
}

/* Writes the octets into the new file that --save names, for a program that shares the key. */
static enum ctl_exit save_octets(const struct ctl *ctl, const struct stored_key *key) {
  const char *path = ctl_get(ctl, "save");
  char text[512];
  if (!path) {
    return CTL_OK;
  }
  return secret_write_new(path, key->k, key->k_len, text, sizeof text) ? ctl_fail(ctl, CTL_REFUSED, "--save: %s", text)
                                                                       : CTL_OK;
}

/* The new key's realm, KID, times and octets, from the operands and options. */
static enum ctl_exit read_new_key(struct ctl *ctl, struct stored_key *key, struct key_window *window) {
  const char *realm = ctl_operand(ctl, 0), *kid = ctl_operand(ctl, 1);
  int64_t now = time(NULL);
  enum ctl_exit rc = read_kind(ctl, key);
  if (!rc) {
    rc = ctl_get_limits(ctl, &key->limits);
  }
  if (!rc) {
    rc = ctl_get_time(ctl, "not-before", now, &window->not_before);
  }
  if (!rc) {
    rc = ctl_get_end(ctl, "sign-until", now, &window->sign_until);
  }
  if (!rc) {
    rc = ctl_get_end(ctl, "accept-until", now, &window->accept_until);
  }
  if (!rc && kid && strlen(kid) > TURNCRED_USERNAME_MAX) {
    rc = ctl_fail(ctl, CTL_USAGE, "KID: at most %d octets", TURNCRED_USERNAME_MAX);
  }
  if (!rc && strlen(realm) > TURNCRED_REALM_MAX) {
    rc = ctl_fail(ctl, CTL_USAGE, "REALM: at most %d octets", TURNCRED_REALM_MAX);
  }
  if (rc) {
    return rc;
  }
  snprintf(key->realm, sizeof key->realm, "%s", realm);
  if (!kid) {
    return keyring_new_kid(ctl, key->use, key->kid, sizeof key->kid);
  }
  snprintf(key->kid, sizeof key->kid, "%s", kid);
  return CTL_OK;
}

enum ctl_exit cmd_key_add(struct ctl *ctl) {
  const char *kek_id = NULL;
  struct stored_key key = {0};
  struct key_window window = {0};
  struct kek_ring *ring = NULL;
  char *of_realm = NULL;
  json_t *row = NULL;
  enum ctl_exit rc = read_new_key(ctl, &key, &window);
  if (!rc) {
    rc = choose_kek(ctl, key.realm, &ring, &of_realm, &kek_id);
  }
  if (!rc) {
    rc = read_octets(ctl, &key);
  }
  if (!rc) {
    rc = ctl_begin(ctl);
  }
  if (!rc && ctl_has(ctl, "from")) {
    rc = keyring_refuse_reuse(ctl, ring, &key);
  }
  if (!rc) {
    rc = keyring_refuse_crowd(ctl, &key);
  }
  if (!rc) {
    rc = keyring_insert(ctl, ring, &key, kek_id, &window, ctl_has(ctl, "subject-tag"));
  }
  if (!rc) {
    rc = key_row(ctl, key.realm, key.kid, &row);
  }
  if (!rc) {
    rc = save_octets(ctl, &key);
  }
  keyring_clear(&key);
  kek_ring_free(ring);
  free(of_realm);
  return ctl_finish_change(ctl, rc, row, record_columns);
}

/* Whether servers accept what the key signed, which no server does if there is no such key. Also
 * reads the key's use. */
static enum ctl_exit read_acceptance(struct ctl *ctl, struct stored_key *key, bool *accepted) {
  struct pg_params p = {0};
  json_t *row = NULL;
  pg_text(&p, key->realm);
  pg_text(&p, key->kid);
  enum ctl_exit rc = ctl_row(ctl,
                             "SELECT use, state <> 'disabled' AND coalesce(accept_until, 'infinity') > now() "
                             "AS accepted FROM turncred.key WHERE realm = $1 AND kid = $2",
                             &p, &row);
  *accepted = json_is_true(json_object_get(row, "accepted"));
  if (row) {
    turncred_use_parse(json_string_value(json_object_get(row, "use")), &key->use);
  }
  json_decref(row);
  return rc;
}

/* Changes the key that the operands name by one statement, whose $1 and $2 are realm and KID, and
 * prints the key, or that it is removed. */
static enum ctl_exit change_key(struct ctl *ctl, const char *sql, struct pg_params *params, bool removed) {
  const char *realm = ctl_operand(ctl, 0), *kid = ctl_operand(ctl, 1);
  json_t *row = NULL;
  int64_t rows = 0;
  struct stored_key key = {0};
  bool before = false, after = false;
  snprintf(key.realm, sizeof key.realm, "%s", realm);
  snprintf(key.kid, sizeof key.kid, "%s", kid);
  enum ctl_exit rc = ctl_begin(ctl);
  if (!rc) {
    rc = read_acceptance(ctl, &key, &before);
  }
  if (!rc) {
    rc = ctl_run(ctl, sql, params, &rows);
  }
  if (!rc && !rows) {
    rc = no_such_key(ctl, realm, kid);
  }
  if (!rc) {
    rc = read_acceptance(ctl, &key, &after);
  }
  if (!rc && after && !before) {
    rc = keyring_refuse_crowd(ctl, &key);
  }
  if (!rc && removed) {
    row = json_pack("{s:s, s:s, s:s}", "realm", realm, "kid", kid, "state", "removed");
  } else if (!rc) {
    rc = key_row(ctl, realm, kid, &row);
  }
  return ctl_finish_change(ctl, rc, row, record_columns);
}

/* Adds REALM and KID to params. */
static void add_operands(const struct ctl *ctl, struct pg_params *p) {
  pg_text(p, ctl_operand(ctl, 0));
  pg_text(p, ctl_operand(ctl, 1));
}

/* Refuses the key of subject tags: its row has neither states nor windows. */
static enum ctl_exit refuse_tag_key(const struct ctl *ctl) {
  return strcmp(ctl_operand(ctl, 1), TURNCRED_TAG_KID)
             ? CTL_OK
             : ctl_fail(ctl, CTL_REFUSED,
                        "key \"" TURNCRED_TAG_KID "\" makes the tags by which servers tell the "
                        "subjects of tokens apart: it verifies nothing, so it has no states and no "
                        "windows. To have tokens without tags: realm set --subject-tag no, then key "
                        "rotate");
}

enum ctl_exit cmd_key_disable(struct ctl *ctl) {
  struct pg_params p = {0};
  enum ctl_exit rc = refuse_tag_key(ctl);
  if (rc) {
    return rc;
  }
  add_operands(ctl, &p);
  return change_key(ctl, "UPDATE turncred.key SET state = 'disabled' WHERE realm = $1 AND kid = $2", &p, false);
}

enum ctl_exit cmd_key_set(struct ctl *ctl) {
  static const struct {
    const char *option, *column;
    enum ctl_exit (*get)(const struct ctl *ctl, const char *name, int64_t now, int64_t *out);
  } times[] = {{"not-before", "not_before", ctl_get_time},
               {"sign-until", "sign_until", ctl_get_end},
               {"accept-until", "accept_until", ctl_get_end}};
  struct pg_params p = {0};
  char sql[512] = "UPDATE turncred.key SET ";
  size_t at = strlen(sql), start = at;
  const char *state = ctl_get(ctl, "state");
  int64_t now = time(NULL);
  int refused = refuse_tag_key(ctl);
  if (refused) {
    return refused;
  }
  add_operands(ctl, &p);
  if (state && strcmp(state, "published") && strcmp(state, "active") && strcmp(state, "retired") &&
      strcmp(state, "disabled")) {
    return ctl_fail(ctl, CTL_USAGE, "--state: \"%s\" is not one of published, active, retired, disabled", state);
  }
  if (state) {
    pg_text(&p, state);
    at += (size_t)snprintf(sql + at, sizeof sql - at, "state = $%d", p.count);
  }
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    const char *text = ctl_get(ctl, times[i].option);
    int64_t value = 0;
    if (!text) {
      continue;
    }
    enum ctl_exit rc = strcmp(text, "open") ? times[i].get(ctl, times[i].option, now, &value) : CTL_OK;
    if (rc) {
      return rc;
    }
    pg_time(&p, value);
    at += (size_t)snprintf(sql + at, sizeof sql - at, "%s%s = to_timestamp($%d::bigint)", at > start ? ", " : "",
                           times[i].column, p.count);
  }
  struct ctl_limits limits = {0};
  enum ctl_exit rc = ctl_get_limits(ctl, &limits);
  if (rc) {
    return rc;
  }
  if (ctl_has(ctl, "max-bps")) {
    pg_int(&p, limits.max_bps);
    at += (size_t)snprintf(sql + at, sizeof sql - at, "%smax_bps = $%d::bigint", at > start ? ", " : "", p.count);
  }
  if (ctl_has(ctl, "max-allocations")) {
    pg_int(&p, limits.max_allocations);
    at += (size_t)snprintf(sql + at, sizeof sql - at, "%smax_allocations = $%d::integer", at > start ? ", " : "",
                           p.count);
  }
  if (at == start) {
    return ctl_fail(ctl, CTL_USAGE, "nothing to set; see turncredctl key set --help");
  }
  snprintf(sql + at, sizeof sql - at, " WHERE realm = $1 AND kid = $2");
  return change_key(ctl, sql, &p, false);
}

enum ctl_exit cmd_key_remove(struct ctl *ctl) {
  struct pg_params p = {0};
  json_t *row = NULL;
  add_operands(ctl, &p);
  enum ctl_exit rc = key_row(ctl, ctl_operand(ctl, 0), ctl_operand(ctl, 1), &row);
  if (!rc) {
    const char *state = json_string_value(json_object_get(row, "state"));
    json_int_t until = json_integer_value(json_object_get(row, "accept_until"));
    if (!strcmp(ctl_operand(ctl, 1), TURNCRED_TAG_KID) && !ctl_has(ctl, "now")) {
      rc = ctl_fail(ctl, CTL_REFUSED,
                    "key \"" TURNCRED_TAG_KID "\" makes the subject tags of this realm's tokens: "
                    "tokens under the next one name every user anew, so allocations held now cannot "
                    "be renewed (441). Give --now to remove it all the same; the next token makes a new one");
    } else if (strcmp(state, "disabled") && (!until || until > time(NULL)) && !ctl_has(ctl, "now")) {
      rc = ctl_fail(ctl, CTL_REFUSED,
                    "key \"%s\" is %s: credentials under it would fail at once. Rotate or disable "
                    "it first, wait for its accept_until, or give --now",
                    ctl_operand(ctl, 1), state);
    }
  }
  json_decref(row);
  return rc ? rc : change_key(ctl, "DELETE FROM turncred.key WHERE realm = $1 AND kid = $2", &p, true);
}
