/*
 * introspect.c - POST /oauth2/introspect: whose a user's access token is (RFC 7662)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "handlers.h"
#include "turncredd/http/caller_auth.h"
#include "user_token.h"

/* RFC 7662 section 2.2 advises against a reason: a caller of this service learns it, so that its operator can mend what
 * is wrong; who has the token can ask for a credential with it and learn the same. */
static void inactive(struct request *r, const char *wrong) {
  request_answer(r, 200, json_pack("{s:b, s:s+}", "active", 0, "error_description", wrong, ""));
  if (!r->answer && !r->no_memory) { /* the sentence repeats a claim that is not UTF-8 */
    request_answer(r, 200, json_pack("{s:b}", "active", 0));
  }
}

static void introspect(struct request *r, const char *token, const char *realm) {
  char user[TURNCRED_USER_ID_MAX + 1];
  if (!r->reloadable->settings.issuer_count) {
    inactive(r, "token: no issuer of users' tokens is configured here ([issuer NAME])");
  } else if (user_token_check(r, "token", token, inactive, user)) {
    if (issuer_may(r->issuer, realm)) {
      request_answer(r, 200, json_pack("{s:b, s:s, s:s}", "active", 1, "sub", user, "iss", r->issuer->url));
    } else {
      inactive(r, "realm: users of the token's issuer may not have this realm (realms)");
    }
  }
}

void oauth_introspect(struct request *r) {
  struct form form;
  if (request_form(r, &form)) {
    return;
  }
  const char *token = form_get(&form, "token"), *realm = form_get(&form, "realm");
  if (!caller_auth_required(r, SCOPE_EXCHANGE, NULL)) {
    form_free(&form);
    return;
  }
  if (!token || !realm) {
    request_error(r, 400, "invalid_request", "%s",
                  !token ? "token: is missing" : "realm: is missing; it names the realm whose user the token is of");
  } else if (caller_auth_allows(r, SCOPE_EXCHANGE, realm)) {
    introspect(r, token, realm);
  }
  form_free(&form);
}
