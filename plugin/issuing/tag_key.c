/*
 * tag_key.c - the realm's key of subject tags: read, or made on first need
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "tag_key.h"

#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct job {
  struct pg *db;
  const struct kek_ring *ring;
  const char *realm, *kid;
  uint8_t *key; /* gets the key; NULL: it is made only */
  char *text;
  size_t text_cap;
};

__attribute__((format(printf, 3, 4))) static enum tag_key_result say(const struct job *job, enum tag_key_result result,
                                                                     const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(job->text, job->text_cap, format, args);
  va_end(args);
  return result;
}

static enum tag_key_result database(const struct job *job) {
  snprintf(job->text, job->text_cap, "%s", job->db->text);
  return TAG_KEY_DATABASE;
}

static enum tag_key_result open_row(const struct job *job, const PGresult *r) {
  const char *kek_id = PQgetvalue(r, 0, 0), *hex = PQgetvalue(r, 0, 1);
  bool sealed = !PQgetisnull(r, 0, 0);
  uint8_t octets[TURNCRED_WRAPPED_MAX], k[TURNCRED_KEY_MAX + 8];
  size_t len = 0, k_len = 0;
  struct turncred_key_row row = {kek_id,           job->realm,           TURNCRED_TAG_KID,
                                 TURNCRED_USE_TAG, TURNCRED_HMAC_SHA256, TURNCRED_DERIVATION_NONE};
  const uint8_t *kek = sealed && job->ring ? kek_ring_find(job->ring, kek_id) : NULL;
  enum turncred_err err = turncred_hex_decode(hex, strlen(hex), octets, sizeof octets, &len);
  enum tag_key_result result = TAG_KEY_OK;
  if (sealed && !kek) {
    result = say(job, TAG_KEY_CLOSED,
                 "key \"" TURNCRED_TAG_KID "\" is sealed under key encryption key \"%s\", which is "
                 "not here; give its file too (realm \"%s\")",
                 kek_id, job->realm);
  } else if (!err && sealed) {
    err = turncred_key_unseal(NULL, kek, &row, octets, len, k, sizeof k, &k_len);
  } else if (!err) {
    memcpy(k, octets, k_len = len);
  }
  if (!result && (err || k_len != TAG_KEY_OCTETS)) {
    result = say(job, TAG_KEY_CLOSED,
                 "key \"" TURNCRED_TAG_KID "\" does not open under key encryption key \"%s\": the "
                 "file is not the one it was sealed with, or the row was altered (realm \"%s\")",
                 kek_id, job->realm);
  }
  if (!result) {
    memcpy(job->key, k, TAG_KEY_OCTETS);
  }
  turncred_cleanse(octets, sizeof octets);
  turncred_cleanse(k, sizeof k);
  return result;
}

/* *found false: the realm has none. */
static enum tag_key_result find(const struct job *job, bool *found) {
  struct pg_params p = {0};
  pg_text(&p, job->realm);
  PGresult *r = pg_query(job->db,
                         "SELECT kek_id, encode(coalesce(wrapped, plain), 'hex') FROM turncred.key "
                         "WHERE realm = $1 AND use = 'tag'",
                         &p);
  if (!r) {
    return database(job);
  }
  *found = PQntuples(r) > 0;
  enum tag_key_result result = *found ? open_row(job, r) : TAG_KEY_OK;
  PQclear(r);
  return result;
}

static enum tag_key_result add(const struct job *job, const char *kek_id) {
  uint8_t k[TAG_KEY_OCTETS], wrapped[TURNCRED_WRAPPED_MAX];
  size_t len = 0;
  struct pg_params p = {0};
  struct turncred_key_row row = {kek_id,           job->realm,           TURNCRED_TAG_KID,
                                 TURNCRED_USE_TAG, TURNCRED_HMAC_SHA256, TURNCRED_DERIVATION_NONE};
  const uint8_t *kek = kek_id && job->ring ? kek_ring_find(job->ring, kek_id) : NULL;
  if (kek_id && !kek) {
    return say(job, TAG_KEY_CLOSED,
               "key encryption key \"%s\" is needed to make the key of subject tags of realm "
               "\"%s\"; give its file",
               kek_id, job->realm);
  }
  if (RAND_priv_bytes(k, sizeof k) != 1) {
    return say(job, TAG_KEY_FAILED, "the random number generator failed");
  }
  bool good = !kek || !turncred_key_seal(kek, &row, k, sizeof k, wrapped, sizeof wrapped, &len);
  pg_text(&p, job->realm);
  pg_text(&p, kek_id);
  if (kek) {
    pg_octets(&p, wrapped, len);
    pg_text(&p, NULL);
  } else {
    pg_text(&p, NULL);
    pg_octets(&p, k, sizeof k);
  }
  bool done = good && !pg_run(job->db, "SELECT turncred.tag_key_add($1, $3, $2, $4)", &p, NULL);
  turncred_cleanse(k, sizeof k);
  if (!good) {
    return say(job, TAG_KEY_FAILED, "the key of subject tags could not be sealed");
  }
  return done ? TAG_KEY_OK : database(job);
}

/* Makes a key that is sealed, or plain, as the key that signs is. */
static enum tag_key_result make(const struct job *job) {
  struct pg_params p = {0};
  pg_text(&p, job->realm);
  pg_text(&p, job->kid);
  PGresult *r = pg_query(job->db, "SELECT kek_id FROM turncred.key WHERE realm = $1 AND kid = $2", &p);
  if (!r) {
    return database(job);
  }
  enum tag_key_result result =
      PQntuples(r) ? add(job, PQgetisnull(r, 0, 0) ? NULL : PQgetvalue(r, 0, 0))
                   : say(job, TAG_KEY_NO_SIGNER, "there is no key \"%s\" in realm \"%s\"", job->kid, job->realm);
  PQclear(r);
  return result;
}

enum tag_key_result tag_key_make(struct pg *db, const struct kek_ring *ring, const char *realm, const char *kid,
                                 char *text, size_t text_cap) {
  const struct job job = {db, ring, realm, kid, NULL, text, text_cap};
  return make(&job);
}

enum tag_key_result tag_key_get(struct pg *db, const struct kek_ring *ring, const char *realm, const char *kid,
                                uint8_t key[TAG_KEY_OCTETS], char *text, size_t text_cap) {
  const struct job job = {db, ring, realm, kid, key, text, text_cap};
  bool found = false;
  enum tag_key_result result = find(&job, &found);
  if (result || found) {
    return result;
  }
  result = make(&job);
  if (!result) {
    result = find(&job, &found); /* perhaps the key of another issuer, which was quicker */
  }
  if (!result && !found) {
    result = say(&job, TAG_KEY_NO_SIGNER, "the key of subject tags vanished; was realm \"%s\" removed?", realm);
  }
  return result;
}
