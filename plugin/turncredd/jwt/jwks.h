/*
 * jwks.h - public keys of an authorization server (RFC 7517)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_JWKS_H
#define TURNCREDD_JWKS_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

struct jwks;

#define JWKS_OCTETS_MAX 262144

/* Reads a JWK set from a file. A key that is no signature key, or neither RSA (2048 bits or more), EC (P-256, P-384,
 * P-521), Ed25519 nor Ed448, is left out, and so is, with a line in the log, what comes behind 64 usable keys. A set
 * without a usable key is refused. 0, or -1 with a sentence in err. */
int jwks_read(struct jwks **out, const char *path, char *err, size_t err_cap);
/* The same from len octets in memory. where: the origin of the text, for err. */
int jwks_parse(struct jwks **out, const char *text, size_t len, const char *where, char *err, size_t err_cap);
/* NULL is allowed in both. */
struct jwks *jwks_ref(struct jwks *jwks);
void jwks_unref(struct jwks *jwks);
/* The keys that fit a token with this kid (NULL: the token names none) and this algorithm ("RS256", "EdDSA", ...):
 * those of the kid, then those without one; without a kid in the token, all. They belong to the set. Returns how many
 * fit; keys gets the first max of them. *named: a key of the set has this kid. */
size_t jwks_find(const struct jwks *jwks, const char *kid, const char *alg, EVP_PKEY **keys, size_t max, bool *named);

#endif
