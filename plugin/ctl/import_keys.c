/*
 * import_keys.c - coturn's shared secrets become rest keys, its OAuth keys token keys
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "import.h"
#include "store/store.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Adds the key unless the realm has a key of the same use with the same octets, and reports it. */
static enum ctl_exit import_key(struct ctl *ctl, struct import *im, const char *kind, const char *name,
                                struct stored_key *key, const char *kek_id, const struct key_window *window) {
  struct stored_key *rows = NULL;
  struct pg_params p = {0};
  size_t count = 0, same_use = 0;
  bool found = false, taken = false;
  char other[TURNCRED_USERNAME_MAX + 1] = "";
  pg_text(&p, key->realm);
  enum ctl_exit rc = keyring_rows(ctl, im->ring, "realm = $1", &p, &rows, &count);
  for (size_t i = 0; i < count; i++) {
    bool same = rows[i].k_len == key->k_len && !CRYPTO_memcmp(rows[i].k, key->k, key->k_len);
    same_use += rows[i].use == key->use;
    taken |= !strcmp(rows[i].kid, key->kid);
    if (same && rows[i].use == key->use && rows[i].alg == key->alg) {
      found = true;
    } else if (same) {
      snprintf(other, sizeof other, "%s", rows[i].kid);
    }
    keyring_clear(&rows[i]);
  }
  free(rows);
  if (rc) {
    return rc;
  }
  if (found) {
    import_note(im, kind, key->realm, name, "same", "%s", "");
  } else if (other[0]) {
    import_note(im, kind, key->realm, name, "skip", "key \"%s\" has the same octets for another use or algorithm",
                other);
  } else if (taken) {
    import_note(im, kind, key->realm, name, "skip", "another key has this kid already");
  } else {
    if (im->apply) {
      rc = keyring_insert(ctl, im->ring, key, kek_id, window, false);
    }
    if (!rc) {
      import_note(im, kind, key->realm, name, "add", "kid %s%s", key->kid,
                  key->use == TURNCRED_USE_REST && same_use >= STORE_DERIVED_KEYS_MAX
                      ? "; servers try four rest keys of a realm at the most"
                      : "");
    }
  }
  return rc;
}

enum ctl_exit import_secret(struct ctl *ctl, struct import *im, const char *realm, const char *secret,
                            const char *name) {
  struct stored_key key = {.use = TURNCRED_USE_REST,
                           .alg = TURNCRED_HMAC_SHA1,
                           .username_format = TURNCRED_TIMESTAMP_USER_ID,
                           .state = "active"};
  const char *kek_id = NULL;
  unsigned len = 0;
  json_t *entry = import_target(im, "secret", &realm, name);
  if (!entry || !import_can_store(im, "secret", realm, name, entry, &kek_id)) {
    return CTL_OK;
  }
  if (!*secret) {
    import_note(im, "secret", realm, name, "skip", "the secret is empty: anybody could make passwords");
    return CTL_OK;
  }
  /* HMAC takes the hash of a key that is longer than a block: RFC 2104 section 2 */
  key.k_len = strlen(secret);
  if (key.k_len <= TURNCRED_KEY_MAX) {
    memcpy(key.k, secret, key.k_len);
  } else if (EVP_Digest(secret, key.k_len, key.k, &len, EVP_sha1(), NULL) == 1) {
    key.k_len = len;
  } else {
    return ctl_fail(ctl, CTL_INTERNAL, "OpenSSL failed");
  }
  snprintf(key.realm, sizeof key.realm, "%s", realm);
  import_need_mechanism(im, "secret", realm, entry, "rest");
  enum ctl_exit rc = keyring_new_kid(ctl, key.use, key.kid, sizeof key.kid);
  if (!rc) {
    rc = import_key(ctl, im, "secret", name, &key, kek_id, &(struct key_window){0});
  }
  keyring_clear(&key);
  return rc;
}

enum ctl_exit import_oauth_key(struct ctl *ctl, struct import *im, const PGresult *r, int i) {
  const char *kid = PQgetvalue(r, i, 0), *base64 = PQgetvalue(r, i, 1), *alg = PQgetvalue(r, i, 4);
  const char *realm = PQgetvalue(r, i, 5), *kek_id = NULL;
  int64_t start = strtoll(PQgetvalue(r, i, 2), NULL, 10);
  int64_t lifetime = strtoll(PQgetvalue(r, i, 3), NULL, 10);
  struct stored_key key = {.use = TURNCRED_USE_TOKEN, .alg = TURNCRED_A256GCM, .state = "active"};
  uint8_t octets[192];
  size_t len = 0;
  json_t *entry = import_target(im, "oauth_key", &realm, kid);
  if (!entry || !import_can_store(im, "oauth_key", realm, kid, entry, &kek_id)) {
    return CTL_OK;
  }
  if (*alg && (turncred_alg_parse(alg, &key.alg) || (key.alg != TURNCRED_A256GCM && key.alg != TURNCRED_A128GCM))) {
    import_note(im, "oauth_key", realm, kid, "skip", "as_rs_alg \"%s\" is not A256GCM or A128GCM", alg);
    return CTL_OK;
  }
  size_t need = turncred_key_length(key.use, key.alg, key.derivation);
  if (!*kid || strlen(kid) > TURNCRED_USERNAME_MAX || !turncred_username_coturn_accepts(kid, strlen(kid))) {
    import_note(im, "oauth_key", realm, kid, "skip", "coturn refuses this kid in a USERNAME");
  } else if (turncred_base64_decode(base64, strlen(base64), octets, sizeof octets, &len)) {
    import_note(im, "oauth_key", realm, kid, "skip",
                "ikm_key is not base64: coturn takes an all-zero key instead, so anybody could "
                "make tokens");
  } else if (len < need) {
    import_note(im, "oauth_key", realm, kid, "skip",
                "ikm_key holds %zu octets, %zu are needed: coturn fills up with zeros", len, need);
  } else if (len > need && !im->truncate) {
    import_note(im, "oauth_key", realm, kid, "skip",
                "ikm_key holds %zu octets, exactly %zu are needed; coturn uses the first %zu: "
                "--truncate does the "
                "same",
                len, need, need);
  } else if (lifetime && start + lifetime <= time(NULL)) {
    import_note(im, "oauth_key", realm, kid, "skip", "the key has run out");
  } else {
    const struct key_window window = {.not_before = start, .accept_until = lifetime ? start + lifetime : 0};
    snprintf(key.realm, sizeof key.realm, "%s", realm);
    snprintf(key.kid, sizeof key.kid, "%s", kid);
    memcpy(key.k, octets, need);
    key.k_len = need;
    import_need_mechanism(im, "oauth_key", realm, entry, "token");
    enum ctl_exit rc = import_key(ctl, im, "oauth_key", kid, &key, kek_id, &window);
    keyring_clear(&key);
    turncred_cleanse(octets, sizeof octets);
    return rc;
  }
  turncred_cleanse(octets, sizeof octets);
  return CTL_OK;
}
