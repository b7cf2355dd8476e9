/*
 * jwt_check.h - checks a portal's access token (RFC 9068 section 4)
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

/* Checks a token at the time now (UTC seconds) and copies its subject into out. Returns NULL, or a sentence, without
 * any part of the token, that says what is wrong. *unknown_key: the key set lacks the token's key, and a newer set may
 * have it; nothing else is known to be wrong. */
const char *jwt_check(const char *token, const struct settings *settings, const struct jwks *jwks, int64_t now,
                      bool *unknown_key, char *out, size_t cap);

#endif
