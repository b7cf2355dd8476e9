/* import.c - turncredctl import coturn: users, secrets and keys of a coturn database
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads turnusers_lt, turn_secret, oauth_key, turn_realm_option and turn_origin_to_realm in one
 * read-only snapshot, and the users and secrets of a turnserver.conf. Without --apply nothing is
 * written. Repeatable: what is there already is
 * found by its octets and left alone.
 */
#include "config.h"

#include "pg/array.h"
#include "keyring.h"
#include "turnserver_conf.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define USERS_AT_ONCE 500 /* below what the change feed calls bulk */
#define REST_KEYS_MAX 4   /* of one realm that servers try */

struct import {
  struct pg source;
  struct kek_ring *ring;
  json_t *report;
  json_t *realms; /* name: {at_rest, kek_id, mechanisms} of those that are or will be there */
  bool apply, add_realms, truncate;
  const char *default_realm;
  struct turnserver_conf conf;
  json_t *conf_users; /* name: true, of the default realm */
  int64_t skipped;
};

static const struct ctl_column columns[] = {
    {"kind", "KIND", CTL_TEXT},     {"realm", "REALM", CTL_TEXT},   {"name", "NAME", CTL_TEXT},
    {"action", "ACTION", CTL_TEXT}, {"reason", "REASON", CTL_TEXT}, {NULL, NULL, CTL_TEXT},
};

/* action: add, same, update, set, skip */
static void note(struct import *im, const char *kind, const char *realm, const char *name,
                 const char *action, const char *format, ...) __attribute__((format(printf, 6, 7)));

static void note(struct import *im, const char *kind, const char *realm, const char *name,
                 const char *action, const char *format, ...) {
  char reason[512];
  va_list args;
  va_start(args, format);
  vsnprintf(reason, sizeof reason, format, args);
  va_end(args);
  im->skipped += !strcmp(action, "skip");
  json_array_append_new(im->report,
                        json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", kind, "realm", realm, "name",
                                  name, "action", action, "reason", reason));
}

/* coturn's columns are char(n) in places: blanks at the end are padding. */
static void trim(char *text) {
  for (size_t len = strlen(text); len && text[len - 1] == ' ';)
    text[--len] = '\0';
}

static int source_query(struct ctl *ctl, struct import *im, const char *sql, PGresult **out) {
  *out = pg_query(&im->source, sql, NULL);
  return *out ? 0 : ctl_fail(ctl, CTL_DATABASE, "the coturn database: %s", im->source.text);
}

/* The realm that a row goes to, or NULL with the reason noted. */
static json_t *target(struct import *im, const char *kind, const char **realm, const char *name) {
  if (!**realm)
    *realm = im->default_realm;
  if (!*realm) {
    note(im, kind, "", name, "skip",
         "belongs to the server's default realm: name it with "
         "--default-realm");
    return NULL;
  }
  json_t *found = json_object_get(im->realms, *realm);
  if (!found)
    note(im, kind, *realm, name, "skip",
         "the realm does not exist here: turncredctl realm add, or --add-realms");
  return found;
}

/* Where it is sealed; false: noted why it cannot be. *id NULL: plain. */
static bool sealing(struct import *im, const char *kind, const char *realm, const char *name,
                    const json_t *entry, const char **id) {
  bool plain = !strcmp(json_string_value(json_object_get(entry, "at_rest")), "plain");
  const char *wanted = json_string_value(json_object_get(entry, "kek_id"));
  *id = im->ring ? wanted ? wanted : kek_ring_default(im->ring) : NULL;
  if (*id && kek_ring_find(im->ring, *id))
    return true;
  if (plain && !im->ring)
    return true;
  note(im, kind, realm, name, "skip", "no key encryption key to seal it with: %s",
       im->ring ? "--kek lacks the realm's, or holds several" : "give --kek");
  return false;
}

static void remember_realm(struct import *im, const char *name, const char *at_rest,
                           const char *kek_id, json_t *mechanisms) {
  json_object_set_new(im->realms, name,
                      json_pack("{s:s, s:s?, s:o}", "at_rest", at_rest, "kek_id", kek_id,
                                "mechanisms", mechanisms));
}

