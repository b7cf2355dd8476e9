/*
 * credential.c - /v1/realms/{realm}/credentials: for the eP-CSCF, other trusted programs, and users by their tokens
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/ip.h"
#include "batch.h"
#include "handlers.h"
#include "issue.h"
#include "issuing/mint.h"
#include "turncredd/http/caller_auth.h"
#include "user_token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- members of the body ------------------------------------------------------------------ */

/* The text member of this name; NULL if the body has none. If the member is no text, an error is prepared and *ok
 * becomes false; if *ok is false already, nothing is done. */
static const char *text_of(struct request *r, const json_t *body, const char *name, bool *ok) {
  json_t *value = json_object_get(body, name);
  if (!value || !*ok) {
    return NULL;
  }
  if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value)) {
    request_error(r, 400, "invalid_request", "%s: must be a text without NUL", name);
    *ok = false;
  }
  return json_string_value(value);
}

/* The member ttl in seconds, or the realm's default. *ok as above. */
static int64_t ttl_of(struct request *r, const json_t *body, const struct policy *policy, bool *ok) {
  json_t *value = json_object_get(body, "ttl");
  json_int_t ttl = json_integer_value(value);
  if (!value || !*ok) {
    return policy->default_ttl;
  }
  if (!json_is_integer(value) || ttl < 1 || ttl > policy->max_ttl) {
    request_error(r, 400, "invalid_request", "ttl: must be a whole number of seconds from 1 to the realm's %u",
                  policy->max_ttl);
    *ok = false;
  }
  return ttl;
}

/* The member of this name, a limit from 1 to max; 0 if the body has none. *ok as above. */
static int64_t limit_of(struct request *r, const json_t *body, const char *name, int64_t max, bool *ok) {
  json_t *value = json_object_get(body, name);
  if (!value || !*ok) {
    return 0;
  }
  if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > max) {
    request_error(r, 400, "invalid_request", "%s: must be a whole number from 1 to %lld", name, (long long)max);
    *ok = false;
  }
  return json_integer_value(value);
}

/* Writes client_address into out, in its one spelling; "" if the body has none. False: an error has been prepared. */
static bool address_of(struct request *r, const json_t *body, char out[IP_TEXT]) {
  bool ok = true;
  char why[160];
  const char *text = text_of(r, body, "client_address", &ok);
  *out = '\0';
  if (!ok || !text || !*text) {
    return ok;
  }
  if (!ip_canonical(text, out, why, sizeof why)) {
    return true;
  }
  request_error(r, 400, "invalid_request", "client_address: %s", why);
  return false;
}

/* Takes the member region. False: an error has been prepared, or ok is false already. */
static bool region_of(struct request *r, const json_t *body, bool ok) {
  const char *region = text_of(r, body, "region", &ok);
  return ok && issue_region(r, region);
}

/* --- pushing ------------------------------------------------------------------------------ */

/* Prepares 503 after a push that nobody refused. */
static void not_pushed(struct request *r, enum push_result result) {
  r->retry_after = 2;
  request_error(r, 503, "temporarily_unavailable", "the database %s; sending the request again does no harm",
                result == PUSH_FAILED ? "has failed, as turncredd's log says" : "does not answer");
}

struct work {
  struct push push;
  struct request *request;
  char password[MINT_PASSWORD_MAX + 1];
  bool made; /* the password was made here, for a POST */
};

static void work_free(void *p) {
  turncred_cleanse(p, sizeof(struct work));
  free(p);
}

