/*
 * rest.c - the TURN REST call: GET and POST /?service=turn&username=&key=
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "handlers.h"
#include "issue.h"
#include "turncredd/http/caller_auth.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The realm that the call names, or the only realm of the caller. NULL: an error has been prepared. */
static const char *realm_of(struct request *r, const char *named) {
  const char *only = r->caller->realms[0] && !r->caller->realms[1] ? r->caller->realms[0] : NULL;
  if (named) {
    return named;
  }
  if (only && strcmp(only, "*") != 0) {
    return only;
  }
  request_error(r, 400, "invalid_request", "realm: this caller has several realms; add realm=NAME to the call");
  return NULL;
}

static void issue_for(struct request *r, const char *realm, const char *user) {
  struct policy policy = {0};
  char made[20];
  uint8_t random[8];
  if (!issue_policy(r, realm, &policy)) {
    return;
  }
  enum store_mechanism mechanism = policy_offers(&policy, STORE_REST) ? STORE_REST : STORE_DERIVED;
  if (!policy_offers(&policy, mechanism)) {
    request_error(r, 400, "invalid_request", "realm: offers neither rest nor derived credentials");
    return;
  }
  if (!user) { /* the draft lets an anonymous user have no name */
    if (RAND_bytes(random, sizeof random) != 1 || turncred_hex_encode(random, sizeof random, made, sizeof made)) {
      request_error(r, 500, "server_error", "the random number generator failed");
      return;
    }
    made[0] = (char)('a' + random[0] % 6); /* a name of digits alone would be no user id for every form of key */
    user = made;
  }
  issue_derived(r, &policy, mechanism, user, "", 0, true);
}

void rest_call(struct request *r) {
  struct form form = {0};
  bool body = r->body_len > 0;
  if (body && request_form(r, &form)) {
    return;
  }
#define FIELD(name) (form_get(&form, name) ? form_get(&form, name) : request_query(r, name))
  const char *service = FIELD("service"), *user = FIELD("username"), *key = FIELD("key");
  const char *realm = FIELD("realm"), *region = FIELD("region");
  bool max_bps = FIELD("max_bps") != NULL, max_allocations = FIELD("max_allocations") != NULL;
#undef FIELD
  if (user && !*user) {
    user = NULL;
  }
  if (realm && !*realm) {
    realm = NULL;
  }
  if (key && r->directory && !request_header(r, "Authorization")) {
    if (!(r->caller = caller_auth_by_key(r, NULL, key))) {
      snprintf(r->www_authenticate, sizeof r->www_authenticate, "Bearer realm=\"turncredd\", error=\"invalid_token\"");
      request_error(r, 401, "invalid_token", "key: no caller has this key, or the key has expired");
    }
  } else if (caller_auth_required(r, SCOPE_REST, NULL)) {
    key = NULL;
  }
  if (r->caller && !r->status && (!key || (caller_auth_rate(r) && caller_auth_allows(r, SCOPE_REST, NULL)))) {
    if (!service || strcmp(service, "turn") != 0) {
      request_error(r, 400, "invalid_request", "service: must be turn");
    } else if (issue_no_limit(r, "max_bps", max_bps) && issue_no_limit(r, "max_allocations", max_allocations) &&
               issue_region(r, region) && (realm = realm_of(r, realm)) && caller_auth_allows(r, SCOPE_REST, realm)) {
      issue_for(r, realm, user);
    }
  }
  form_free(&form);
}
