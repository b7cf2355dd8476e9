/*
 * fleet_quota.c - how many allocations users at their quota have on other servers
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "fleet_quota.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define WHO 33 /* 32 hexadecimal digits and the NUL */
#define NAME (TURNCRED_REALM_MAX + 1 + WHO)

struct full {
  UT_hash_handle hh;
  uint64_t elsewhere;
  char name[NAME]; /* realm, line end, hash of the user or fingerprint of the token */
};

struct fleet_quota {
  pthread_mutex_t lock;
  struct full *table;
};

static void clear(struct full **table) {
  struct full *next = *table;
  HASH_CLEAR(hh, *table); /* the items stay linked in a list */
  while (next) {
    struct full *full = next;
    next = full->hh.next;
    free(full);
  }
}

struct fleet_quota *fleet_quota_new(void) {
  struct fleet_quota *quota = calloc(1, sizeof *quota);
  if (quota) {
    pthread_mutex_init(&quota->lock, NULL);
  }
  return quota;
}

void fleet_quota_free(struct fleet_quota *quota) {
  if (quota) {
    clear(&quota->table);
    pthread_mutex_destroy(&quota->lock);
    free(quota);
  }
}

/* False: out of memory. */
static bool add(struct full **table, const char *realm, const char *who, uint64_t elsewhere) {
  struct full *full = calloc(1, sizeof *full);
  if (!full) {
    return false;
  }
  full->elsewhere = elsewhere;
  snprintf(full->name, sizeof full->name, "%s\n%s", realm, who);
  HASH_ADD_STR(*table, name, full);
  if (!full->hh.tbl) {
    free(full);
    return false;
  }
  return true;
}

bool fleet_quota_load(struct fleet_quota *quota, struct pg *db, const char *instance) {
  struct pg_params p = {0};
  pg_text(&p, instance);
  PGresult *r = pg_query(db, "SELECT realm, who, elsewhere FROM turncred.quota_full($1)", &p);
  if (!r) {
    return false;
  }
  struct full *fresh = NULL;
  bool ok = true;
  for (int i = 0; ok && i < PQntuples(r); i++) {
    ok = add(&fresh, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), strtoull(PQgetvalue(r, i, 2), NULL, 10));
  }
  PQclear(r);
  if (ok) {
    pthread_mutex_lock(&quota->lock);
    struct full *old = quota->table;
    quota->table = fresh;
    pthread_mutex_unlock(&quota->lock);
    fresh = old;
  }
  clear(&fresh);
  return true; /* out of memory: the last answer stays */
}

/* The name of a user is the hash that turncred.usage_hash() makes. False: none can be made. */
static bool name_of(struct thread *thread, const struct store_realm *realm, const char *user, const char *fingerprint,
                    char name[NAME]) {
  uint8_t text[STORE_USAGE_SALT + TURNCRED_USERNAME_MAX], digest[32];
  char hash[WHO];
  size_t len = strlen(user);
  if (len) {
    memcpy(text, realm->usage_salt, STORE_USAGE_SALT);
    memcpy(text + STORE_USAGE_SALT, user, len);
    if (turncred_sha256(thread->ws, text, STORE_USAGE_SALT + len, digest) ||
        turncred_hex_encode(digest, 16, hash, sizeof hash)) {
      return false;
    }
  }
  snprintf(name, NAME, "%s\n%s", realm->name, len ? hash : fingerprint);
  return true;
}

uint64_t fleet_quota_elsewhere(struct fleet_quota *quota, struct thread *thread, const struct store_realm *realm,
                               const char *user, const char *fingerprint) {
  char name[NAME];
  struct full *full = NULL;
  if (!realm->quota_fleet || !name_of(thread, realm, user, fingerprint, name)) {
    return 0;
  }
  pthread_mutex_lock(&quota->lock);
  HASH_FIND_STR(quota->table, name, full);
  uint64_t elsewhere = full ? full->elsewhere : 0;
  pthread_mutex_unlock(&quota->lock);
  return elsewhere;
}