static int load_realms(struct ctl *ctl, struct import *im) {
  json_t *rows = NULL, *row;
  size_t i;
  int rc =
      ctl_rows(ctl, "SELECT name, at_rest, kek_id, mechanisms FROM turncred.realm", NULL, &rows);
  json_array_foreach(rows, i, row) {
    remember_realm(im, json_string_value(json_object_get(row, "name")),
                   json_string_value(json_object_get(row, "at_rest")),
                   json_string_value(json_object_get(row, "kek_id")),
                   json_incref(json_object_get(row, "mechanisms")));
  }
  json_decref(rows);
  return rc;
}

/* Realms that only coturn knows, with the mechanisms that their rows need. */
static int add_realms(struct ctl *ctl, struct import *im) {
  static const char sql[] =
      "SELECT realm, array_to_string(array_agg(DISTINCT m), ',') FROM (SELECT trim(realm) AS "
      "realm, "
      "'pushed' AS m FROM turnusers_lt UNION ALL SELECT trim(realm), 'rest' FROM turn_secret UNION "
      "ALL SELECT trim(coalesce(realm, '')), 'token' FROM oauth_key) x GROUP BY realm ORDER BY "
      "realm";
  PGresult *r = NULL;
  int rc = source_query(ctl, im, sql, &r);
  for (int i = 0; !rc && i < PQntuples(r); i++) {
    const char *realm = PQgetvalue(r, i, 0), *list = PQgetvalue(r, i, 1);
    char array[128];
    struct pg_params p = {0};
    if (!*realm)
      realm = im->default_realm;
    if (!realm || json_object_get(im->realms, realm))
      continue;
    snprintf(array, sizeof array, "{%s}", list);
    pg_text(&p, realm);
    pg_text(&p, array);
    if (im->apply)
      rc = ctl_run(ctl,
                   "INSERT INTO turncred.realm (name, server_name, mechanisms) VALUES ($1, $1, "
                   "$2::text[])",
                   &p, NULL);
    json_t *mechanisms = json_array();
    for (const char *m = list; *m; m += *m == ',') {
      size_t len = strcspn(m, ",");
      json_array_append_new(mechanisms, json_stringn(m, len));
      m += len;
    }
    remember_realm(im, realm, "sealed", NULL, mechanisms);
    note(im, "realm", realm, realm, "add", "offers %s", list);
  }
  PQclear(r);
  return rc;
}

static void warn_mechanism(struct import *im, const char *kind, const char *realm,
                           const json_t *entry, const char *mechanism) {
  size_t i;
  json_t *one;
  json_array_foreach(json_object_get(entry, "mechanisms"), i, one) {
    if (!strcmp(json_string_value(one), mechanism))
      return;
  }
  note(im, kind, realm, "", "note",
       "the realm does not offer %s yet: turncredctl realm set %s --mechanisms ...,%s", mechanism,
       realm, mechanism);
  json_array_append_new(json_object_get(entry, "mechanisms"), json_string(mechanism));
}

/* --- users --- */

/* Users wait here until there are enough for one statement. */
struct user {
  const char *realm, *name, *kek_id; /* of the source's result, which outlives the batch */
  uint8_t md5[TURNCRED_LONG_TERM_MD5];
};
struct batch {
  struct user users[USERS_AT_ONCE];
  size_t count;
};

/* The row of the query below holds the same key. */
static bool same_user(const struct import *im, const struct user *user, const PGresult *r, int i) {
  uint8_t sealed[TURNCRED_CREDENTIAL_SEALED], plain[TURNCRED_CREDENTIAL_PLAIN] = {0};
  size_t len = 0;
  bool is_sealed = !PQgetisnull(r, i, 1);
  const char *hex = PQgetvalue(r, i, is_sealed ? 1 : 2);
  const uint8_t *kek = im->ring ? kek_ring_find(im->ring, PQgetvalue(r, i, 0)) : NULL;
  struct turncred_credential_row row = {PQgetvalue(r, i, 0), user->realm, user->name,
                                        strtoll(PQgetvalue(r, i, 3), NULL, 10),
                                        PQgetvalue(r, i, 4)};
  bool open = is_sealed
                  ? kek && !turncred_hex_decode(hex, strlen(hex), sealed, sizeof sealed, &len) &&
                        !turncred_credential_unseal(NULL, kek, &row, sealed, len, plain)
                  : !turncred_hex_decode(hex, strlen(hex), plain, sizeof plain, &len);
  bool same = open && !CRYPTO_memcmp(plain, user->md5, sizeof user->md5);
  turncred_cleanse(plain, sizeof plain);
  return same;
}

