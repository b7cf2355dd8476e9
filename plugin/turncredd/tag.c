/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "tag.h"

#include "core/turncred.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

static int wrong(char *err, size_t cap, const char *realm, const char *text) {
  snprintf(err, cap, "realm %s: the key of subject tags cannot be made: %s", realm, text);
  return -1;
}

/* Octets as bytea text. */
static void bytea(const uint8_t *octets, size_t len, char *out) {
  memcpy(out, "\\x", 2);
  turncred_hex_encode(octets, len, out + 2, 2 * len + 1);
}

static int add(struct pg *db, const struct kek_ring *keks, const char *realm, const char *kek_id,
               char *err, size_t cap) {
  uint8_t k[32], octets[TURNCRED_WRAPPED_MAX];
  char text[2 * TURNCRED_WRAPPED_MAX + 3];
  size_t len = sizeof k;
  struct turncred_key_row row = {kek_id,
                                 realm,
                                 TURNCRED_TAG_KID,
                                 TURNCRED_USE_TAG,
                                 TURNCRED_HMAC_SHA256,
                                 TURNCRED_DERIVATION_NONE};
  const uint8_t *kek = kek_id ? kek_ring_find(keks, kek_id) : NULL;
  if (kek_id && !kek)
    return wrong(err, cap, realm, "the key encryption key of its other keys is not here");
  if (RAND_priv_bytes(k, sizeof k) != 1)
    return wrong(err, cap, realm, "the random number generator failed");
  bool good = !kek || !turncred_key_seal(kek, &row, k, sizeof k, octets, sizeof octets, &len);
  bytea(kek ? octets : k, len, text);
  struct pg_params p = {0};
  pg_text(&p, realm);
  pg_text(&p, kek ? text : NULL);
  pg_text(&p, kek_id);
  pg_text(&p, kek ? NULL : text);
  int rc = good ? pg_run(db, "SELECT turncred.tag_key_add($1, $2::bytea, $3, $4::bytea)", &p, NULL)
                : -1;
  turncred_cleanse(k, sizeof k);
  turncred_cleanse(text, sizeof text);
  return rc ? wrong(err, cap, realm, good ? db->line : "it cannot be sealed") : 0;
}

int tag_make(struct pg *db, const struct kek_ring *keks, const char *realm, const char *kid,
             char *err, size_t cap) {
  struct pg_params p = {0};
  pg_text(&p, realm);
  pg_text(&p, kid);
  PGresult *r =
      pg_query(db, "SELECT kek_id FROM turncred.key WHERE realm = $1 AND kid = $2", &p);
  if (!r)
    return wrong(err, cap, realm, db->line);
  int rc = PQntuples(r)
               ? add(db, keks, realm, PQgetisnull(r, 0, 0) ? NULL : PQgetvalue(r, 0, 0), err, cap)
               : 0; /* the key is gone: so is the need */
  PQclear(r);
  return rc;
}
