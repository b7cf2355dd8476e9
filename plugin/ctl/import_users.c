/*
 * import_users.c - users of turnusers_lt and of turnserver.conf become pushed credentials
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "import.h"
#include "pg/array.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USERS_AT_ONCE 500 /* fewer rows than the change feed calls bulk */

/* Cuts blanks at the end: some columns of coturn's tables are char(n), which PostgreSQL pads. */
static void trim(char *text) {
  for (size_t len = strlen(text); len && text[len - 1] == ' ';) {
    text[--len] = '\0';
  }
}

/* Users are written in batches, one statement for each batch. */
struct user {
  const char *realm, *name, *kek_id; /* in memory of the source, which outlives the batch */
  uint8_t md5[TURNCRED_LONG_TERM_MD5];
};
struct batch {
  struct user users[USERS_AT_ONCE];
  size_t count;
};

/* Whether row i of query_users() holds the key of user. */
static bool same_user(const struct import *im, const struct user *user, const PGresult *r, int i) {
  uint8_t sealed[TURNCRED_CREDENTIAL_SEALED], plain[TURNCRED_CREDENTIAL_PLAIN] = {0};
  size_t len = 0;
  bool is_sealed = !PQgetisnull(r, i, 1);
  const char *hex = PQgetvalue(r, i, is_sealed ? 1 : 2);
  const uint8_t *kek = im->ring ? kek_ring_find(im->ring, PQgetvalue(r, i, 0)) : NULL;
  struct turncred_credential_row row = {PQgetvalue(r, i, 0), user->realm, user->name,
                                        strtoll(PQgetvalue(r, i, 3), NULL, 10), PQgetvalue(r, i, 4)};
  bool open = is_sealed ? kek && !turncred_hex_decode(hex, strlen(hex), sealed, sizeof sealed, &len) &&
                              !turncred_credential_unseal(NULL, kek, &row, sealed, len, plain)
                        : !turncred_hex_decode(hex, strlen(hex), plain, sizeof plain, &len);
  bool same = open && !CRYPTO_memcmp(plain, user->md5, sizeof user->md5);
  turncred_cleanse(plain, sizeof plain);
  return same;
}

/* Adds user to the values of write_users(). CTL_INTERNAL if sealing failed. */
static enum ctl_exit add_user(const struct ctl *ctl, const struct import *im, const struct user *user,
                              struct pg_array values[5]) {
  uint8_t plain[TURNCRED_CREDENTIAL_PLAIN] = {0}, sealed[TURNCRED_CREDENTIAL_SEALED], nonce[12];
  struct turncred_credential_row row = {user->kek_id, user->realm, user->name, 0, ""};
  pg_array_text(&values[0], user->realm);
  pg_array_text(&values[1], user->name);
  pg_array_text(&values[2], user->kek_id);
  if (!user->kek_id) {
    pg_array_text(&values[3], NULL);
    pg_array_octets(&values[4], user->md5, sizeof user->md5);
    return CTL_OK;
  }
  memcpy(plain, user->md5, sizeof user->md5); /* no SHA-256: the password is not known */
  bool good = RAND_bytes(nonce, sizeof nonce) == 1 &&
              !turncred_credential_seal(kek_ring_find(im->ring, user->kek_id), &row, nonce, plain, sealed);
  turncred_cleanse(plain, sizeof plain);
  pg_array_octets(&values[3], sealed, sizeof sealed);
  pg_array_text(&values[4], NULL);
  return good ? CTL_OK : ctl_fail(ctl, CTL_INTERNAL, "a credential could not be sealed");
}