/* One row more for the statement that writes. */
static bool add_user(const struct import *im, const struct user *user, struct pg_array values[5]) {
  uint8_t plain[TURNCRED_CREDENTIAL_PLAIN] = {0}, sealed[TURNCRED_CREDENTIAL_SEALED], nonce[12];
  struct turncred_credential_row row = {user->kek_id, user->realm, user->name, 0, ""};
  pg_array_text(&values[0], user->realm);
  pg_array_text(&values[1], user->name);
  pg_array_text(&values[2], user->kek_id);
  if (!user->kek_id) {
    pg_array_text(&values[3], NULL);
    pg_array_octets(&values[4], user->md5, sizeof user->md5);
    return true;
  }
  memcpy(plain, user->md5, sizeof user->md5); /* no SHA-256: the password is not known */
  bool good =
      RAND_bytes(nonce, sizeof nonce) == 1 &&
      !turncred_credential_seal(kek_ring_find(im->ring, user->kek_id), &row, nonce, plain, sealed);
  turncred_cleanse(plain, sizeof plain);
  pg_array_octets(&values[3], sealed, sizeof sealed);
  pg_array_text(&values[4], NULL);
  return good;
}

static int write_users(struct ctl *ctl, struct pg_array values[5]) {
  struct pg_params p = {0};
  for (int i = 0; i < 5; i++) {
    const char *text = pg_array_end(&values[i]);
    if (!text)
      return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
    pg_text(&p, text);
  }
  return ctl_run(ctl,
                 "INSERT INTO turncred.credential (realm, username, kek_id, sealed, md5) SELECT * "
                 "FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bytea[]) ON "
                 "CONFLICT (realm, username) DO UPDATE SET kek_id = excluded.kek_id, sealed = "
                 "excluded.sealed, md5 = excluded.md5, sha256 = NULL, expiry = NULL, "
                 "client_address = '', pushed_at = now()",
                 &p, NULL);
}

/* What is there already, in the order of the batch. */
static int query_users(struct ctl *ctl, const struct batch *batch, PGresult **out) {
  struct pg_array realms = {0}, names = {0};
  struct pg_params p = {0};
  for (size_t i = 0; i < batch->count; i++) {
    pg_array_text(&realms, batch->users[i].realm);
    pg_array_text(&names, batch->users[i].name);
  }
  const char *a = pg_array_end(&realms), *b = pg_array_end(&names);
  *out = NULL;
  int rc = a && b ? 0 : ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  pg_text(&p, a);
  pg_text(&p, b);
  if (!rc) {
    *out = pg_query(
        ctl->db,
        "SELECT c.kek_id, encode(c.sealed, 'hex'), encode(c.md5, 'hex'), "
        "coalesce(extract(epoch FROM c.expiry)::bigint, 0), c.client_address, c.username IS NOT "
        "NULL, turncred.is_revoked('user', u.realm, u.name) OR turncred.is_revoked('realm', "
        "u.realm, '') FROM unnest($1::text[], $2::text[]) WITH ORDINALITY u(realm, name, n) LEFT "
        "JOIN turncred.credential c ON c.realm = u.realm AND c.username = u.name ORDER BY u.n",
        &p);
    if (!*out)
      rc = ctl_db_error(ctl);
  }
  pg_array_clear(&realms);
  pg_array_clear(&names);
  return rc;
}

static int flush_users(struct ctl *ctl, struct import *im, struct batch *batch) {
  struct pg_array values[5] = {0};
  PGresult *r = NULL;
  size_t wanted = 0;
  int rc = batch->count ? query_users(ctl, batch, &r) : 0;
  for (size_t i = 0; !rc && i < batch->count; i++) {
    const struct user *user = &batch->users[i];
    bool there = *PQgetvalue(r, (int)i, 5) == 't';
    if (*PQgetvalue(r, (int)i, 6) == 't') {
      note(im, "user", user->realm, user->name, "skip", "is revoked here");
      continue;
    }
    bool same = there && same_user(im, user, r, (int)i);
    note(im, "user", user->realm, user->name, same ? "same" : there ? "update" : "add", "%s", "");
    wanted += !same;
    if (!same && !add_user(im, user, values))
      rc = ctl_fail(ctl, CTL_INTERNAL, "a credential could not be sealed");
  }
  if (!rc && wanted && im->apply)
    rc = write_users(ctl, values);
  for (int i = 0; i < 5; i++)
    pg_array_clear(&values[i]);
  PQclear(r);
  turncred_cleanse(batch->users, sizeof batch->users);
  batch->count = 0;
  return rc;
}

