/*
 * jwks.h - public keys of an authorization server (RFC 7517)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_JWKS_H
#define TURNCREDD_JWKS_H

#include <openssl/types.h>
#include <stddef.h>

struct jwks;

#define JWKS_OCTETS_MAX 262144

/* Keys that are no signature keys, or of other kinds than RSA (2048 bits or more) and EC (P-256,
 * P-384, P-521), are passed over; a set without a usable key is refused. 0, or -1 with a sentence
 * in err. */
int jwks_read(struct jwks **out, const char *path, char *err, size_t err_cap);
/* The same from memory; where: the text is from, for err. */
int jwks_parse(struct jwks **out, const char *text, size_t len, const char *where, char *err,
               size_t err_cap);
struct jwks *jwks_ref(struct jwks *jwks); /* NULL is fine, here and below */
void jwks_unref(struct jwks *jwks);
size_t jwks_count(const struct jwks *jwks);
/* The key for a token with this kid (NULL: none given, then the only key there is) and algorithm
 * ("RS256", "ES256", ...), the set's own; NULL: there is none. */
EVP_PKEY *jwks_find(const struct jwks *jwks, const char *kid, const char *alg);

#endif