/* Called when the push is done, on the pusher's thread. */
static void pushed(struct push *push, enum push_result result, void *arg) {
  struct work *work = arg;
  struct request *r = work->request;
  switch (result) {
  case PUSH_DONE:
  case PUSH_LATE: {
    metric_count(&r->daemon->metrics.issued[METRIC_PUSHED]);
    if (result == PUSH_LATE) {
      metric_count(&r->daemon->metrics.late);
    }
    json_t *uris = issue_uris(r, push->realm);
    json_t *answer = json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:O, s:o}", "realm", push->realm, "kind", "pushed",
                               "username", push->username, "ttl", (json_int_t)(push->expiry - (int64_t)time(NULL)),
                               "expires_at", (json_int_t)push->expiry, "in_force", result == PUSH_DONE, "uris", uris,
                               "iceServers", issue_ice_servers(uris, push->username, work->password));
    if (push->max_bps) {
      json_object_set_new(answer, "max_bps", json_integer(push->max_bps));
    }
    if (push->max_allocations) {
      json_object_set_new(answer, "max_allocations", json_integer(push->max_allocations));
    }
    if (work->made && answer) {
      json_object_set_new(answer, "password", json_string(work->password));
    }
    request_answer(r, result == PUSH_DONE ? 200 : 202, answer);
    if (work->made) {
      issue_links(r, uris, push->username, work->password);
    }
    json_decref(uris);
    break;
  }
  case PUSH_REVOKED:
    request_error(r, 403, "access_denied", "this user, or the realm, is revoked; turncredctl revocation list shows it");
    break;
  case PUSH_REFUSED:
    request_error(r, 400, "invalid_request", "the database refuses the credential: %s", push->text);
    break;
  case PUSH_MISSING:
  case PUSH_FAILED:
  case PUSH_UNKNOWN:
    not_pushed(r, result);
    break;
  }
  request_resume(r);
}

/* Makes the long-term keys of the password, sealed unless the realm stores them plain. False: an error has been
 * prepared. */
static bool seal(struct request *r, const struct realm_info *info, struct work *work) {
  struct push *push = &work->push;
  const struct kek_ring *keks = r->reloadable->keks;
  const char *kek_id = info->kek_id ? info->kek_id : kek_ring_default(keks);
  const uint8_t *kek = info->plain || !kek_id ? NULL : kek_ring_find(keks, kek_id);
  struct turncred_credential_row row = {kek_id,       push->realm,          push->username,
                                        push->expiry, push->client_address, *push->user ? push->user : NULL};
  if (!info->plain && !kek) {
    request_error(r, 503, "temporarily_unavailable",
                  "the key encryption key of this realm is not loaded; see the setting kek");
    return false;
  }
  if (kek) {
    snprintf(push->kek_id, sizeof push->kek_id, "%s", kek_id);
  }
  if (!mint_pushed(thread_ws(), kek, &row, work->password, push->octets)) {
    return true;
  }
  request_error(r, 503, "temporarily_unavailable", "the credential could not be sealed");
  return false;
}

static bool good_password(struct request *r, const char *password) {
  size_t n = password ? strlen(password) : 0;
  const char *wrong = NULL;
  if (n < MINT_PASSWORD_MIN || n > MINT_PASSWORD_MAX) {
    wrong = "password: 16 to 256 octets are needed, of at least 128 random bits";
  } else if (!turncred_username_coturn_accepts(password, n)) {
    wrong = "password: blanks, quotes, backslashes and control characters are not allowed";
  } else {
    char seen[256] = {0};
    size_t kinds = 0;
    for (const char *p = password; *p; p++) {
      kinds += !seen[(unsigned char)*p]++;
    }
    if (kinds < 6) {
      wrong = "password: repeats a few characters; use at least 128 random bits";
    }
  }
  if (wrong) {
    request_error(r, 400, "invalid_request", "%s", wrong);
  }
  return !wrong;
}

/* What a push says: whose credential it is, and under which username; password NULL: one is made. */
struct pushing {
  const char *user, *username, *password;
};