/* Puts a good row into the batch, notes why a bad one stays out. */
static int import_user(struct ctl *ctl, struct import *im, struct batch *batch, const char *realm,
                       const char *name, char *hex) {
  uint8_t md5[64];
  size_t len = 0;
  const char *kek_id = NULL;
  json_t *entry = target(im, "user", &realm, name);
  if (!entry || !sealing(im, "user", realm, name, entry, &kek_id))
    return 0;
  trim(hex);
  if (!*name || strlen(name) > TURNCRED_USERNAME_MAX ||
      !turncred_username_coturn_accepts(name, strlen(name))) {
    note(im, "user", realm, name, "skip", "coturn itself refuses such a name in a request");
    return 0;
  }
  if (turncred_hex_decode(hex, strlen(hex), md5, sizeof md5, &len) || len != 16) {
    note(im, "user", realm, name, "skip",
         len == 32 ? "the key is a SHA-256 one, which clients of this coturn cannot use: set the "
                     "password anew"
                   : "hmackey is not 32 hexadecimal digits (MD5 of user:realm:password)");
    return 0;
  }
  warn_mechanism(im, "user", realm, entry, "pushed");
  struct user *user = &batch->users[batch->count++];
  user->realm = realm;
  user->name = name;
  user->kek_id = kek_id;
  memcpy(user->md5, md5, sizeof user->md5);
  turncred_cleanse(md5, sizeof md5);
  return batch->count == USERS_AT_ONCE ? flush_users(ctl, im, batch) : 0;
}

/* The user= lines of turnserver.conf. Of a name that stands there twice, coturn takes the last. */
static int import_conf_users(struct ctl *ctl, struct import *im, struct batch *batch) {
  int rc = 0;
  for (size_t i = im->conf.count; !rc && i-- > 0;) {
    struct turnserver_line *line = &im->conf.lines[i];
    char hex[33] = "", where[32];
    const char *realm = im->default_realm;
    if (line->secret)
      continue;
    snprintf(where, sizeof where, "line %u", line->number);
    const char *wrong = realm ? turnserver_user_key(line->value, realm, hex)
                              : "belongs to the server's default realm: name it with "
                                "--default-realm";
    if (wrong)
      note(im, "user", realm ? realm : "", where, "skip", "%s", wrong);
    else if (json_object_get(im->conf_users, line->value))
      note(im, "user", realm, line->value, "skip", "is given again in a later line");
    else if (!json_object_set_new(im->conf_users, line->value, json_true()))
      rc = import_user(ctl, im, batch, realm, line->value, hex);
    turncred_cleanse(hex, sizeof hex);
  }
  return rc;
}

/* coturn looks into turnserver.conf before it asks its database. */
static bool hidden_by_conf(struct import *im, const char *realm, const char *name) {
  bool hidden = im->default_realm && (!*realm || !strcmp(realm, im->default_realm)) &&
                json_object_get(im->conf_users, name);
  if (hidden)
    note(im, "user", im->default_realm, name, "skip",
         "turnserver.conf has this user too, and coturn takes that one");
  return hidden;
}

static int import_users(struct ctl *ctl, struct import *im) {
  struct batch *batch = calloc(1, sizeof *batch);
  PGresult *r = NULL;
  int rc = batch ? 0 : ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  if (!rc)
    rc = import_conf_users(ctl, im, batch);
  if (!rc)
    rc = flush_users(ctl, im, batch); /* the names are the configuration's */
  if (!rc)
    rc = source_query(ctl, im, "SELECT trim(realm), name, hmackey FROM turnusers_lt ORDER BY 1, 2",
                      &r);
  for (int i = 0; !rc && i < PQntuples(r); i++)
    if (!hidden_by_conf(im, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1)))
      rc = import_user(ctl, im, batch, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1),
                       PQgetvalue(r, i, 2));
  if (!rc)
    rc = flush_users(ctl, im, batch);
  PQclear(r);
  free(batch);
  return rc;
}

