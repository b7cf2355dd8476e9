/*
 * directory.h - callers, and what issuers want to know of realms, in memory
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Immutable once it is made; requests share it by reference.
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
  const uint8_t *key;  /* SHA-256 of its bearer key, or NULL */
  const uint8_t *cert; /* SHA-256 of its certificate, or NULL */
  const char *subject; /* of its certificate, or NULL */
  unsigned scopes;
  char *const *realms; /* ends with NULL */
  int64_t not_after;   /* UTC seconds; 0: open */
};

struct realm_info {
  const char *name;
  const char *server_name;
  char *const *uris;          /* ends with NULL; never empty */
  bool plain;                 /* at_rest */
  const char *kek_id;         /* or NULL */
  const char *foreign_caller; /* who may fetch its token keys, or NULL */
};

struct directory;

/* 0, EIO or ENOMEM with a sentence in err. */
int directory_load(struct directory **out, struct pg *db, char *err, size_t err_cap);
/* As text, to be kept, and back. The caller frees; NULL: no memory, or no such text. */
char *directory_text(const struct directory *directory);
struct directory *directory_from_text(const char *text);
struct directory *directory_ref(struct directory *directory);
void directory_unref(struct directory *directory); /* NULL is fine */
bool directory_equal(const struct directory *a, const struct directory *b);

const struct caller *directory_by_name(const struct directory *directory, const char *name);
const struct caller *directory_by_key(const struct directory *directory, const uint8_t sha256[32]);
const struct caller *directory_by_cert(const struct directory *directory, const uint8_t sha256[32],
                                       const char *subject);
const struct realm_info *directory_realm(const struct directory *directory, const char *name);
/* All of them, *count. */
const struct realm_info *directory_realms(const struct directory *directory, size_t *count);
size_t directory_callers(const struct directory *directory);

bool caller_may(const struct caller *caller, const char *realm);

#endif
