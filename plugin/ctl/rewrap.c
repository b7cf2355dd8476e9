/*
 * rewrap.c - turncredctl kek rewrap: seals all rows anew under another key encryption key
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows are sealed anew in batches, each in a transaction. If another program changes a row
 * meanwhile, its change wins. Both key encryption keys must be in --kek, and every server and
 * issuer must have both, until the command has ended.
 */
#include "config.h"

#include "keyring.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPIRY SQL_SECONDS("expiry")

#define ROWS_AT_ONCE 500

struct rewrap {
  const struct kek_ring *ring;
  const char *to, *realm;
  int64_t keys, credentials, failed;
};

static enum ctl_exit rewrap_key(struct ctl *ctl, struct rewrap *w, const struct stored_key *key) {
  uint8_t wrapped[TURNCRED_WRAPPED_MAX];
  size_t len = 0;
  struct pg_params p = {0};
  struct turncred_key_row row = {w->to, key->realm, key->kid, key->use, key->alg, key->derivation};
  int64_t rows = 0;
  if (!key->k_len) {
    ctl_note(ctl, "key \"%s\" of realm \"%s\" does not open under \"%s\" and is left as it is", key->kid, key->realm,
             key->kek_id);
    w->failed++;
    return CTL_OK;
  }
  if (turncred_key_seal(kek_ring_find(w->ring, w->to), &row, key->k, key->k_len, wrapped, sizeof wrapped, &len)) {
    return ctl_fail(ctl, CTL_INTERNAL, "a key could not be sealed");
  }
  pg_text(&p, key->realm);
  pg_text(&p, key->kid);
  pg_text(&p, key->kek_id);
  pg_text(&p, w->to);
  pg_octets(&p, wrapped, len);
  enum ctl_exit rc = ctl_run(ctl,
                             "UPDATE turncred.key SET kek_id = $4, wrapped = $5 WHERE realm = $1 AND kid = "
                             "$2 AND kek_id = $3",
                             &p, &rows);
  w->keys += rows;
  return rc;
}

static enum ctl_exit rewrap_keys(struct ctl *ctl, struct rewrap *w) {
  struct stored_key *rows = NULL;
  size_t count = 0;
  struct pg_params p = {0};
  pg_text(&p, w->to);
  pg_text(&p, w->realm);
  enum ctl_exit rc = ctl_begin(ctl);
  if (!rc) {
    rc = keyring_rows(ctl, w->ring,
                      "kek_id <> $1 AND ($2::text IS NULL OR realm = $2) ORDER BY realm, kid FOR "
                      "UPDATE",
                      &p, &rows, &count);
  }
  for (size_t i = 0; !rc && i < count; i++) {
    rc = rewrap_key(ctl, w, &rows[i]);
  }
  for (size_t i = 0; i < count; i++) {
    keyring_clear(&rows[i]);
  }
  free(rows);
  if (!rc) {
    rc = ctl_commit(ctl);
  }
  ctl_rollback(ctl);
  return rc;
}

/* Row i of the query in rewrap_credentials(). */
static enum ctl_exit rewrap_credential(struct ctl *ctl, struct rewrap *w, const PGresult *r, int i) {
  const char *kek_id = PQgetvalue(r, i, 2), *expiry = PQgetvalue(r, i, 3);
  struct turncred_credential_row row = {kek_id,
                                        PQgetvalue(r, i, 0),
                                        PQgetvalue(r, i, 1),
                                        strtoll(expiry, NULL, 10),
                                        PQgetvalue(r, i, 4),
                                        PQgetisnull(r, i, 6) ? NULL : PQgetvalue(r, i, 6)};
  uint8_t sealed[TURNCRED_CREDENTIAL_SEALED], plain[TURNCRED_CREDENTIAL_PLAIN], nonce[12];
  size_t len = 0;
  const char *hex = PQgetvalue(r, i, 5);
  const uint8_t *kek = kek_ring_find(w->ring, kek_id);
  struct pg_params p = {0};
  if (!kek || turncred_hex_decode(hex, strlen(hex), sealed, sizeof sealed, &len) ||
      turncred_credential_unseal(NULL, kek, &row, sealed, len, plain)) {
    ctl_note(ctl, "credential of \"%s\" in realm \"%s\" does not open under \"%s\" and is left as it is", row.username,
             row.realm, kek_id);
    w->failed++;
    return CTL_OK;
  }
  row.kek_id = w->to;
  bool good = RAND_bytes(nonce, sizeof nonce) == 1 &&
              !turncred_credential_seal(kek_ring_find(w->ring, w->to), &row, nonce, plain, sealed);
  turncred_cleanse(plain, sizeof plain);
  if (!good) {
    return ctl_fail(ctl, CTL_INTERNAL, "a credential could not be sealed");
  }
  pg_text(&p, row.realm);
  pg_text(&p, row.username);
  pg_text(&p, w->to);
  pg_octets(&p, sealed, sizeof sealed);
  w->credentials++;
  return ctl_run(ctl,
                 "UPDATE turncred.credential SET kek_id = $3, sealed = $4 WHERE realm = $1 AND "
                 "username = $2",
                 &p, NULL);
}