/* --- keys: secrets and oauth keys --- */

/* Looks for the octets under the same use; adds them if they are not there. */
static int import_key(struct ctl *ctl, struct import *im, const char *kind, const char *name,
                      struct stored_key *key, const char *kek_id, int64_t not_before,
                      int64_t accept_until) {
  struct stored_key *rows = NULL;
  struct pg_params p = {0};
  size_t count = 0, same_use = 0;
  bool found = false, taken = false;
  char other[TURNCRED_USERNAME_MAX + 1] = "";
  pg_text(&p, key->realm);
  int rc = keyring_rows(ctl, im->ring, "realm = $1", &p, &rows, &count);
  for (size_t i = 0; i < count; i++) {
    bool same = rows[i].k_len == key->k_len && !CRYPTO_memcmp(rows[i].k, key->k, key->k_len);
    same_use += rows[i].use == key->use;
    taken |= !strcmp(rows[i].kid, key->kid);
    if (same && rows[i].use == key->use && rows[i].alg == key->alg)
      found = true;
    else if (same)
      snprintf(other, sizeof other, "%s", rows[i].kid);
    keyring_clear(&rows[i]);
  }
  free(rows);
  if (rc)
    return rc;
  if (found)
    note(im, kind, key->realm, name, "same", "%s", "");
  else if (other[0])
    note(im, kind, key->realm, name, "skip", "its octets serve key \"%s\" already", other);
  else if (taken)
    note(im, kind, key->realm, name, "skip", "another key has this kid already");
  else {
    if (im->apply)
      rc = keyring_insert(ctl, im->ring, key, kek_id, not_before, 0, accept_until, false);
    if (!rc)
      note(im, kind, key->realm, name, "add", "kid %s%s", key->kid,
           key->use == TURNCRED_USE_REST && same_use >= REST_KEYS_MAX
               ? "; servers try four rest keys of a realm at the most"
               : "");
  }
  return rc;
}

static int import_secret(struct ctl *ctl, struct import *im, const char *realm, const char *secret,
                         const char *name) {
  struct stored_key key = {.use = TURNCRED_USE_REST,
                           .alg = TURNCRED_HMAC_SHA1,
                           .username_format = TURNCRED_TIMESTAMP_USER_ID,
                           .state = "active"};
  const char *kek_id = NULL;
  unsigned len = 0;
  json_t *entry = target(im, "secret", &realm, name);
  if (!entry || !sealing(im, "secret", realm, name, entry, &kek_id))
    return 0;
  if (!*secret) {
    note(im, "secret", realm, name, "skip", "is empty: anybody could make passwords");
    return 0;
  }
  /* an HMAC key longer than a block is its hash: RFC 2104 section 2 */
  key.k_len = strlen(secret);
  if (key.k_len <= TURNCRED_KEY_MAX)
    memcpy(key.k, secret, key.k_len);
  else if (EVP_Digest(secret, key.k_len, key.k, &len, EVP_sha1(), NULL) == 1)
    key.k_len = len;
  else
    return ctl_fail(ctl, CTL_INTERNAL, "OpenSSL failed");
  snprintf(key.realm, sizeof key.realm, "%s", realm);
  warn_mechanism(im, "secret", realm, entry, "rest");
  int rc = keyring_new_kid(ctl, key.use, key.kid, sizeof key.kid);
  if (!rc)
    rc = import_key(ctl, im, "secret", name, &key, kek_id, 0, 0);
  keyring_clear(&key);
  return rc;
}

