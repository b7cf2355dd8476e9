/*
 * keyring.c - rows of turncred.key with their octets: unsealed when read, sealed when added
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "keyring.h"

#include "base/calendar.h"
#include "base/clock.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void keyring_clear(struct stored_key *key) { turncred_cleanse(key, sizeof *key); }

enum ctl_exit keyring_load_optional(struct ctl *ctl, struct kek_ring **ring) {
  char text[512];
  *ring = NULL;
  enum ctl_exit rc = ctl_settings(ctl);
  if (rc || !ctl->kek) {
    return rc;
  }
  if (kek_ring_load(ring, ctl->kek, text, sizeof text)) {
    return ctl_fail(ctl, CTL_USAGE, "%s", text);
  }
  return CTL_OK;
}

enum ctl_exit keyring_load(struct ctl *ctl, struct kek_ring **ring) {
  enum ctl_exit rc = keyring_load_optional(ctl, ring);
  if (!rc && !*ring) {
    rc = ctl_fail(ctl, CTL_USAGE,
                  "the key encryption key is needed: name its file with --kek, TURNCRED_KEK or in "
                  "the configuration file (turncredctl kek generate makes one)");
  }
  return rc;
}

enum ctl_exit keyring_choose(const struct ctl *ctl, const struct kek_ring *ring, const char *named,
                             const char *of_realm, const char **id) {
  const char *wanted = named ? named : of_realm;
  *id = wanted ? wanted : kek_ring_default(ring);
  if (!*id) {
    return ctl_fail(ctl, CTL_USAGE,
                    "--kek names several key encryption keys: choose one with --kek-id, or set it "
                    "for the realm (turncredctl realm set --kek-id)");
  }
  if (!kek_ring_find(ring, *id)) {
    return ctl_fail(ctl, CTL_REFUSED, "key encryption key \"%s\"%s is not among those of --kek", *id,
                    named || !of_realm ? "" : " (the realm's)");
  }
  return CTL_OK;
}

/* Fills *key from row i of the query in keyring_rows(); k_len is 0 if no key of ring opens the row.
 * false: the row has a name that this program does not know. */
static bool read_row(const PGresult *r, int i, const struct kek_ring *ring, struct stored_key *key) {
  uint8_t octets[TURNCRED_SECRET_MAX];
  size_t len = 0;
  memset(key, 0, sizeof *key);
  snprintf(key->realm, sizeof key->realm, "%s", PQgetvalue(r, i, 0));
  snprintf(key->kid, sizeof key->kid, "%s", PQgetvalue(r, i, 1));
  snprintf(key->kek_id, sizeof key->kek_id, "%s", PQgetvalue(r, i, 2));
  snprintf(key->state, sizeof key->state, "%s", PQgetvalue(r, i, 3));
  if (turncred_use_parse(PQgetvalue(r, i, 4), &key->use) || turncred_alg_parse(PQgetvalue(r, i, 5), &key->alg) ||
      turncred_derivation_parse(PQgetvalue(r, i, 6), &key->derivation) ||
      turncred_username_format_parse(PQgetvalue(r, i, 7), &key->form.order) || PQgetlength(r, i, 12) != 1) {
    return false;
  }
  key->form.separator = *PQgetvalue(r, i, 12);
  key->subject_tag = *PQgetvalue(r, i, 8) == 't';
  key->allow_zero_iv = *PQgetvalue(r, i, 9) == 't';
  key->limits = (struct ctl_limits){strtoll(PQgetvalue(r, i, 13), NULL, 10), strtoll(PQgetvalue(r, i, 14), NULL, 10)};
  bool sealed = !PQgetisnull(r, i, 10);
  const char *hex = PQgetvalue(r, i, sealed ? 10 : 11);
  if (turncred_hex_decode(hex, strlen(hex), octets, sizeof octets, &len)) {
    return false;
  }
  const uint8_t *kek = sealed && ring ? kek_ring_find(ring, key->kek_id) : NULL;
  struct turncred_key_row row = {key->kek_id, key->realm, key->kid, key->use, key->alg, key->derivation};
  if (!sealed && key->use == TURNCRED_USE_REST) {
    if (turncred_rest_secret(key->alg, octets, len, key->k, &key->k_len)) {
      key->k_len = 0;
    }
  } else if (!sealed && len <= sizeof key->k) {
    memcpy(key->k, octets, len);
    key->k_len = len;
  } else if (kek && turncred_key_unseal(NULL, kek, &row, octets, len, key->k, sizeof key->k, &key->k_len)) {
    key->k_len = 0;
  }
  turncred_cleanse(octets, sizeof octets);
  return true;
}