static void push(struct request *r, const json_t *body, const struct policy *policy, const struct pushing *what) {
  const char *password = what->password;
  const struct realm_info *info = directory_realm(r->directory, policy->realm);
  struct work *work = calloc(1, sizeof *work);
  bool ok = true;
  int64_t ttl = ttl_of(r, body, policy, &ok);
  int64_t max_bps = limit_of(r, body, "max_bps", INT64_MAX, &ok);
  int64_t max_allocations = limit_of(r, body, "max_allocations", INT32_MAX, &ok);
  if (!ok || !work || !info) {
    if (ok && !work) {
      request_no_memory(r);
    } else if (ok) {
      r->retry_after = 1;
      request_error(r, 503, "temporarily_unavailable", "the realm is not loaded yet");
    }
    free(work);
    return;
  }
  struct push *p = &work->push;
  work->request = r;
  work->made = password == NULL;
  r->work = work;
  r->work_free = work_free;
  p->kind = PUSH_PUT;
  snprintf(p->realm, sizeof p->realm, "%s", policy->realm);
  snprintf(p->username, sizeof p->username, "%s", what->username);
  if (strcmp(what->user, what->username) != 0) {
    snprintf(p->user, sizeof p->user, "%s", what->user);
  }
  snprintf(p->caller, sizeof p->caller, "%s", r->caller ? r->caller->name : "");
  snprintf(p->provider, sizeof p->provider, "%s", issue_provider(r));
  p->expiry = (int64_t)time(NULL) + ttl;
  p->max_bps = max_bps;
  p->max_allocations = max_allocations;
  p->wait_ms = (uint32_t)r->reloadable->settings.push_wait;
  p->silent_ms = r->reloadable->settings.silent_after;
  p->done = pushed;
  p->arg = work;
  if (!address_of(r, body, p->client_address)) {
    return;
  }
  if (password) {
    snprintf(work->password, sizeof work->password, "%s", password);
  } else if (mint_secret(work->password)) {
    request_error(r, 500, "server_error", "the random number generator failed");
    return;
  }
  if (!issue_subject_rate(r, policy->realm, what->user) || !seal(r, info, work)) {
    return;
  }
  request_wait(r);
  pusher_add(r->daemon->pusher, p);
}

/* field: what the request calls the username. */
static bool may_push(struct request *r, const struct policy *policy, const char *field, const char *username) {
  if (!policy_offers(policy, STORE_PUSHED)) {
    request_error(r, 400, "invalid_request", "kind: the realm does not offer pushed");
    return false;
  }
  return issue_name(r, field, username, TURNCRED_USERNAME_MAX, true);
}

/* --- the handlers ------------------------------------------------------------------------- */

void credential_put(struct request *r) {
  static const char *const members[] = {"password",        "user", "ttl", "client_address", "region", "max_bps",
                                        "max_allocations", NULL};
  struct policy policy = {0};
  bool ok = true;
  if (!caller_auth_required(r, SCOPE_PUSH, r->realm) || !issue_policy(r, r->realm, &policy) ||
      !may_push(r, &policy, "username", r->username)) {
    return;
  }
  json_t *body = request_json(r, members);
  if (!body) {
    return;
  }
  const char *password = text_of(r, body, "password", &ok), *user = text_of(r, body, "user", &ok);
  ok = region_of(r, body, ok);
  if (ok && good_password(r, password) && (!user || may_push(r, &policy, "user", user))) {
    push(r, body, &policy, &(struct pushing){user ? user : r->username, r->username, password});
  }
  if (password) {
    turncred_cleanse((char *)(uintptr_t)password, strlen(password));
  }
  json_decref(body);
}

/* The kind that the body names; without a name derived, or for a user's own token what the realm offers first of
 * derived, rest and pushed. False: an error has been prepared. */
static bool kind_of(struct request *r, const char *kind, const struct policy *policy, enum store_mechanism *out) {
  static const struct {
    const char *name;
    enum store_mechanism mechanism;
  } kinds[] = {{"derived", STORE_DERIVED}, {"rest", STORE_REST}, {"pushed", STORE_PUSHED}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (kind ? !strcmp(kind, kinds[i].name) : !policy || policy_offers(policy, kinds[i].mechanism)) {
      *out = kinds[i].mechanism;
      return true;
    }
  }
  request_error(r, 400, "invalid_request",
                kind ? "kind: must be derived, rest or pushed" : "realm: offers none of derived, rest and pushed");
  return false;
}

