/*
 * caller_auth.h - which caller has sent a request, and what the caller may do
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_CALLER_AUTH_H
#define TURNCREDD_CALLER_AUTH_H

#include "request.h"

/* Sets the request's caller by the bearer key in Authorization, or else by the client certificate, if the caller has
 * the scope (SCOPE_ANY: none is needed) and the realm (NULL: none is needed), and has not called too often. False: an
 * error has been prepared. */
bool caller_auth_required(struct request *request, enum scope scope, const char *realm);
/* Has the request's caller the scope and the realm? False: an error has been prepared. */
bool caller_auth_allows(struct request *request, enum scope scope, const char *realm);
/* The caller that has this key, and this name (id; NULL: any name), or that has shown this client certificate. NULL: no
 * caller has it, or it has expired, or there was no memory to find out: then request_error answers with 503, whatever
 * it is told. */
const struct caller *caller_auth_by_key(struct request *request, const char *id, const char *key);
const struct caller *caller_auth_by_certificate(struct request *request);
/* SHA-256 of the certificate that the client has shown in TLS, whoever has issued it. False: it has shown none. */
bool caller_auth_certificate(const struct request *request, uint8_t sha256[32]);
/* What stands behind Bearer in Authorization. NULL: there is none. */
const char *caller_auth_bearer(const struct request *request);
/* Has the text the form of a key that turncredctl makes? */
bool caller_auth_key_form(const char *text);
/* Counts one request of the caller. False: there were too many, and an error has been prepared. */
bool caller_auth_rate(struct request *request);

#endif
