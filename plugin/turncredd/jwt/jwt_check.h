/*
 * jwt_check.h - is this a portal's access token, and whose? (RFC 9068 section 4)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Signatures are checked by OpenSSL: libjwt 1.x refuses every typ but "JWT", so the tokens that RFC
 * 9068 demands.
 */
#ifndef TURNCREDD_JWT_CHECK_H
#define TURNCREDD_JWT_CHECK_H

#include "jwks.h"
#include "turncredd/daemon_settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JWT_TOKEN_MAX 8192 /* octets */

/* The subject into out. NULL, or what is wrong, in a sentence without any part of the token.
 * *unknown_key: that is all that is known to be wrong, and a newer key set may help. */
const char *jwt_check(const char *token, const struct settings *settings, const struct jwks *jwks,
                      int64_t now, bool *unknown_key, char *out, size_t cap);

#endif
