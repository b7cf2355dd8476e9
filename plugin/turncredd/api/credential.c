/*
 * credential.c - /v1/realms/{realm}/credentials: for the eP-CSCF and other trusted programs
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "handlers.h"
#include "issue.h"
#include "issuing/mint.h"
#include "turncredd/http/caller_auth.h"

#include <arpa/inet.h>
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

/* Writes client_address into out, in the spelling that PostgreSQL and the sealed row use; "" if the body has none.
 * False: an error has been prepared. */
static bool address_of(struct request *r, const json_t *body, char *out, size_t cap) {
  bool ok = true;
  uint8_t binary[16];
  const char *text = text_of(r, body, "client_address", &ok);
  *out = '\0';
  if (!ok || !text || !*text) {
    return ok;
  }
  int family = strchr(text, ':') ? AF_INET6 : AF_INET;
  if (inet_pton(family, text, binary) == 1 && inet_ntop(family, binary, out, (socklen_t)cap)) {
    return true;
  }
  request_error(r, 400, "invalid_request", "client_address: not an IPv4 or IPv6 address");
  return false;
}

/* --- pushing ------------------------------------------------------------------------------ */

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
    json_t *answer =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:o, s:o}", "realm", push->realm, "kind", "pushed", "username",
                  push->username, "ttl", (json_int_t)(push->expiry - (int64_t)time(NULL)), "expires_at",
                  (json_int_t)push->expiry, "in_force", result == PUSH_DONE, "uris", issue_uris(r, push->realm),
                  "iceServers", issue_ice_servers(r, push->realm, push->username, work->password));
    if (work->made && answer) {
      json_object_set_new(answer, "password", json_string(work->password));
    }
    request_answer(r, result == PUSH_DONE ? 200 : 202, answer);
    break;
  }
  case PUSH_REVOKED:
    request_error(r, 403, "access_denied", "this user or this realm is revoked");
    break;
  case PUSH_REFUSED:
    request_error(r, 400, "invalid_request", "the database refuses the credential: %s", push->text);
    break;
  case PUSH_MISSING:
  case PUSH_UNKNOWN:
    r->retry_after = 2;
    request_error(r, 503, "temporarily_unavailable",
                  "the database does not answer; sending the request again does no harm");
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
  struct turncred_credential_row row = {kek_id, push->realm, push->username, push->expiry, push->client_address};
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

static void push(struct request *r, const json_t *body, const struct policy *policy, const char *username,
                 const char *password) {
  const struct realm_info *info = directory_realm(r->directory, policy->realm);
  struct work *work = calloc(1, sizeof *work);
  bool ok = true;
  int64_t ttl = ttl_of(r, body, policy, &ok);
  if (!ok || !work || !info) {
    if (ok) {
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
  snprintf(p->username, sizeof p->username, "%s", username);
  snprintf(p->caller, sizeof p->caller, "%s", r->caller->name);
  p->expiry = (int64_t)time(NULL) + ttl;
  p->wait_ms = (uint32_t)r->reloadable->settings.push_wait;
  p->done = pushed;
  p->arg = work;
  if (!address_of(r, body, p->client_address, sizeof p->client_address)) {
    return;
  }
  if (password) {
    snprintf(work->password, sizeof work->password, "%s", password);
  } else if (mint_secret(work->password)) {
    request_error(r, 500, "server_error", "the random number generator failed");
    return;
  }
  if (!issue_subject_rate(r, policy->realm, username) || !seal(r, info, work)) {
    return;
  }
  request_wait(r);
  pusher_add(r->daemon->pusher, p);
}

static bool may_push(struct request *r, const struct policy *policy, const char *username) {
  if (!policy_offers(policy, STORE_PUSHED)) {
    request_error(r, 400, "invalid_request", "kind: the realm does not offer pushed");
    return false;
  }
  if (!*username || strlen(username) > TURNCRED_USERNAME_MAX ||
      !turncred_username_coturn_accepts(username, strlen(username))) {
    request_error(r, 400, "invalid_request", "username: 1 to %d octets without blanks, quotes and backslashes",
                  TURNCRED_USERNAME_MAX);
    return false;
  }
  return true;
}

/* --- the handlers ------------------------------------------------------------------------- */

void credential_put(struct request *r) {
  static const char *const members[] = {"password", "ttl", "client_address", NULL};
  struct policy policy = {0};
  bool ok = true;
  if (!caller_auth_required(r, SCOPE_PUSH, r->realm) || !issue_policy(r, r->realm, &policy) ||
      !may_push(r, &policy, r->username)) {
    return;
  }
  json_t *body = request_json(r, members);
  if (!body) {
    return;
  }
  const char *password = text_of(r, body, "password", &ok);
  if (ok && good_password(r, password)) {
    push(r, body, &policy, r->username, password);
  }
  if (password) {
    turncred_cleanse((char *)(uintptr_t)password, strlen(password));
  }
  json_decref(body);
}

static void issue(struct request *r, const json_t *body) {
  bool ok = true;
  struct policy policy = {0};
  char address[64];
  const char *kind = text_of(r, body, "kind", &ok), *user = text_of(r, body, "user", &ok);
  enum store_mechanism mechanism = !kind || !strcmp(kind, "derived") ? STORE_DERIVED
                                   : !strcmp(kind, "rest")           ? STORE_REST
                                                                     : STORE_PUSHED;
  enum scope scope = mechanism == STORE_DERIVED ? SCOPE_DERIVED : mechanism == STORE_REST ? SCOPE_REST : SCOPE_PUSH;
  if (!ok) {
    return;
  }
  if (mechanism == STORE_PUSHED && strcmp(kind, "pushed") != 0) {
    request_error(r, 400, "invalid_request", "kind: must be derived, rest or pushed");
    return;
  }
  if (!user || !*user) {
    request_error(r, 400, "invalid_request", "user: is missing; it names the user of the credential");
    return;
  }
  if (!caller_auth_allows(r, scope, r->realm) || !issue_policy(r, r->realm, &policy)) {
    return;
  }
  if (mechanism == STORE_PUSHED) {
    if (may_push(r, &policy, user)) {
      push(r, body, &policy, user, NULL);
    }
    return;
  }
  if (!policy_offers(&policy, mechanism)) {
    request_error(r, 400, "invalid_request", "kind: the realm does not offer this kind");
    return;
  }
  int64_t ttl = ttl_of(r, body, &policy, &ok);
  if (ok && address_of(r, body, address, sizeof address)) {
    issue_derived(r, &policy, mechanism, user, address, ttl, false);
  }
}

void credential_issue(struct request *r) {
  static const char *const members[] = {"user", "kind", "ttl", "client_address", NULL};
  json_t *body;
  if (!caller_auth_required(r, SCOPE_ANY, NULL) || !(body = request_json(r, members))) {
    return;
  }
  issue(r, body);
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
    r->retry_after = 2;
    request_error(r, 503, "temporarily_unavailable",
                  "the database does not answer; sending the request again does no harm");
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
    request_error(r, 500, "server_error", "out of memory");
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
  p->done = taken_back;
  p->arg = work;
  request_wait(r);
  pusher_add(r->daemon->pusher, p);
}
