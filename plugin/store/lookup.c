/*
 * lookup.c - what readers find in a snapshot: realms, keys, credentials, revocations
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "snapshot.h"

#include <stddef.h>
#include <string.h>

uint64_t store_snapshot_subjects(const struct store_snapshot *snapshot) { return snapshot->subjects; }

bool store_snapshot_quota_fleet(const struct store_snapshot *snapshot) { return snapshot->quota_fleet; }

const struct store_realm *store_realm_find(const struct store_snapshot *snapshot, const char *realm) {
  const struct realm_item *item = snapshot_realm(snapshot, realm);
  return item ? &item->realm : NULL;
}

static const struct store_realm *chosen(const struct store_snapshot *snapshot, const struct hamt *map,
                                        const char *text) {
  const struct choice_item *item = (const struct choice_item *)hamt_find(map, snapshot_hash(snapshot, text), text);
  return item ? store_realm_find(snapshot, item->realm->text) : NULL;
}
const struct store_realm *store_realm_by_listener(const struct store_snapshot *snapshot, const char *address) {
  return chosen(snapshot, &snapshot->listeners, address);
}
const struct store_realm *store_realm_by_origin(const struct store_snapshot *snapshot, const char *origin) {
  return chosen(snapshot, &snapshot->origins, origin);
}

static bool holds(const struct ip_range *ranges, size_t count, const uint8_t *octets, size_t size) {
  for (size_t i = 0; i < count; i++) {
    if (ip_range_holds(&ranges[i], octets, size)) {
      return true;
    }
  }
  return false;
}
bool store_peer_allowed(const struct store_realm *realm, const uint8_t *octets, size_t size) {
  return (!realm->allowed_count || holds(realm->allowed_peers, realm->allowed_count, octets, size)) &&
         !holds(realm->denied_peers, realm->denied_count, octets, size);
}

static const struct realm_item *item_of(const struct store_realm *realm) {
  return (const struct realm_item *)((const char *)realm - offsetof(struct realm_item, realm));
}

const struct store_key *store_key_find(const struct store_snapshot *snapshot, const struct store_realm *realm,
                                       const char *kid) {
  const struct key_item *item = snapshot_key(snapshot, item_of(realm), kid);
  for (size_t i = 0; !item && i < realm->guest_count; i++) {
    const char *guest = realm->guest_kids[i], *slash = strchr(guest, '/');
    if (!slash || strcmp(slash + 1, kid) != 0 || slash - guest > TURNCRED_REALM_MAX) {
      continue;
    }
    char name[TURNCRED_REALM_MAX + 1];
    memcpy(name, guest, (size_t)(slash - guest));
    name[slash - guest] = 0;
    const struct realm_item *home = snapshot_realm(snapshot, name);
    if (home) {
      item = snapshot_key(snapshot, home, kid);
    }
  }
  return item ? &item->key : NULL;
}

bool store_key_accepts(const struct store_key *key, int64_t now) {
  return key->state != STORE_KEY_DISABLED && (key->not_before == 0 || key->not_before <= now) &&
         (key->accept_until == 0 || now < key->accept_until);
}

static bool signs(const struct store_key *key, int64_t now) {
  return key->state == STORE_KEY_ACTIVE && store_key_accepts(key, now) &&
         (key->sign_until == 0 || now < key->sign_until);
}

struct signing {
  enum turncred_use use;
  int64_t now;
  const struct store_key *best;
};
/* Notes the newest key that signs now. */
static bool consider(const struct hamt_item *item, void *arg) {
  struct signing *signing = arg;
  const struct store_key *key = &((const struct key_item *)item)->key;
  if (key->key.use == signing->use && signs(key, signing->now) &&
      (!signing->best || snapshot_key_newer(key, signing->best))) {
    signing->best = key;
  }
  return true;
}

const struct store_key *store_key_to_sign(const struct store_snapshot *snapshot, const struct store_realm *realm,
                                          enum turncred_use use, int64_t now) {
  if (use == TURNCRED_USE_TAG) {
    const struct key_item *item = snapshot_key(snapshot, item_of(realm), TURNCRED_TAG_KID);
    return item && item->key.key.use == use && signs(&item->key, now) ? &item->key : NULL;
  }
  if (use == TURNCRED_USE_TOKEN) {
    struct signing signing = {use, now, NULL};
    hamt_each(&item_of(realm)->keys, consider, &signing);
    return signing.best;
  }
  const struct store_key *const *keys = use == TURNCRED_USE_REST ? realm->rest : realm->derived;
  size_t count = use == TURNCRED_USE_REST ? realm->rest_count : realm->derived_count;
  for (size_t i = 0; i < count; i++) {
    if (signs(keys[i], now)) {
      return keys[i];
    }
  }
  return NULL;
}

/* Notes the newest key that a foreign server should hold. */
static bool consider_sharing(const struct hamt_item *item, void *arg) {
  struct signing *sharing = arg;
  const struct store_key *key = &((const struct key_item *)item)->key;
  if (key->key.use == sharing->use && (key->state == STORE_KEY_ACTIVE || key->state == STORE_KEY_PUBLISHED) &&
      (key->accept_until == 0 || sharing->now < key->accept_until) &&
      (!sharing->best || snapshot_key_newer(key, sharing->best))) {
    sharing->best = key;
  }
  return true;
}

const struct store_key *store_key_to_share(const struct store_snapshot *snapshot, const struct store_realm *realm,
                                           int64_t now) {
  struct signing sharing = {TURNCRED_USE_TOKEN, now, NULL};
  (void)snapshot;
  hamt_each(&item_of(realm)->keys, consider_sharing, &sharing);
  return sharing.best;
}

const struct store_credential *store_credential_find(const struct store_snapshot *snapshot,
                                                     const struct store_realm *realm, const char *username) {
  const struct credential_item *item = (const struct credential_item *)hamt_find(
      &item_of(realm)->credentials, snapshot_hash(snapshot, username), username);
  return item ? &item->credential : NULL;
}

int64_t store_revoked_at(const struct store_snapshot *snapshot, enum store_revocation_kind kind, const char *realm,
                         const char *name) {
  const struct revocation_name key = {kind, realm, name};
  const struct revocation_item *item =
      (const struct revocation_item *)hamt_find(&snapshot->revocations, snapshot_hash_revocation(snapshot, &key), &key);
  return item ? item->until : 0;
}