/* May the user of the access token have the realm? False: an error has been prepared. */
static bool user_may(struct request *r) {
  if (issuer_may(r->issuer, r->realm)) {
    return true;
  }
  snprintf(r->www_authenticate, sizeof r->www_authenticate, "Bearer realm=\"turncredd\", error=\"insufficient_scope\"");
  request_error(r, 403, "insufficient_scope", "realm: users of [issuer %s] may not have this realm (realms)",
                r->issuer->name);
  return false;
}

/* What a body asks for. */
struct wish {
  const char *kind, *user, *username;
};

/* Takes whose credential it is: own: the user of the access token, else the body names the user. False: an error has
 * been prepared. */
static bool take_user(struct request *r, struct wish *wish, const char *own) {
  if (!own && (!wish->user || !*wish->user)) {
    request_error(r, 400, "invalid_request", "user: is missing; it names the user of the credential");
    return false;
  }
  if (own && wish->user && strcmp(wish->user, own) != 0) {
    request_error(r, 403, "access_denied", "user: the access token is of another user; leave the member out");
    return false;
  }
  if (own && wish->username) {
    request_error(r, 400, "invalid_request", "username: users have credentials of their own name alone");
    return false;
  }
  wish->user = own ? own : wish->user;
  return true;
}

/* Makes the credential of a kind that has been chosen. */
static void make(struct request *r, const json_t *body, const struct policy *policy, enum store_mechanism mechanism,
                 const struct wish *wish) {
  const char *username = wish->username;
  char address[IP_TEXT];
  bool ok = true;
  if (mechanism == STORE_PUSHED) {
    if (may_push(r, policy, "user", wish->user) && (!username || may_push(r, policy, "username", username))) {
      push(r, body, policy, &(struct pushing){wish->user, username ? username : wish->user, NULL});
    }
    return;
  }
  if (username) {
    request_error(r, 400, "invalid_request", "username: a pushed credential alone has one that the caller chooses");
    return;
  }
  if (!issue_no_limit(r, "max_bps", json_object_get(body, "max_bps") != NULL) ||
      !issue_no_limit(r, "max_allocations", json_object_get(body, "max_allocations") != NULL)) {
    return;
  }
  if (!policy_offers(policy, mechanism)) {
    request_error(r, 400, "invalid_request", "kind: the realm does not offer this kind");
    return;
  }
  int64_t ttl = ttl_of(r, body, policy, &ok);
  if (ok && address_of(r, body, address)) {
    issue_derived(r, policy, mechanism, wish->user, address, ttl, false);
  }
}

/* Makes the credential that one body asks for. own: the user of the access token in the request; NULL: a caller has
 * sent it. */
static void issue(struct request *r, json_t *body, const char *own) {
  static const char *const members[] = {"user",   "kind",    "username",        "ttl", "client_address",
                                        "region", "max_bps", "max_allocations", NULL};
  if (!request_members(r, body, members)) {
    return;
  }
  bool ok = true;
  struct policy policy = {0};
  struct wish wish = {text_of(r, body, "kind", &ok), text_of(r, body, "user", &ok), text_of(r, body, "username", &ok)};
  if (!region_of(r, body, ok)) {
    return;
  }
  if (own && (json_object_get(body, "max_bps") || json_object_get(body, "max_allocations"))) {
    request_error(r, 400, "invalid_request", "max_bps, max_allocations: limits are set by callers, not by users");
    return;
  }
  if (own && (!user_may(r) || !issue_policy(r, r->realm, &policy))) {
    return;
  }
  enum store_mechanism mechanism;
  if (!kind_of(r, wish.kind, own ? &policy : NULL, &mechanism) || !take_user(r, &wish, own)) {
    return;
  }
  enum scope scope = mechanism == STORE_DERIVED ? SCOPE_DERIVED : mechanism == STORE_REST ? SCOPE_REST : SCOPE_PUSH;
  if (own || (caller_auth_allows(r, scope, r->realm) && issue_policy(r, r->realm, &policy))) {
    make(r, body, &policy, mechanism, &wish);
  }
}