static int import_oauth(struct ctl *ctl, struct import *im, const PGresult *r, int i) {
  const char *kid = PQgetvalue(r, i, 0), *base64 = PQgetvalue(r, i, 1), *alg = PQgetvalue(r, i, 4);
  const char *realm = PQgetvalue(r, i, 5), *kek_id = NULL;
  int64_t start = strtoll(PQgetvalue(r, i, 2), NULL, 10);
  int64_t lifetime = strtoll(PQgetvalue(r, i, 3), NULL, 10);
  struct stored_key key = {.use = TURNCRED_USE_TOKEN, .alg = TURNCRED_A256GCM, .state = "active"};
  uint8_t octets[192];
  size_t len = 0;
  json_t *entry = target(im, "oauth_key", &realm, kid);
  if (!entry || !sealing(im, "oauth_key", realm, kid, entry, &kek_id))
    return 0;
  if (*alg && (turncred_alg_parse(alg, &key.alg) ||
               (key.alg != TURNCRED_A256GCM && key.alg != TURNCRED_A128GCM))) {
    note(im, "oauth_key", realm, kid, "skip", "as_rs_alg \"%s\" is not A256GCM or A128GCM", alg);
    return 0;
  }
  size_t need = turncred_key_length(key.use, key.alg, key.derivation);
  if (!*kid || strlen(kid) > TURNCRED_USERNAME_MAX ||
      !turncred_username_coturn_accepts(kid, strlen(kid))) {
    note(im, "oauth_key", realm, kid, "skip", "the kid cannot stand in a USERNAME");
  } else if (turncred_base64_decode(base64, strlen(base64), octets, sizeof octets, &len)) {
    note(im, "oauth_key", realm, kid, "skip",
         "ikm_key is not base64: coturn uses an all-zero key here, so everybody could make tokens");
  } else if (len < need) {
    note(im, "oauth_key", realm, kid, "skip",
         "holds %zu octets, %zu are needed: coturn fills up with zeros", len, need);
  } else if (len > need && !im->truncate) {
    note(im, "oauth_key", realm, kid, "skip",
         "holds %zu octets, exactly %zu are needed; coturn uses the first %zu: --truncate does the "
         "same",
         len, need, need);
  } else if (lifetime && start + lifetime <= time(NULL)) {
    note(im, "oauth_key", realm, kid, "skip", "has run out");
  } else {
    snprintf(key.realm, sizeof key.realm, "%s", realm);
    snprintf(key.kid, sizeof key.kid, "%s", kid);
    memcpy(key.k, octets, need);
    key.k_len = need;
    warn_mechanism(im, "oauth_key", realm, entry, "token");
    int rc =
        import_key(ctl, im, "oauth_key", kid, &key, kek_id, start, lifetime ? start + lifetime : 0);
    keyring_clear(&key);
    turncred_cleanse(octets, sizeof octets);
    return rc;
  }
  turncred_cleanse(octets, sizeof octets);
  return 0;
}

/* --- options --- */

static int import_option(struct ctl *ctl, struct import *im, const char *realm, const char *option,
                         const char *value) {
  static const struct {
    const char *option, *sql;
  } known[] = {
      {"max-bps", "UPDATE turncred.realm SET max_bps = $2::bigint WHERE name = $1"},
      {"total-quota", "UPDATE turncred.realm SET total_quota = $2::integer WHERE name = $1"},
      {"user-quota", "UPDATE turncred.realm SET user_quota = $2::integer WHERE name = $1"},
  };
  struct pg_params p = {0};
  int64_t number = 0;
  if (!target(im, "option", &realm, option))
    return 0;
  pg_text(&p, realm);
  pg_text(&p, value);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(known[i].option, option))
      continue;
    if (!ctl_number(value, 0, INT32_MAX, &number)) {
      note(im, "option", realm, option, "skip", "\"%s\" is not a number", value);
      return 0;
    }
    note(im, "option", realm, option, "set", "%s", value);
    return im->apply ? ctl_run(ctl, known[i].sql, &p, NULL) : 0;
  }
  note(im, "option", realm, option, "skip", "there is no such setting of a realm here");
  return 0;
}

static int import_origin(struct ctl *ctl, struct import *im, const char *realm,
                         const char *origin) {
  struct pg_params p = {0};
  if (!target(im, "origin", &realm, origin))
    return 0;
  pg_text(&p, realm);
  pg_text(&p, origin);
  note(im, "origin", realm, origin, "set", "%s", "");
  return im->apply ? ctl_run(ctl,
                             "UPDATE turncred.realm SET origins = origins || $2::text WHERE name = "
                             "$1 AND NOT $2 = ANY (origins)",
                             &p, NULL)
                   : 0;
}

