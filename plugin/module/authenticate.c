/*
 * authenticate.c - the entry point authenticate(): finds the realm and asks its mechanisms in order
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/clock.h"
#include "module.h"

#include <string.h>

static bool offers(const struct store_realm *realm, enum store_mechanism mechanism) {
  for (size_t i = 0; i < sizeof realm->mechanisms; i++) {
    if (realm->mechanisms[i] == mechanism) {
      return true;
    }
  }
  return false;
}

static bool try_mechanism(struct attempt *a, enum store_mechanism mechanism) {
  switch (mechanism) {
  case STORE_DERIVED:
    return derived_candidates(a);
  case STORE_REST:
    return rest_candidates(a);
  case STORE_PUSHED:
    return pushed_candidates(a);
  case STORE_TOKEN: /* the request has no ACCESS-TOKEN */
    break;
  }
  return false;
}

static enum coturn_auth_verdict authenticate_user(struct attempt *a) {
  bool found = false;
  for (size_t i = 0; i < sizeof a->realm->mechanisms && a->realm->mechanisms[i] && !found; i++) {
    found = try_mechanism(a, (enum store_mechanism)a->realm->mechanisms[i]);
  }
  if (a->have_held) {
    return attempt_grant_user(a);
  }
  if (a->reason == COTURN_AUTH_REASON_NONE) {
    a->reason = COTURN_AUTH_REASON_MECHANISM_NOT_OFFERED;
  }
  return attempt_deny(a, a->reason == COTURN_AUTH_REASON_MODULE_ERROR ? 500 : 401);
}

/* Requests for a realm that the store knows are granted or denied here and never declined, so that no
 * secret of coturn's own lets a revoked user in. */
static enum coturn_auth_verdict decide(struct attempt *a) {
  const struct coturn_auth_request *request = a->request;
  if (!a->snapshot) {
    a->reason = COTURN_AUTH_REASON_STORE_UNAVAILABLE;
    return attempt_deny(a, 500);
  }
  a->realm = store_realm_find(a->snapshot, request->realm);
  if (!a->realm) {
    counter_add(COUNTER_DECLINED);
    return COTURN_AUTH_DECLINED;
  }
  if (!request->username || request->username_len == 0 || request->username_len > TURNCRED_USERNAME_MAX ||
      memchr(request->username, '\0', request->username_len)) {
    a->reason = COTURN_AUTH_REASON_BAD_USERNAME;
    return attempt_deny(a, 401);
  }
  if (!request->access_token) {
    return authenticate_user(a);
  }
  if (offers(a->realm, STORE_TOKEN)) {
    return token_authenticate(a);
  }
  a->reason = COTURN_AUTH_REASON_TOKEN_NOT_OFFERED;
  return attempt_deny(a, 420);
}

enum coturn_auth_verdict module_authenticate(void *state, const struct coturn_auth_request *request,
                                             struct coturn_auth_grant *grant, struct coturn_auth_denial *denial) {
  struct module *module = state;
  struct attempt attempt = {
      .module = module,
      .thread = thread_get(module),
      .request = request,
      .grant = grant,
      .denial = denial,
      .now = clock_now(),
  };
  if (!attempt.thread) {
    attempt.reason = COTURN_AUTH_REASON_MODULE_ERROR;
    return attempt_deny(&attempt, 500);
  }
  attempt.thread->last.ref = 0;
  attempt.snapshot = store_acquire(attempt.thread->reader);
  enum coturn_auth_verdict verdict = decide(&attempt);
  if (attempt.snapshot) {
    store_release(attempt.thread->reader);
  }
  turncred_cleanse(attempt.held.key, sizeof attempt.held.key);
  return verdict;
}
