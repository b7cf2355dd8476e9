/*
 * jwt_check.h - checks a user's access token of an issuer (RFC 9068 section 4)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * OpenSSL checks the signatures: libjwt 1.x refuses every typ but "JWT", and thus the tokens that RFC 9068 demands.
 */
#ifndef TURNCREDD_JWT_CHECK_H
#define TURNCREDD_JWT_CHECK_H

#include "jwks.h"
#include "turncredd/daemon_settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JWT_TOKEN_MAX 8192 /* octets */

#define JWT_KEYS_TRIED 8   /* of those that fit a token's kid and algorithm */
#define JWT_WRONG_MAX 1024 /* octets of a sentence, with the NUL */

struct jwt;

/* Takes a token, of which the text must stay, apart. NULL with a sentence in wrong: it is none, or out of memory. */
struct jwt *jwt_read(const char *token, char wrong[JWT_WRONG_MAX]);
void jwt_free(struct jwt *jwt); /* NULL is allowed */
/* The issuer that the token names; nothing shows yet that it is the issuer's. NULL with a sentence in wrong. */
const struct issuer *jwt_issuer(const struct jwt *jwt, const struct settings *settings, char wrong[JWT_WRONG_MAX]);

/* What a token is checked with. */
struct jwt_against {
  const struct issuer *issuer;
  const struct jwks *jwks;    /* NULL: the issuer's keys are not there */
  const uint8_t *certificate; /* SHA-256 of the certificate that the client has shown; NULL: it has shown none */
  int64_t now;                /* UTC seconds */
};
/* Checks a token and copies its user into out. 0, or -1 with a sentence in wrong that says what is wrong; of a token
 * whose signature is wrong it repeats alg, typ and iss alone. *unknown_key: the key set lacks the token's key, and a
 * newer set may have it; nothing else is known to be wrong. When memory was short (library_memory.h), what is said to
 * be wrong may be right. */
int jwt_check(const struct jwt *jwt, const struct jwt_against *against, bool *unknown_key, char wrong[JWT_WRONG_MAX],
              char *out, size_t cap);

#endif