static int import_rows(struct ctl *ctl, struct import *im) {
  PGresult *r = NULL;
  char name[40];
  int rc = import_users(ctl, im);
  if (!rc)
    rc = source_query(ctl, im, "SELECT trim(realm), value FROM turn_secret ORDER BY 1, 2", &r);
  for (int i = 0; !rc && i < PQntuples(r); i++) {
    snprintf(name, sizeof name, "secret %d", i + 1);
    rc = import_secret(ctl, im, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), name);
  }
  for (size_t i = 0; !rc && i < im->conf.count; i++) {
    const struct turnserver_line *line = &im->conf.lines[i];
    snprintf(name, sizeof name, "secret of line %u", line->number);
    rc = line->secret ? import_secret(ctl, im, "", line->value, name) : 0;
  }
  PQclear(r);
  r = NULL;
  if (!rc)
    rc = source_query(ctl, im,
                      "SELECT kid, coalesce(ikm_key, ''), coalesce(timestamp, 0), "
                      "coalesce(lifetime, 0), trim(coalesce(as_rs_alg, '')), trim(coalesce(realm, "
                      "'')) FROM oauth_key ORDER BY realm, kid",
                      &r);
  for (int i = 0; !rc && i < PQntuples(r); i++)
    rc = import_oauth(ctl, im, r, i);
  PQclear(r);
  r = NULL;
  if (!rc)
    rc = source_query(ctl, im,
                      "SELECT trim(realm), trim(opt), trim(value) FROM turn_realm_option "
                      "ORDER BY 1, 2",
                      &r);
  for (int i = 0; !rc && i < PQntuples(r); i++)
    rc = import_option(ctl, im, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), PQgetvalue(r, i, 2));
  PQclear(r);
  r = NULL;
  if (!rc)
    rc = source_query(
        ctl, im, "SELECT trim(realm), trim(origin) FROM turn_origin_to_realm ORDER BY 1, 2", &r);
  for (int i = 0; !rc && i < PQntuples(r); i++)
    rc = import_origin(ctl, im, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1));
  PQclear(r);
  return rc;
}

int cmd_import_coturn(struct ctl *ctl) {
  struct import im = {.apply = ctl_has(ctl, "apply"),
                      .add_realms = ctl_has(ctl, "add-realms"),
                      .truncate = ctl_has(ctl, "truncate"),
                      .default_realm = ctl_get(ctl, "default-realm")};
  int rc = ctl_refuse_password(ctl, "CONNINFO", ctl_operand(ctl, 0));
  if (!rc && ctl_has(ctl, "turnserver-conf"))
    rc = turnserver_conf_read(ctl, ctl_get(ctl, "turnserver-conf"), &im.conf);
  if (!im.default_realm && *im.conf.realm)
    im.default_realm = im.conf.realm;
  if (!rc && im.default_realm &&
      (!*im.default_realm || strlen(im.default_realm) > TURNCRED_REALM_MAX))
    rc = ctl_fail(ctl, CTL_USAGE, "--default-realm: 1 to %d octets", TURNCRED_REALM_MAX);
  if (!rc)
    rc = keyring_load_optional(ctl, &im.ring);
  pg_init(&im.source, -1);
  pg_no_limits(&im.source);
  if (!rc && pg_connect(&im.source, ctl_operand(ctl, 0), "turncredctl"))
    rc = ctl_fail(ctl, CTL_DATABASE, "cannot connect to the coturn database: %s", im.source.text);
  if (!rc && pg_run(&im.source, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, NULL))
    rc = ctl_fail(ctl, CTL_DATABASE, "the coturn database: %s", im.source.text);
  im.report = json_array();
  im.realms = json_object();
  im.conf_users = json_object();
  if (!rc)
    rc = ctl_begin(ctl);
  if (!rc)
    rc = load_realms(ctl, &im);
  if (!rc && im.add_realms)
    rc = add_realms(ctl, &im);
  if (!rc)
    rc = import_rows(ctl, &im);
  if (!rc && im.apply)
    rc = ctl_commit(ctl);
  ctl_rollback(ctl);
  if (im.source.conn)
    pg_close(&im.source);
  kek_ring_free(im.ring);
  turnserver_conf_free(&im.conf);
  json_decref(im.conf_users);
  json_decref(im.realms);
  if (rc) {
    json_decref(im.report);
    return rc;
  }
  rc = ctl_print_list(ctl, im.report, columns);
  if (!rc && !im.apply)
    ctl_note(ctl, "nothing was written: look at the list, then give --apply");
  if (!rc && im.skipped)
    rc = ctl_fail(ctl, CTL_REFUSED, "%lld rows %s taken over; REASON says why",
                  (long long)im.skipped, im.apply ? "were not" : "would not be");
  return rc;
}
