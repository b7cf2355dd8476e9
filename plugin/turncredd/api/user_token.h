/*
 * user_token.h - a user's own access token: whose it is, and which realms it opens
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_USER_TOKEN_H
#define TURNCREDD_USER_TOKEN_H

#include "turncredd/http/request.h"

/* How a request is refused whose token is wrong. */
typedef void (*user_token_refuse)(struct request *request, const char *wrong);

/* Checks a token, sets the request's issuer and copies the user into user. field: where the token stood, for the
 * sentence. False: an error has been prepared. */
bool user_token_check(struct request *request, const char *field, const char *token, user_token_refuse refuse,
                      char user[TURNCRED_USER_ID_MAX + 1]);
/* The same of a token in Authorization, if it may be one: no caller's key has its form. False: an error has been
 * prepared. */
bool user_token_bearer(struct request *request, char user[TURNCRED_USER_ID_MAX + 1]);
/* Has Authorization what may be a user's token, and does this service take any? */
bool user_token_given(const struct request *request);

#endif
