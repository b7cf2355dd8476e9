/*
 * user_token.c - a user's own access token: whose it is, and which realms it opens
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "user_token.h"

#include "turncredd/http/caller_auth.h"
#include "turncredd/jwt/fetcher.h"
#include "turncredd/jwt/jwt_check.h"
#include "turncredd/library_memory.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* The keys of an issuer, with a reference for the caller. NULL: there are none. */
static struct jwks *keys_of(struct request *r, const struct issuer *issuer) {
  return issuer_has_url(issuer) ? fetchers_keys(r->daemon->fetchers, issuer)
                                : jwks_ref(r->reloadable->jwks[issuer - r->reloadable->settings.issuers]);
}

/* Checks a token that has been taken apart. 0, or -1 with a sentence in wrong; *fetching: the issuer's keys are being
 * fetched, so that the next try may do. */
static int check(struct request *r, const struct jwt *jwt, const struct issuer *issuer, bool *fetching,
                 char wrong[JWT_WRONG_MAX], char user[TURNCRED_USER_ID_MAX + 1]) {
  uint8_t certificate[32];
  bool unknown_key;
  struct jwks *keys = keys_of(r, issuer);
  struct jwt_against against = {.issuer = issuer,
                                .jwks = keys,
                                .certificate = caller_auth_certificate(r, certificate) ? certificate : NULL,
                                .now = (int64_t)time(NULL)};
  int rc = jwt_check(jwt, &against, &unknown_key, wrong, user, TURNCRED_USER_ID_MAX + 1);
  *fetching = rc && unknown_key && (fetchers_hurry(r->daemon->fetchers, issuer) || !keys);
  jwks_unref(keys);
  return rc;
}

bool user_token_check(struct request *r, const char *field, const char *token, user_token_refuse refuse,
                      char user[TURNCRED_USER_ID_MAX + 1]) {
  char wrong[JWT_WRONG_MAX], sentence[JWT_WRONG_MAX + 40];
  bool fetching = false;
  struct jwt *jwt = jwt_read(token, wrong);
  const struct issuer *issuer = jwt ? jwt_issuer(jwt, &r->reloadable->settings, wrong) : NULL;
  int rc = issuer ? check(r, jwt, issuer, &fetching, wrong, user) : -1;
  jwt_free(jwt);
  if (rc && (r->no_memory || library_memory_was_short())) {
    request_no_memory(r);
  } else if (fetching) {
    r->retry_after = 1;
    request_error(r, 503, "temporarily_unavailable", "%s: its key is not known; the issuer's key set is being fetched",
                  field);
  } else if (rc) {
    snprintf(sentence, sizeof sentence, "%s: %s", field, wrong);
    refuse(r, sentence);
  }
  r->issuer = rc ? NULL : issuer;
  return !rc;
}

static void refuse_bearer(struct request *r, const char *wrong) {
  snprintf(r->www_authenticate, sizeof r->www_authenticate, "Bearer realm=\"turncredd\", error=\"invalid_token\"");
  request_error(r, 401, "invalid_token", "%s", wrong);
}

bool user_token_given(const struct request *r) {
  const char *key = caller_auth_bearer(r);
  return key && r->reloadable->settings.issuer_count && !caller_auth_key_form(key);
}

bool user_token_bearer(struct request *r, char user[TURNCRED_USER_ID_MAX + 1]) {
  return user_token_check(r, "Authorization", caller_auth_bearer(r), refuse_bearer, user);
}