/* Sets the request's caller, or its issuer and the user of the access token; user "": a caller has sent it. What is a
 * caller's key is no token. False: an error has been prepared. */
static bool authorised(struct request *r, char user[TURNCRED_USER_ID_MAX + 1]) {
  *user = '\0';
  if (r->directory && user_token_given(r) && !caller_auth_by_key(r, NULL, caller_auth_bearer(r))) {
    return user_token_bearer(r, user);
  }
  return caller_auth_required(r, SCOPE_ANY, NULL);
}

void credential_issue(struct request *r) {
  char user[TURNCRED_USER_ID_MAX + 1];
  json_t *body;
  if (!authorised(r, user) || !(body = request_json(r, NULL))) {
    return;
  }
  issue(r, body, *user ? user : NULL);
  json_decref(body);
}

static void issue_part(struct request *part, json_t *body) { issue(part, body, NULL); }

void credential_batch(struct request *r) {
  static const char *const members[] = {"requests", NULL};
  json_t *body;
  if (!caller_auth_required(r, SCOPE_ANY, NULL) || !(body = request_json(r, members))) {
    return;
  }
  batch_run(r, json_object_get(body, "requests"), issue_part);
  json_decref(body);
}

/* Called when the credential has been removed or the user revoked, on the pusher's thread. */
static void taken_back(struct push *push, enum push_result result, void *arg) {
  struct work *work = arg;
  struct request *r = work->request;
  if (result == PUSH_DONE || result == PUSH_LATE) {
    request_answer(r, result == PUSH_DONE ? 200 : 202,
                   json_pack("{s:s, s:s, s:b, s:b}", "realm", push->realm, "username", push->username, "revoked",
                             push->kind == PUSH_REVOKE, "in_force", result == PUSH_DONE));
  } else if (result == PUSH_MISSING) {
    request_error(r, 404, "not_found", "username: there is no pushed credential of this name");
  } else if (result == PUSH_REFUSED) {
    request_error(r, 400, "invalid_request", "the database refuses the credential: %s", push->text);
  } else {
    not_pushed(r, result);
  }
  request_resume(r);
}

/* Handles DELETE, and POST for HTTP clients that know GET and POST alone, such as Kamailio's http_client. */
void credential_delete(struct request *r) {
  const char *action = request_query(r, "action");
  const char *revoke = request_query(r, "revoke");
  struct policy policy = {0};
  bool yes = revoke && !strcmp(revoke, "true");
  if (!caller_auth_required(r, yes ? SCOPE_REVOKE : SCOPE_PUSH, r->realm) || !issue_policy(r, r->realm, &policy)) {
    return;
  }
  if (!strcmp(r->method, "POST") && (!action || strcmp(action, "delete") != 0)) {
    request_error(r, 400, "invalid_request", "action: must be delete; POST can do nothing else here");
    return;
  }
  if (revoke && !yes && strcmp(revoke, "false") != 0) {
    request_error(r, 400, "invalid_request", "revoke: must be true or false");
    return;
  }
  struct work *work = calloc(1, sizeof *work);
  if (!work) {
    request_no_memory(r);
    return;
  }
  r->work = work;
  r->work_free = work_free;
  work->request = r;
  struct push *p = &work->push;
  p->kind = yes ? PUSH_REVOKE : PUSH_REMOVE;
  snprintf(p->realm, sizeof p->realm, "%s", r->realm);
  snprintf(p->username, sizeof p->username, "%s", r->username);
  snprintf(p->caller, sizeof p->caller, "%s", r->caller->name);
  p->wait_ms = (uint32_t)r->reloadable->settings.push_wait;
  p->silent_ms = r->reloadable->settings.silent_after;
  p->done = taken_back;
  p->arg = work;
  request_wait(r);
  pusher_add(r->daemon->pusher, p);
}
