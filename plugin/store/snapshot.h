/*
 * snapshot.h - the parts of a snapshot, and how the store's thread makes the next one
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A snapshot that has been published is never changed. snapshot_fork makes the next one, which shares
 * everything with the one before; the functions below change the next one, and copy only what they
 * change.
 */
#ifndef TURNCRED_SNAPSHOT_H
#define TURNCRED_SNAPSHOT_H

#include "hamt.h"
#include "hamt_pile.h"
#include "store.h"

#include <string.h>

struct store_snapshot {
  uint64_t generation;
  uint64_t seed;           /* of the hashes */
  uint64_t subjects;       /* see store_snapshot_subjects */
  struct hamt realms;      /* struct realm_item by name */
  struct hamt listeners;   /* struct choice_item by address */
  struct hamt origins;     /* struct choice_item by origin */
  struct hamt revocations; /* struct revocation_item */
  size_t keys, credentials;
  bool quota_fleet;            /* see store_snapshot_quota_fleet */
  uint64_t progress;           /* of the change feed, when it was made */
  char identity[128];          /* of the database */
  struct store_snapshot *next; /* in the list of replaced snapshots, see readers.h */
};

/* A string that many items share. */
struct shared_text {
  uint32_t refs;
  char text[];
};

struct key_list {
  uint32_t refs;
  size_t count;
  const struct store_key *key[]; /* the realm's map of keys owns them */
};

struct realm_lists; /* guests, addresses, origins, peers of a realm */

struct realm_item {
  struct hamt_item hamt;
  struct store_realm realm; /* the part that readers see */
  struct shared_text *name;
  struct realm_lists *lists;
  struct key_list *derived, *rest;
  struct hamt keys;        /* struct key_item by kid */
  struct hamt credentials; /* struct credential_item by username */
  struct hamt_pile *pile;  /* of credentials that are to be put there */
};

struct key_item {
  struct hamt_item hamt;
  struct store_key key;
  struct shared_text *realm;
  char kid[]; /* NUL, then K of an issuer */
};

struct credential_item {
  struct hamt_item hamt;
  struct store_credential credential;
  struct shared_text *realm;
  char text[]; /* username, NUL, client address, NUL, and the user id with a NUL where it is another name */
};

struct revocation_name {
  enum store_revocation_kind kind;
  const char *realm;
  const char *name;
};

struct revocation_item {
  struct hamt_item hamt;
  struct revocation_name name;
  int64_t until; /* see store_revoked_at */
  char text[];
};

struct choice_item {
  struct hamt_item hamt;
  struct shared_text *realm;
  char text[];
};

/* NULL: out of memory. */
struct store_snapshot *snapshot_new(uint64_t seed);
struct store_snapshot *snapshot_fork(const struct store_snapshot *from);
void snapshot_free(struct store_snapshot *snapshot);

/* Octets of an element of a list. No name or origin is so long: a longer one would never match, and is left out. */
#define SNAPSHOT_LINE_MAX 1023
/* Lists are text with one element a line; NULL is an empty one. */
struct realm_fields {
  struct store_realm realm; /* without its lists */
  const char *guest_kids, *listen_addresses, *origins, *allowed_peers, *denied_peers;
};

/* All of these return 0, ENOMEM, EINVAL (a peer is no network, and nothing has changed), or ENOENT: there is no such
 * realm. Removing an object that does not exist is no error. */
int snapshot_put_realm(struct store_snapshot *snapshot, const struct realm_fields *fields);
int snapshot_remove_realm(struct store_snapshot *snapshot, const char *realm);
/* key->realm and key->kid say which key it is; everything is copied. */
int snapshot_put_key(struct store_snapshot *snapshot, const struct store_key *key);
int snapshot_remove_key(struct store_snapshot *snapshot, const char *realm, const char *kid);
int snapshot_put_credential(struct store_snapshot *snapshot, const struct store_credential *credential);
/* For a load of all credentials: snapshot_put_credential when snapshot_settle_credentials is called, which must be
 * before anything else is asked of the snapshot's credentials, and before it is forked. */
int snapshot_pile_credential(struct store_snapshot *snapshot, const struct store_credential *credential);
int snapshot_settle_credentials(struct store_snapshot *snapshot);
int snapshot_remove_credential(struct store_snapshot *snapshot, const char *realm, const char *username);
int snapshot_put_revocation(struct store_snapshot *snapshot, const struct revocation_name *name, int64_t until);
int snapshot_remove_revocation(struct store_snapshot *snapshot, const struct revocation_name *name);
/* Removes all keys, credentials or revocations of all realms, before they are loaded anew. */
int snapshot_clear_keys(struct store_snapshot *snapshot);
int snapshot_clear_credentials(struct store_snapshot *snapshot);
void snapshot_clear_revocations(struct store_snapshot *snapshot);

/* Finding: NULL if the snapshot has no such realm, or the realm itself no such key. */
const struct realm_item *snapshot_realm(const struct store_snapshot *snapshot, const char *realm);
const struct key_item *snapshot_key(const struct store_snapshot *snapshot, const struct realm_item *realm,
                                    const char *kid);
/* The order of a realm's keys: a comes before b, being newer. (Keys of one microsecond go by name.) */
bool snapshot_key_newer(const struct store_key *a, const struct store_key *b);

static inline uint32_t snapshot_hash(const struct store_snapshot *snapshot, const char *s) {
  return hamt_hash(snapshot->seed, s, strlen(s));
}
static inline uint32_t snapshot_hash_revocation(const struct store_snapshot *snapshot,
                                                const struct revocation_name *name) {
  return hamt_hash(snapshot->seed + name->kind, name->name, strlen(name->name)) ^ snapshot_hash(snapshot, name->realm);
}

#endif
