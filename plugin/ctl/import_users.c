/*
 * import_users.c - users of turnusers_lt and of turnserver.conf become pushed credentials
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/utf8.h"
#include "import.h"
#include "pg/array.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPIRY SQL_SECONDS("c.expiry")

#define USERS_AT_ONCE 500 /* fewer rows than the change feed calls bulk */

/* Users are written in batches, one statement for each batch. */
struct user {
  char realm[TURNCRED_REALM_MAX + 1], name[TURNCRED_USERNAME_MAX + 1];
  const char *kek_id; /* in memory of the ring or of im->realms */
  enum import_use use;
  uint8_t md5[TURNCRED_LONG_TERM_MD5];
  bool exists, write;
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
  struct turncred_credential_row row = {
      PQgetvalue(r, i, 0), user->realm, user->name, strtoll(PQgetvalue(r, i, 3), NULL, 10), PQgetvalue(r, i, 4), NULL};
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
  struct turncred_credential_row row = {user->kek_id, user->realm, user->name, 0, "", NULL};
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

/* Writes the users of the batch from first to before end that are to be written. */
static enum ctl_exit write_users(struct ctl *ctl, const struct import *im, const struct batch *batch, size_t first,
                                 size_t end) {
  struct pg_array values[5] = {0};
  struct pg_params p = {0};
  enum ctl_exit rc = CTL_OK;
  for (size_t i = first; !rc && i < end; i++) {
    rc = batch->users[i].write ? add_user(ctl, im, &batch->users[i], values) : CTL_OK;
  }
  for (int i = 0; !rc && i < 5; i++) {
    const char *text = pg_array_end(&values[i]);
    pg_text(&p, text);
    rc = text ? CTL_OK : ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  if (!rc) {
    rc = ctl_run(ctl,
                 "INSERT INTO turncred.credential (realm, username, kek_id, sealed, md5) SELECT * "
                 "FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bytea[]) ON "
                 "CONFLICT (realm, username) DO UPDATE SET kek_id = excluded.kek_id, sealed = "
                 "excluded.sealed, md5 = excluded.md5, sha256 = NULL, expiry = NULL, "
                 "client_address = '', user_id = NULL, pushed_at = now()",
                 &p, NULL);
  }
  for (int i = 0; i < 5; i++) {
    pg_array_clear(&values[i]);
  }
  return rc;
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
                    "coalesce(" EXPIRY ", 0), c.client_address, c.username IS NOT "
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

static struct import_row row_of(const struct user *user) {
  return (struct import_row){"user", user->realm, user->name, user->use};
}

/* Decides which users of the batch are written, and reports the others. Returns how many are. */
static size_t judge_users(struct import *im, struct batch *batch, const PGresult *r) {
  size_t wanted = 0;
  for (size_t i = 0; i < batch->count; i++) {
    struct user *user = &batch->users[i];
    const struct import_row row = row_of(user);
    user->exists = *PQgetvalue(r, (int)i, 5) == 't';
    bool revoked = *PQgetvalue(r, (int)i, 6) == 't';
    bool same = user->exists && same_user(im, user, r, (int)i);
    user->write = !revoked && !same;
    wanted += user->write;
    if (revoked) {
      import_note(im, &row, "skip", "the user is revoked here");
    } else if (same) {
      import_note(im, &row, "same", "%s", "");
    }
  }
  return wanted;
}

/* Writes users first to before end of the batch as one row, and reports them. *refused: none of them is written, and
 * none is reported unless there is only one. */
static enum ctl_exit try_users(struct ctl *ctl, struct import *im, const struct batch *batch, size_t first, size_t end,
                               bool *refused) {
  struct import_attempt attempt;
  enum ctl_exit rc = import_attempt(ctl, &attempt);
  if (!rc) {
    rc = import_attempted(ctl, &attempt, write_users(ctl, im, batch, first, end), refused);
  }
  for (size_t i = first; !rc && i < end && (!*refused || end - first == 1); i++) {
    const struct user *user = &batch->users[i];
    const struct import_row row = row_of(user);
    if (user->write) {
      import_note(im, &row,
                  *refused       ? "skip"
                  : user->exists ? "update"
                                 : "add",
                  "%s",
                  *refused                     ? attempt.said.text
                  : user->use == IMPORT_UNUSED ? "this coturn does not take the user, as turnserver.conf has it"
                                               : "");
    }
  }
  return rc;
}

/* Writes those users of the batch that are new or changed, reports all of them, and empties the batch. */
static enum ctl_exit flush_users(struct ctl *ctl, struct import *im, struct batch *batch) {
  PGresult *r = NULL;
  bool refused = false;
  enum ctl_exit rc = batch->count ? query_users(ctl, batch, &r) : CTL_OK;
  size_t wanted = rc || !batch->count ? 0 : judge_users(im, batch, r);
  PQclear(r);
  if (!rc && wanted) {
    rc = try_users(ctl, im, batch, 0, batch->count, &refused);
  }
  /* one of them is bad: each on its own */
  for (size_t i = 0; !rc && refused && batch->count > 1 && i < batch->count; i++) {
    bool bad = false;
    rc = batch->users[i].write ? try_users(ctl, im, batch, i, i + 1, &bad) : CTL_OK;
  }
  turncred_cleanse(batch->users, sizeof batch->users);
  batch->count = 0;
  return rc;
}

/* Why coturn itself lets nobody in with this row; NULL: it does. hex: the long-term key, of which coturn takes the
 * first 32 digits. */
static const char *dead_user(const char *name, const char *hex) {
  size_t digits = strspn(hex, "0123456789abcdefABCDEF");
  if (!*name) {
    return "no name is left: coturn takes the octet AD out of names in turnserver.conf (RFC 4013), and refuses an "
           "empty one";
  }
  if (!turncred_username_coturn_accepts(name, strlen(name))) {
    return "coturn itself refuses this name in a request";
  }
  if (digits == 64 && !hex[64]) {
    return "hmackey is a SHA-256 key, which clients of this coturn cannot use: set the password anew";
  }
  return digits < 32 ? "hmackey is not 32 hexadecimal digits (MD5 of user:realm:password)" : NULL;
}

/* Puts a user into the batch, or reports why the user is skipped. */
static enum ctl_exit import_user(struct ctl *ctl, struct import *im, struct batch *batch, struct import_row row,
                                 const char *hex) {
  size_t len = 0;
  const char *kek_id = NULL, *dead = dead_user(row.name, hex);
  if (dead) {
    row.use = IMPORT_UNUSED;
    import_note(im, &row, "skip", "%s", dead);
    return CTL_OK;
  }
  json_t *entry = import_target(im, &row);
  if (!entry) {
    return CTL_OK;
  }
  if (strlen(row.name) > TURNCRED_USERNAME_MAX) {
    import_note(im, &row, "skip", "the name is longer than %d octets (RFC 8489 section 14.3)", TURNCRED_USERNAME_MAX);
  } else if (!utf8_is(row.name, strlen(row.name))) {
    import_note(im, &row, "skip",
                "the name is not UTF-8, which RFC 8489 demands; if clients do send these octets, give the user another "
                "name");
  } else if (import_can_store(im, &row, entry, &kek_id)) {
    import_need_mechanism(im, &row, entry, "pushed");
    struct user *user = &batch->users[batch->count++];
    snprintf(user->realm, sizeof user->realm, "%s", row.realm);
    snprintf(user->name, sizeof user->name, "%s", row.name);
    user->kek_id = kek_id;
    user->use = row.use;
    turncred_hex_decode(hex, 32, user->md5, sizeof user->md5, &len);
  }
  return batch->count == USERS_AT_ONCE ? flush_users(ctl, im, batch) : CTL_OK;
}

/* A user whose key turnserver.conf gives: in each realm that coturn serves. */
static enum ctl_exit import_keyed_user(struct ctl *ctl, struct import *im, struct batch *batch, const char *name,
                                       const char *hex) {
  enum ctl_exit rc = CTL_OK;
  const char *realm;
  json_t *ignored;
  json_object_foreach(im->served, realm, ignored) {
    if (!rc && (!im->default_realm || strcmp(realm, im->default_realm))) {
      rc = import_user(ctl, im, batch, (struct import_row){"user", realm, name, import_user_use(im)}, hex);
    }
  }
  return rc;
}

/* Imports one user= line, unless a later one names the user again. */
static enum ctl_exit import_conf_user(struct ctl *ctl, struct import *im, struct batch *batch,
                                      struct turnserver_line *line) {
  char hex[33] = "", where[32];
  const char *realm = im->default_realm;
  bool keyed = turnserver_user_has_key(line->value);
  struct import_row row = {"user", realm ? realm : "", where, import_user_use(im)};
  struct import_row dead = {"user", row.realm, where, IMPORT_UNUSED};
  snprintf(where, sizeof where, "%s %u", line->argument ? "argument" : "line", line->number);
  const char *wrong = realm ? turnserver_user_key(line->value, realm, hex) : NULL;
  enum ctl_exit rc = CTL_OK;
  if (!realm) {
    import_note(im, &row, "skip",
                "the user belongs to the server's default realm: name that realm with --default-realm");
  } else if (wrong) {
    import_note(im, &dead, "skip", "%s", wrong);
  } else if (json_object_get(im->conf_users, line->value)) {
    dead.name = line->value;
    import_note(im, &dead, "skip", "a later line gives this user again");
  } else {
    json_object_set_new(im->conf_users, line->value, json_boolean(keyed)); /* fails for names not in UTF-8: no harm */
    row.name = line->value;
    rc = import_user(ctl, im, batch, row, hex);
    rc = !rc && keyed ? import_keyed_user(ctl, im, batch, line->value, hex) : rc;
  }
  turncred_cleanse(hex, sizeof hex);
  return rc;
}

/* Whether a user of turnserver.conf has been imported into the realm: keyed, where it has a key for any realm. */
static bool is_of_conf(const struct import *im, const char *realm, bool keyed) {
  bool own = im->default_realm && !strcmp(realm, im->default_realm);
  return own || (keyed && json_object_get(im->served, realm));
}

/* A row of turnusers_lt. Those of no realm come first, and are put off until the default realm's rows are known. */
static enum ctl_exit import_user_row(struct ctl *ctl, struct import *im, const char *const *row, int64_t n) {
  (void)n;
  struct import_row user = {"user", row[0], row[1], import_row_use(im, import_user_use(im), row[0])};
  const json_t *of_conf = json_object_get(im->conf_users, row[1]);
  if (of_conf) {
    user.use = IMPORT_UNUSED;
    user.realm = *user.realm || !im->default_realm ? user.realm : im->default_realm;
    if (is_of_conf(im, user.realm, json_is_true(of_conf))) {
      import_note(im, &user, "skip", "turnserver.conf has this user too, and coturn takes the user from there");
      return CTL_OK;
    }
  }
  if (im->default_realm && !*row[0] && !json_object_set_new(im->homeless, row[1], json_string(row[2]))) {
    return CTL_OK;
  }
  if (im->default_realm && !strcmp(row[0], im->default_realm) && json_object_get(im->homeless, row[1])) {
    json_object_set_new(im->homeless, row[1], json_null());
  }
  return import_user(ctl, im, im->users, user, row[2]);
}

/* The rows of no realm, which become the default realm's, unless it has a row of the user: that one is coturn's. */
static enum ctl_exit import_homeless(struct ctl *ctl, struct import *im) {
  enum ctl_exit rc = CTL_OK;
  const char *name;
  json_t *hex;
  json_object_foreach(im->homeless, name, hex) {
    struct import_row row = {"user", "", name, import_row_use(im, import_user_use(im), "")};
    if (!rc && json_is_string(hex)) {
      rc = import_user(ctl, im, im->users, row, json_string_value(hex));
    } else if (!rc) {
      row.realm = im->default_realm;
      row.use = IMPORT_UNUSED;
      import_note(im, &row, "skip", "the default realm has a row of this user, too, and coturn takes that one");
    }
  }
  return rc;
}

enum ctl_exit import_users(struct ctl *ctl, struct import *im) {
  im->users = calloc(1, sizeof *im->users);
  if (!im->users) {
    return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  enum ctl_exit rc = CTL_OK;
  /* from the last line to the first: of two lines with one name coturn takes the last */
  for (size_t i = im->conf.count; !rc && i-- > 0;) {
    rc = im->conf.lines[i].secret ? CTL_OK : import_conf_user(ctl, im, im->users, &im->conf.lines[i]);
  }
  if (!rc) {
    rc = flush_users(ctl, im, im->users); /* before the rows that these users hide */
  }
  if (!rc) {
    rc = source_read(ctl, im, SOURCE_USERS, import_user_row);
  }
  if (!rc) {
    rc = import_homeless(ctl, im);
  }
  if (!rc) {
    rc = flush_users(ctl, im, im->users);
  }
  free(im->users);
  im->users = NULL;
  return rc;
}
