/*
 * directory.h - callers, and what issuers need to know of realms, in memory
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A directory is immutable. Requests share it by reference.
 */
#ifndef TURNCREDD_DIRECTORY_H
#define TURNCREDD_DIRECTORY_H

#include "pg/pg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum scope {
  SCOPE_ANY = 0,
  SCOPE_TOKEN = 1,
  SCOPE_EXCHANGE = 2,
  SCOPE_DERIVED = 4,
  SCOPE_REST = 8,
  SCOPE_PUSH = 16,
  SCOPE_REVOKE = 32,
  SCOPE_METRICS = 64,
  SCOPE_STUN_KEY = 128
};
const char *scope_name(enum scope scope);

struct caller {
  const char *name;
  const uint8_t *key;  /* SHA-256 of the bearer key, or NULL */
  const uint8_t *cert; /* SHA-256 of the certificate, or NULL */
  const char *subject; /* of the certificate, or NULL */
  unsigned scopes;
  char *const *realms; /* ends with NULL */
  int64_t not_after;   /* UTC seconds; 0: it does not expire */
};

struct realm_info {
  const char *name;
  const char *server_name;
  char *const *uris;          /* ends with NULL; never empty */
  bool plain;                 /* the database holds its keys and credentials unsealed */
  const char *kek_id;         /* the key encryption key of its keys, or NULL */
  const char *foreign_caller; /* the caller that may fetch its token keys, or NULL */
};

struct directory;

/* 0, EIO or ENOMEM with a sentence in err. */
int directory_load(struct directory **out, struct pg *db, char *err, size_t err_cap);
/* A directory as text for a sealed file, which the caller frees, and back. NULL: out of memory, or it is no such text.
 */
char *directory_text(const struct directory *directory);
struct directory *directory_from_text(const char *text);
struct directory *directory_ref(struct directory *directory);
void directory_unref(struct directory *directory); /* NULL is allowed */
bool directory_equal(const struct directory *a, const struct directory *b);

/* The caller with this key, or with this certificate or its subject; the realm with this name. NULL: there is none. */
const struct caller *directory_by_key(const struct directory *directory, const uint8_t sha256[32]);
const struct caller *directory_by_cert(const struct directory *directory, const uint8_t sha256[32],
                                       const char *subject);
const struct realm_info *directory_realm(const struct directory *directory, const char *name);
/* All realms, *count of them. */
const struct realm_info *directory_realms(const struct directory *directory, size_t *count);
/* How many URIs of realms no browser takes, so that they are left out. */
size_t directory_bad_uris(const struct directory *directory);
size_t directory_callers(const struct directory *directory);

/* May the caller issue for the realm? */
bool caller_may(const struct caller *caller, const char *realm);

#endif
