/*
 * load_credential.h - where the credentials of a load run come from
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef LOAD_CREDENTIAL_H
#define LOAD_CREDENTIAL_H

#include "core/turncred.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_PASSWORD_MAX 512
#define LOAD_TOKEN_MAX 1024

struct load_credential {
  char username[TURNCRED_USERNAME_MAX + 1];
  char password[LOAD_PASSWORD_MAX + 1]; /* "" for tokens, and for derived until the realm is known */
  int64_t expiry;                       /* minted derived */
  uint8_t key[20];                      /* of MESSAGE-INTEGRITY */
  size_t key_len;                       /* 0 until load_credential_key() */
  uint8_t token[LOAD_TOKEN_MAX];        /* ACCESS-TOKEN */
  size_t token_len;
};

struct load_source_options {
  const char *user, *password_file;          /* one static credential */
  const char *list;                          /* one JSON object a line */
  bool follow;                               /* take lines that are added while it is in use */
  const char *mint;                          /* "derived", "rest" or "token" */
  const char *key_file, *kid, *server_name;  /* mint */
  const char *alg, *derivation;              /* mint; NULL: A256GCM, sha1; none */
  const char *username_format, *user_prefix; /* mint; NULL: user-id:timestamp, "load" */
  uint64_t users;                            /* mint: so many different user ids */
  uint32_t ttl;                              /* mint: seconds */
};

struct load_source;
/* Reads every file named. NULL, with a sentence in err. */
struct load_source *load_source_new(const struct load_source_options *options, char *err, size_t err_cap);
void load_source_free(struct load_source *source);
/* The next credential, in turn. False if one cannot be minted. */
bool load_source_next(struct load_source *source, struct load_credential *out);
/* Fills in the key of MESSAGE-INTEGRITY for the realm of the challenge; a wrong key on demand. */
bool load_credential_key(struct load_source *source, struct load_credential *credential, const char *realm, bool wrong);

#endif
