/*
 * users.h - the static users of the example modules: "user:password" or "user:0xHEXKEY", separated
 * by blanks. A hexadecimal key is used as it is (1 to 64 octets), a password as RFC 8489 9.2.2
 * says.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_EXAMPLES_USERS_H
#define TURNCRED_EXAMPLES_USERS_H

#include "coturn_auth_module.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct users {
  char *text; /* the configuration */
};

static inline int users_init(struct users *u, const char *config) {
  u->text = strdup(config);
  return u->text ? 0 : -1;
}

static inline void users_free(struct users *u) { free(u->text); }

/* Returns the word after "user:", and its length in *len. NULL if there is none. */
static inline const char *users_find(const struct users *u, const char *name, size_t *len) {
  size_t n = strlen(name);
  const char *p = u->text;
  while (*p) {
    size_t word = strcspn(p, " ");
    if (word > n && p[n] == ':' && !memcmp(p, name, n)) {
      *len = word - n - 1;
      return p + n + 1;
    }
    p += word;
    p += strspn(p, " ");
  }
  return NULL;
}

/* 0, or -1 if the user is unknown or its key is not usable. */
static inline int users_key(const struct users *u, const char *name, const char *realm,
                            struct coturn_auth_grant *grant) {
  size_t len = 0, i;
  const char *word = users_find(u, name, &len);
  char text[1024];
  unsigned int md_len = 0;
  if (!word) {
    return -1;
  }
  if (len > 2 && word[0] == '0' && word[1] == 'x') {
    if (len % 2 || len / 2 - 1 > COTURN_AUTH_KEY_MAX) {
      return -1;
    }
    for (i = 0; i < len / 2 - 1; ++i) {
      unsigned int octet;
      if (sscanf(word + 2 + 2 * i, "%2x", &octet) != 1) {
        return -1;
      }
      grant->key[i] = (uint8_t)octet;
    }
    grant->key_len = (uint32_t)i;
    return 0;
  }
  if (snprintf(text, sizeof(text), "%s:%s:%.*s", name, realm, (int)len, word) >= (int)sizeof(text)) {
    return -1;
  }
  if (!EVP_Digest(text, strlen(text), grant->key, &md_len, EVP_md5(), NULL)) {
    return -1;
  }
  grant->key_len = md_len;
  return 0;
}

#endif
