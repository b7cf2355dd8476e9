/*
 * proof.h - who asks, and may they
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_CALLER_AUTH_H
#define TURNCREDD_CALLER_AUTH_H

#include "request.h"

/* Bearer key in Authorization, else a client certificate. Sets caller if it may use the scope
 * (SCOPE_ANY) in the realm (NULL: any) and its rate allows; else an error has been prepared and it
 * is false. */
bool caller_auth_required(struct request *request, enum scope scope, const char *realm);
/* Is the caller that is already known allowed this? Else an error has been prepared. */
bool caller_auth_allows(struct request *request, enum scope scope, const char *realm);
/* The caller of this key, id (RFC 6749 2.3.1: NULL for any) or certificate; NULL: nobody. */
const struct caller *caller_auth_by_key(const struct request *request, const char *id, const char *key);
const struct caller *caller_auth_by_certificate(const struct request *request);
/* One more of this caller. false: an error has been prepared. */
bool caller_auth_rate(struct request *request);

#endif