enum ctl_exit keyring_rows(struct ctl *ctl, const struct kek_ring *ring, const char *condition,
                           const struct pg_params *params, struct stored_key **out, size_t *count) {
  char sql[1024];
  *out = NULL;
  *count = 0;
  enum ctl_exit rc = ctl_connect(ctl);
  if (rc) {
    return rc;
  }
  snprintf(sql, sizeof sql,
           "SELECT realm, kid, kek_id, state, use, alg, derivation, username_format, subject_tag, "
           "allow_zero_iv, encode(wrapped, 'hex'), encode(plain, 'hex'), separator, max_bps, max_allocations FROM "
           "turncred.key k WHERE "
           "%s",
           condition);
  PGresult *r = pg_query(ctl->db, sql, params);
  if (!r) {
    return ctl_db_error(ctl);
  }
  int n = PQntuples(r);
  *out = calloc((size_t)n + 1, sizeof **out);
  if (!*out) {
    PQclear(r);
    return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  for (int i = 0; i < n; i++) {
    if (read_row(r, i, ring, *out + *count)) {
      ++*count;
    }
  }
  PQclear(r);
  return rc;
}

static void free_rows(struct stored_key *rows, size_t count) {
  for (size_t i = 0; i < count; i++) {
    keyring_clear(&rows[i]);
  }
  free(rows);
}

enum ctl_exit keyring_signer(struct ctl *ctl, const char *realm, enum turncred_use use, const char *kid,
                             struct stored_key *key) {
  struct kek_ring *ring = NULL;
  struct stored_key *rows = NULL;
  size_t count = 0;
  struct pg_params p = {0};
  enum ctl_exit rc = keyring_load_optional(ctl, &ring);
  pg_text(&p, realm);
  pg_text(&p, turncred_use_name(use));
  pg_text(&p, kid);
  if (!rc) {
    rc = keyring_rows(ctl, ring,
                      "realm = $1 AND use = $2 AND ($3::text IS NULL OR kid = $3) AND state = "
                      "'active' AND coalesce(not_before, now()) <= now() AND "
                      "coalesce(sign_until, 'infinity') > now() AND "
                      "coalesce(accept_until, 'infinity') > now() ORDER BY greatest(not_before, "
                      "created_at) DESC, kid COLLATE \"C\" LIMIT 1",
                      &p, &rows, &count);
  }
  if (!rc && !count && kid) {
    rc = ctl_fail(ctl, CTL_REFUSED,
                  "key \"%s\" of realm \"%s\" is not an active %s key inside its signing window; "
                  "see turncredctl key show",
                  kid, realm, turncred_use_name(use));
  } else if (!rc && !count) {
    rc = ctl_need_realm(ctl, realm);
  }
  if (!rc && !count && !kid) {
    rc = ctl_fail(ctl, CTL_REFUSED, "realm \"%s\" has no active %s key; add one: turncredctl key add %s --use %s",
                  realm, turncred_use_name(use), realm, turncred_use_name(use));
  }
  if (!rc && !rows[0].k_len && !ring) {
    rc = keyring_load(ctl, &ring); /* its message says what is missing */
  } else if (!rc && !rows[0].k_len) {
    rc = ctl_fail(ctl, CTL_REFUSED, "key \"%s\" is sealed under key encryption key \"%s\", which %s", rows[0].kid,
                  rows[0].kek_id,
                  kek_ring_find(ring, rows[0].kek_id) ? "does not open it: the file is not the one it was sealed with"
                                                      : "is not among those of --kek");
  }
  if (!rc) {
    *key = rows[0];
  }
  free_rows(rows, count);
  kek_ring_free(ring);
  return rc;
}

bool keyring_published(const uint8_t *octets, size_t len) {
  /* examples/etc/turnserver.conf, testsqldbsetup.sql, testredisdbsetup.sh, testmongosetup.sh */
  static const char *const texts[] = {"logen",
                                      "bloody9",
                                      "north",
                                      "library",
                                      "01234567890123456789012345678901",
                                      "1234567890123456",
                                      "12345678901234567890123456789012"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    size_t n = strlen(texts[i]);
    /* the keys end with a newline there */
    if (!memcmp(octets, texts[i], len < n ? len : n) && (len == n || (len == n + 1 && octets[n] == '\n'))) {
      return true;
    }
  }
  return false;
}

enum ctl_exit keyring_refuse_reuse(struct ctl *ctl, const struct kek_ring *ring, const struct stored_key *key) {
  struct stored_key *rows = NULL;
  size_t count = 0;
  if (keyring_published(key->k, key->k_len)) {
    return ctl_fail(
        ctl, CTL_REFUSED,
        "these octets stand in coturn's own examples, so anybody can make credentials with them: take others");
  }
  enum ctl_exit rc = keyring_rows(ctl, ring, "true", NULL, &rows, &count);
  for (size_t i = 0; !rc && i < count; i++) {
    const struct stored_key *other = &rows[i];
    if (other->k_len != key->k_len || CRYPTO_memcmp(other->k, key->k, key->k_len)) {
      continue;
    }
    bool same_use = other->use == key->use && other->alg == key->alg && other->derivation == key->derivation &&
                    other->form.order == key->form.order && other->form.separator == key->form.separator;
    if (!same_use || !strcmp(other->realm, key->realm)) {
      rc = ctl_fail(ctl, CTL_REFUSED,
                    "key \"%s\" of realm \"%s\" (%s, %s) has the same octets: one key serves one "
                    "use, one algorithm and one form of username (a rest secret that signs both orders: "
                    "--username-format either)",
                    other->kid, other->realm, turncred_use_name(other->use), turncred_alg_name(other->alg));
    }
  }
  free_rows(rows, count);
  return rc;
}

enum ctl_exit keyring_refuse_crowd(struct ctl *ctl, const struct stored_key *key) {
  struct pg_params p = {0};
  json_t *row = NULL;
  if (key->use != TURNCRED_USE_DERIVED && key->use != TURNCRED_USE_REST) {
    return CTL_OK;
  }
  pg_text(&p, key->realm);
  pg_text(&p, turncred_use_name(key->use));
  pg_text(&p, key->kid);
  enum ctl_exit rc = ctl_row(ctl,
                             "SELECT count(*), (SELECT keys_tried FROM turncred.realm WHERE name = $1) AS tried, "
                             "to_char(min(accept_until) AT TIME ZONE 'UTC', "
                             "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS first FROM turncred.key WHERE realm = $1 "
                             "AND use = $2 AND kid <> $3 AND state <> 'disabled' AND "
                             "coalesce(accept_until, 'infinity') > now()",
                             &p, &row);
  const char *first = rc ? NULL : json_string_value(json_object_get(row, "first"));
  json_int_t count = json_integer_value(json_object_get(row, "count"));
  if (!rc && count && count >= json_integer_value(json_object_get(row, "tried"))) {
    rc = ctl_fail(ctl, CTL_REFUSED,
                  "realm \"%s\" has %lld %s keys that are accepted, and servers try no more: what "
                  "the oldest of them signed would be refused before its time\n  remedy: have servers try more "
                  "(turncredctl realm set %s --keys-tried N); wait until "
                  "%s, when the first of them is done; or end one and what it signed: turncredctl "
                  "key disable, or key set --accept-until",
                  key->realm, (long long)count, turncred_use_name(key->use), key->realm,
                  first ? first : "one of them is retired and its accept-until over");
  }
  json_decref(row);
  return rc;
}

enum ctl_exit keyring_insert(struct ctl *ctl, const struct kek_ring *ring, const struct stored_key *key,
                             const char *kek_id, const struct key_window *window, bool has_subject_tag) {
  uint8_t wrapped[TURNCRED_WRAPPED_MAX];
  size_t len = 0;
  struct pg_params p = {0};
  const char separator[2] = {(char)(key->form.separator ? key->form.separator : ':'), '\0'};
  struct turncred_key_row row = {kek_id, key->realm, key->kid, key->use, key->alg, key->derivation};
  if (kek_id &&
      turncred_key_seal(kek_ring_find(ring, kek_id), &row, key->k, key->k_len, wrapped, sizeof wrapped, &len)) {
    return ctl_fail(ctl, CTL_INTERNAL, "the key could not be sealed");
  }
  pg_text(&p, key->realm);
  pg_text(&p, key->kid);
  pg_text(&p, turncred_use_name(key->use));
  pg_text(&p, turncred_alg_name(key->alg));
  pg_text(&p, turncred_derivation_name(key->derivation));
  pg_text(&p, turncred_username_format_name(key->form.order));
  pg_text(&p, kek_id);
  if (kek_id) {
    pg_octets(&p, wrapped, len);
  } else {
    pg_text(&p, NULL);
  }
  if (kek_id) {
    pg_text(&p, NULL);
  } else {
    pg_octets(&p, key->k, key->k_len);
  }
  pg_text(&p, key->state);
  pg_time(&p, window->not_before);
  pg_time(&p, window->sign_until);
  pg_time(&p, window->accept_until);
  pg_text(&p, key->allow_zero_iv ? "t" : "f");
  pg_text(&p, has_subject_tag ? key->subject_tag ? "t" : "f" : NULL);
  pg_text(&p, separator);
  pg_text(&p, key->imported ? "t" : "f");
  pg_int(&p, key->limits.max_bps);
  pg_int(&p, key->limits.max_allocations);
  return ctl_run(ctl,
                 "INSERT INTO turncred.key (realm, kid, use, alg, derivation, username_format, "
                 "kek_id, wrapped, plain, state, not_before, sign_until, accept_until, "
                 "allow_zero_iv, subject_tag, separator, imported, max_bps, max_allocations) "
                 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
                 "to_timestamp($11::bigint), to_timestamp($12::bigint), to_timestamp($13::bigint), "
                 "$14::boolean, $15::boolean, $16, $17::boolean, $18::bigint, $19::integer)",
                 &p, NULL);
}

enum turncred_err keyring_use_parse(const char *text, enum turncred_use *use) {
  enum turncred_use parsed;
  enum turncred_err err = turncred_use_parse(text, &parsed);
  if (!err && parsed == TURNCRED_USE_TAG) {
    err = TURNCRED_BAD_ALGORITHM;
  }
  if (!err) {
    *use = parsed;
  }
  return err;
}

enum ctl_exit keyring_tag_key(struct ctl *ctl, const struct stored_key *signer, uint8_t key[TAG_KEY_OCTETS]) {
  struct kek_ring *ring = NULL;
  char text[1024];
  enum ctl_exit rc = keyring_load_optional(ctl, &ring);
  if (!rc) {
    rc = ctl_connect(ctl);
  }
  if (rc) {
    return rc;
  }
  switch (tag_key_get(ctl->db, ring, signer->realm, signer->kid, key, text, sizeof text)) {
  case TAG_KEY_OK:
    break;
  case TAG_KEY_DATABASE:
    rc = ctl_db_error(ctl);
    break;
  case TAG_KEY_FAILED:
    rc = ctl_fail(ctl, CTL_INTERNAL, "%s", text);
    break;
  default:
    rc = ctl_fail(ctl, CTL_REFUSED, "%s", text);
  }
  kek_ring_free(ring);
  return rc;
}

enum ctl_exit keyring_new_kid(const struct ctl *ctl, enum turncred_use use, char *out, size_t cap) {
  uint8_t random[4];
  char hex[9], day[16] = "";
  struct tm date;
  if (RAND_bytes(random, sizeof random) != 1) {
    return ctl_fail(ctl, CTL_INTERNAL, "the random number generator failed");
  }
  turncred_hex_encode(random, sizeof random, hex, sizeof hex);
  if (calendar_date(clock_now(), &date)) {
    strftime(day, sizeof day, "%Y%m%d", &date);
  }
  snprintf(out, cap, "%s-%s-%s", turncred_use_name(use), day, hex);
  return CTL_OK;
}