/* Batch by batch in order of (realm, username). */
static enum ctl_exit rewrap_credentials(struct ctl *ctl, struct rewrap *w) {
  char *realm = strdup(""), *username = strdup("");
  enum ctl_exit rc = realm && username ? CTL_OK : ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  for (int n = ROWS_AT_ONCE; !rc && n == ROWS_AT_ONCE;) {
    struct pg_params p = {0};
    pg_text(&p, w->to);
    pg_text(&p, w->realm);
    pg_text(&p, realm);
    pg_text(&p, username);
    pg_int(&p, ROWS_AT_ONCE);
    if ((rc = ctl_begin(ctl))) {
      break;
    }
    PGresult *r =
        pg_query(ctl->db,
                 "SELECT realm, username, kek_id, coalesce(" EXPIRY ", 0), client_address, encode(sealed, 'hex'), "
                 "to_jsonb(c) ->> 'user_id' FROM "
                 "turncred.credential c WHERE kek_id <> $1 AND ($2::text IS NULL OR realm "
                 "= $2) AND (realm, username) > ($3, $4) ORDER BY realm, username LIMIT "
                 "$5::bigint FOR UPDATE",
                 &p);
    if (!r) {
      rc = ctl_db_error(ctl);
    }
    n = rc ? 0 : PQntuples(r);
    for (int i = 0; !rc && i < n; i++) {
      rc = rewrap_credential(ctl, w, r, i);
    }
    if (!rc && n) {
      free(realm);
      free(username);
      realm = strdup(PQgetvalue(r, n - 1, 0));
      username = strdup(PQgetvalue(r, n - 1, 1));
      if (!realm || !username) {
        rc = ctl_fail(ctl, CTL_INTERNAL, "out of memory");
      }
    }
    PQclear(r);
    if (!rc) {
      rc = ctl_commit(ctl);
    }
    ctl_rollback(ctl);
  }
  free(realm);
  free(username);
  return rc;
}

/* Refuses a key encryption key that an instance lacks: the instance would lose every row. */
static enum ctl_exit refuse_without_kek(struct ctl *ctl, const char *to) {
  struct pg_params p = {0};
  char *names = NULL;
  pg_text(&p, to);
  enum ctl_exit rc = ctl_value(ctl,
                               "SELECT string_agg(id, ', ' ORDER BY id) FROM turncred.instance WHERE NOT $1 "
                               "= ANY (kek_ids)",
                               &p, &names);
  if (!rc && names) {
    rc = ctl_fail(ctl, CTL_REFUSED,
                  "these instances do not hold key encryption key \"%s\" and could not open anything "
                  "sealed under it: %s\n  remedy: give them the file beside the old one and reload them, "
                  "forget those that are gone (turncredctl server forget), or give --force",
                  to, names);
  }
  free(names);
  return rc;
}

enum ctl_exit cmd_kek_rewrap(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"kek_id", "kek id", CTL_TEXT},           {"keys", "keys sealed anew", CTL_TEXT},
      {"credentials", "credentials", CTL_TEXT}, {"realms", "realms set to it", CTL_TEXT},
      {"failed", "left as they are", CTL_TEXT}, {NULL, NULL, CTL_TEXT},
  };
  struct rewrap w = {.to = ctl_operand(ctl, 0), .realm = ctl_get(ctl, "realm")};
  struct kek_ring *ring = NULL;
  struct pg_params p = {0};
  int64_t realms = 0;
  enum ctl_exit rc = keyring_load(ctl, &ring);
  w.ring = ring;
  if (!rc && !kek_ring_find(ring, w.to)) {
    rc = ctl_fail(ctl, CTL_USAGE,
                  "key encryption key \"%s\" is not in --kek; name a folder that holds the old and "
                  "the new file",
                  w.to);
  }
  if (!rc && w.realm) {
    rc = ctl_need_realm(ctl, w.realm);
  }
  if (!rc && !ctl_has(ctl, "force")) {
    rc = refuse_without_kek(ctl, w.to);
  }
  /* first the realms, so that nothing new is sealed under the old key encryption key */
  pg_text(&p, w.to);
  pg_text(&p, w.realm);
  if (!rc) {
    rc = ctl_run(ctl,
                 "UPDATE turncred.realm SET kek_id = $1 WHERE kek_id <> $1 AND ($2::text IS NULL OR "
                 "name = $2)",
                 &p, &realms);
  }
  if (!rc) {
    rc = rewrap_keys(ctl, &w);
  }
  if (!rc) {
    rc = rewrap_credentials(ctl, &w);
  }
  kek_ring_free(ring);
  if (!rc) {
    rc = ctl_print_record(ctl,
                          json_pack("{s:s, s:I, s:I, s:I, s:I}", "kek_id", w.to, "keys", (json_int_t)w.keys,
                                    "credentials", (json_int_t)w.credentials, "realms", (json_int_t)realms, "failed",
                                    (json_int_t)w.failed),
                          columns);
  }
  if (!rc && w.failed) {
    rc = ctl_fail(ctl, CTL_REFUSED,
                  "%lld rows did not open: their key encryption key is missing from --kek, or they "
                  "were altered",
                  (long long)w.failed);
  }
  return rc;
}
