/*
 * subject.c - whether a revocation or a disabled key refuses a subject
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "module.h"

#include <string.h>

static bool revoked(const struct store_snapshot *snapshot, enum store_revocation_kind kind, const char *realm,
                    const char *name, int64_t issued) {
  int64_t at = store_revoked_at(snapshot, kind, realm, name);
  return at != 0 && issued <= at;
}

enum coturn_auth_reason subject_refused(const struct store_snapshot *snapshot, const struct subject *s) {
  if (revoked(snapshot, STORE_REVOKED_REALM, s->realm, "", s->issued)) {
    return COTURN_AUTH_REASON_REVOKED;
  }
  if (s->user[0] && revoked(snapshot, STORE_REVOKED_USER, s->realm, s->user, s->issued)) {
    return COTURN_AUTH_REASON_REVOKED;
  }
  if (s->fingerprint[0] && revoked(snapshot, STORE_REVOKED_TOKEN, s->realm, s->fingerprint, s->issued)) {
    return COTURN_AUTH_REASON_REVOKED;
  }
  if (!s->kid[0]) {
    return COTURN_AUTH_REASON_NONE;
  }
  bool guest = strcmp(s->realm, s->key_realm) != 0;
  if (revoked(snapshot, STORE_REVOKED_KID, s->key_realm, s->kid, s->issued) ||
      (guest && revoked(snapshot, STORE_REVOKED_KID, s->realm, s->kid, s->issued)) ||
      (guest && revoked(snapshot, STORE_REVOKED_REALM, s->key_realm, "", s->issued))) {
    return COTURN_AUTH_REASON_REVOKED;
  }
  /* a key that is no longer in the database was retired long ago and ends no session; a disabled key
   * does */
  const struct store_realm *realm = store_realm_find(snapshot, s->realm);
  const struct store_key *key = realm ? store_key_find(snapshot, realm, s->kid) : NULL;
  if (key && key->state == STORE_KEY_DISABLED) {
    return COTURN_AUTH_REASON_UNKNOWN_KEY;
  }
  return COTURN_AUTH_REASON_NONE;
}