/* Writes the users of the arrays realm, username, kek_id, sealed, md5. */
static enum ctl_exit write_users(struct ctl *ctl, struct pg_array values[5]) {
  struct pg_params p = {0};
  for (int i = 0; i < 5; i++) {
    const char *text = pg_array_end(&values[i]);
    if (!text) {
      return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
    }
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

/* The credentials that users of the batch have already, in the order of the batch. */
static enum ctl_exit query_users(struct ctl *ctl, const struct batch *batch, PGresult **out) {
  struct pg_array realms = {0}, names = {0};
  struct pg_params p = {0};
  for (size_t i = 0; i < batch->count; i++) {
    pg_array_text(&realms, batch->users[i].realm);
    pg_array_text(&names, batch->users[i].name);
  }
  const char *a = pg_array_end(&realms), *b = pg_array_end(&names);
  *out = NULL;
  enum ctl_exit rc = a && b ? CTL_OK : ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  pg_text(&p, a);
  pg_text(&p, b);
  if (!rc) {
    *out = pg_query(ctl->db,
                    "SELECT c.kek_id, encode(c.sealed, 'hex'), encode(c.md5, 'hex'), "
                    "coalesce(extract(epoch FROM c.expiry)::bigint, 0), c.client_address, c.username IS NOT "
                    "NULL, turncred.is_revoked('user', u.realm, u.name) OR turncred.is_revoked('realm', "
                    "u.realm, '') FROM unnest($1::text[], $2::text[]) WITH ORDINALITY u(realm, name, n) LEFT "
                    "JOIN turncred.credential c ON c.realm = u.realm AND c.username = u.name ORDER BY u.n",
                    &p);
    if (!*out) {
      rc = ctl_db_error(ctl);
    }
  }
  pg_array_clear(&realms);
  pg_array_clear(&names);
  return rc;
}

/* Reports the users of the batch, writes those that are new or changed, and empties the batch. */
static enum ctl_exit flush_users(struct ctl *ctl, struct import *im, struct batch *batch) {
  struct pg_array values[5] = {0};
  PGresult *r = NULL;
  size_t wanted = 0;
  enum ctl_exit rc = batch->count ? query_users(ctl, batch, &r) : CTL_OK;
  for (size_t i = 0; !rc && i < batch->count; i++) {
    const struct user *user = &batch->users[i];
    bool exists = *PQgetvalue(r, (int)i, 5) == 't';
    if (*PQgetvalue(r, (int)i, 6) == 't') {
      import_note(im, "user", user->realm, user->name, "skip", "the user is revoked here");
      continue;
    }
    bool same = exists && same_user(im, user, r, (int)i);
    import_note(im, "user", user->realm, user->name, same ? "same" : exists ? "update" : "add", "%s", "");
    wanted += !same;
    if (!same) {
      rc = add_user(ctl, im, user, values);
    }
  }
  if (!rc && wanted && im->apply) {
    rc = write_users(ctl, values);
  }
  for (int i = 0; i < 5; i++) {
    pg_array_clear(&values[i]);
  }
  PQclear(r);
  turncred_cleanse(batch->users, sizeof batch->users);
  batch->count = 0;
  return rc;
}

/* Puts a user into the batch, or reports why the user is skipped. hex: the long-term key. */
static enum ctl_exit import_user(struct ctl *ctl, struct import *im, struct batch *batch, const char *realm,
                                 const char *name, char *hex) {
  uint8_t md5[64];
  size_t len = 0;
  const char *kek_id = NULL;
  json_t *entry = import_target(im, "user", &realm, name);
  if (!entry || !import_can_store(im, "user", realm, name, entry, &kek_id)) {
    return CTL_OK;
  }
  trim(hex);
  if (!*name || strlen(name) > TURNCRED_USERNAME_MAX || !turncred_username_coturn_accepts(name, strlen(name))) {
    import_note(im, "user", realm, name, "skip", "coturn itself refuses this name in a request");
    return CTL_OK;
  }
  if (turncred_hex_decode(hex, strlen(hex), md5, sizeof md5, &len) || len != 16) {
    import_note(im, "user", realm, name, "skip",
                len == 32 ? "hmackey is a SHA-256 key, which clients of this coturn cannot use: set the "
                            "password anew"
                          : "hmackey is not 32 hexadecimal digits (MD5 of user:realm:password)");
    return CTL_OK;
  }
  import_need_mechanism(im, "user", realm, entry, "pushed");
  struct user *user = &batch->users[batch->count++];
  user->realm = realm;
  user->name = name;
  user->kek_id = kek_id;
  memcpy(user->md5, md5, sizeof user->md5);
  turncred_cleanse(md5, sizeof md5);
  return batch->count == USERS_AT_ONCE ? flush_users(ctl, im, batch) : CTL_OK;
}

/* The user= lines of turnserver.conf, from the last to the first: of two lines with one name coturn
 * takes the last. */
static enum ctl_exit import_conf_users(struct ctl *ctl, struct import *im, struct batch *batch) {
  enum ctl_exit rc = CTL_OK;
  for (size_t i = im->conf.count; !rc && i-- > 0;) {
    struct turnserver_line *line = &im->conf.lines[i];
    char hex[33] = "", where[32];
    const char *realm = im->default_realm;
    if (line->secret) {
      continue;
    }
    snprintf(where, sizeof where, "line %u", line->number);
    const char *wrong = realm ? turnserver_user_key(line->value, realm, hex)
                              : "the user belongs to the server's default realm: name that "
                                "realm with --default-realm";
    if (wrong) {
      import_note(im, "user", realm ? realm : "", where, "skip", "%s", wrong);
    } else if (json_object_get(im->conf_users, line->value)) {
      import_note(im, "user", realm, line->value, "skip", "a later line gives this user again");
    } else if (!json_object_set_new(im->conf_users, line->value, json_true())) {
      rc = import_user(ctl, im, batch, realm, line->value, hex);
    }
    turncred_cleanse(hex, sizeof hex);
  }
  return rc;
}

/* Whether turnserver.conf has the user too, which coturn looks up before it asks its database. */
static bool hidden_by_conf(struct import *im, const char *realm, const char *name) {
  bool hidden =
      im->default_realm && (!*realm || !strcmp(realm, im->default_realm)) && json_object_get(im->conf_users, name);
  if (hidden) {
    import_note(im, "user", im->default_realm, name, "skip",
                "turnserver.conf has this user too, and coturn takes the user from there");
  }
  return hidden;
}

enum ctl_exit import_users(struct ctl *ctl, struct import *im) {
  struct batch *batch = calloc(1, sizeof *batch);
  PGresult *r = NULL;
  if (!batch) {
    return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  enum ctl_exit rc = import_conf_users(ctl, im, batch);
  if (!rc) {
    rc = flush_users(ctl, im, batch); /* names of these users are in im->conf, of others in r */
  }
  if (!rc) {
    rc = import_query(ctl, im, "SELECT trim(realm), name, hmackey FROM turnusers_lt ORDER BY 1, 2", &r);
  }
  for (int i = 0; !rc && i < PQntuples(r); i++) {
    if (!hidden_by_conf(im, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1))) {
      rc = import_user(ctl, im, batch, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), PQgetvalue(r, i, 2));
    }
  }
  if (!rc) {
    rc = flush_users(ctl, im, batch);
  }
  PQclear(r);
  free(batch);
  return rc;
}
