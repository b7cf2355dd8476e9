/*
 * oauth.c - POST /oauth2/token: client credentials (RFC 6749) and token exchange (RFC 8693)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "handlers.h"
#include "issue.h"
#include "turncredd/http/caller_auth.h"
#include "turncredd/jwt/fetcher.h"
#include "turncredd/jwt/jwt_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define GRANT_EXCHANGE "urn:ietf:params:oauth:grant-type:token-exchange"
#define TYPE_JWT "urn:ietf:params:oauth:token-type:jwt"
#define TYPE_ACCESS "urn:ietf:params:oauth:token-type:access_token"

static int hex(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

/* Decodes the form encoding that id and secret have inside the base64 of Basic (RFC 6749 section 2.3.1). A broken
 * escape stays as it is. */
static void unescape(char *text) {
  char *out = text;
  for (; *text; text++) {
    int high = *text == '%' ? hex(text[1]) : -1, low = high < 0 ? -1 : hex(text[2]);
    if (low >= 0 && (high || low)) {
      *out++ = (char)(high << 4 | low);
      text += 2;
    } else {
      *out++ = (char)(*text == '+' ? ' ' : *text);
    }
  }
  *out = '\0';
}

static const struct caller *basic(struct request *r, const char *base64) {
  char text[600];
  size_t len;
  const struct caller *caller = NULL;
  base64 += strspn(base64, " ");
  if (turncred_base64_decode(base64, strlen(base64), (uint8_t *)text, sizeof text - 1, &len)) {
    return NULL;
  }
  text[len] = '\0';
  char *colon = strchr(text, ':');
  if (colon && strlen(text) == len) {
    *colon = '\0';
    unescape(text);
    unescape(colon + 1);
    caller = caller_auth_by_key(r, text, colon + 1);
  }
  turncred_cleanse(text, sizeof text);
  return caller;
}

/* Sets the caller of a request by Basic, by client_id and client_secret, or by a client certificate; it stays NULL if
 * the request has none of these. False: an error has been prepared. */
static bool authenticate(struct request *r, const struct form *form) {
  const char *given = request_header(r, "Authorization");
  const char *id = form_get(form, "client_id"), *secret = form_get(form, "client_secret");
  if (!r->directory) {
    r->retry_after = 1;
    request_error(r, 503, "temporarily_unavailable", "callers are not loaded yet");
    return false;
  }
  if (given && secret) {
    request_error(r, 400, "invalid_request", "client_secret: use one way of client authentication, not two");
    return false;
  }
  if (given) {
    r->caller = !strncasecmp(given, "Basic ", 6) ? basic(r, given + 6) : NULL;
  } else if (secret) {
    r->caller = id ? caller_auth_by_key(r, id, secret) : NULL;
  } else if ((r->caller = caller_auth_by_certificate(r)) && id && strcmp(id, r->caller->name) != 0) {
    r->caller = NULL;
  }
  if (!r->caller && (given || secret)) {
    snprintf(r->www_authenticate, sizeof r->www_authenticate, "Basic realm=\"turncredd\"");
    request_error(r, 401, "invalid_client", "no caller has this id and key, or the key has expired");
    return false;
  }
  return caller_auth_rate(r);
}

/* Has the request a caller with this scope? False: an error has been prepared. */
static bool need_caller(struct request *r, enum scope scope) {
  if (!r->caller) {
    snprintf(r->www_authenticate, sizeof r->www_authenticate, "Basic realm=\"turncredd\"");
    request_error(r, 401, "invalid_client",
                  "client authentication is needed: Basic, client_id and client_secret, or a client "
                  "certificate");
    return false;
  }
  if (r->caller->scopes & (unsigned)scope) {
    return true;
  }
  request_error(r, 400, "unauthorized_client", "this caller lacks the scope %s", scope_name(scope));
  return false;
}

/* Checks the parameters that both grants share, and fills the policy of the realm that they name. False: an error has
 * been prepared. */
static bool target(struct request *r, const struct form *form, struct policy *policy) {
  const char *scope = form_get(form, "scope"), *audience = form_get(form, "audience");
  const char *realm = form_get(form, "realm"), *type = form_get(form, "requested_token_type");
  if (scope && strcmp(scope, "stun") != 0) {
    request_error(r, 400, "invalid_scope", "scope: must be stun");
    return false;
  }
  if (type && strcmp(type, TYPE_ACCESS) != 0) {
    request_error(r, 400, "invalid_request", "requested_token_type: must be %s", TYPE_ACCESS);
    return false;
  }
  if (form_get(form, "resource")) {
    request_error(r, 400, "invalid_target", "resource: name the TURN server with audience");
    return false;
  }
  if (!audience && !realm) {
    request_error(r, 400, "invalid_target", "audience: name the TURN server");
    return false;
  }
  if (!issue_audience(r, audience, realm, policy)) {
    return false;
  }
  if (!policy_offers(policy, STORE_TOKEN)) {
    request_error(r, 400, "invalid_target", "audience: its realm does not offer tokens");
    return false;
  }
  return true;
}

/* The caller is trusted: the token is for the user that it names, else for the caller itself. */
static void client_credentials(struct request *r, const struct form *form) {
  struct policy policy = {0};
  const char *subject = form_get(form, "subject");
  if (need_caller(r, SCOPE_TOKEN) && target(r, form, &policy)) {
    issue_token(r, &policy, subject ? subject : r->caller->name, false);
  }
}

/* Checks the portal's token and copies the user that it names into subject. False: an error has been prepared. */
static bool user_of(struct request *r, const char *token, char *subject, size_t cap) {
  const struct settings *s = &r->reloadable->settings;
  struct jwks *keys = settings_is_url(s->jwt_jwks) ? fetcher_keys(r->daemon->fetcher) : jwks_ref(r->reloadable->jwks);
  bool unknown_key, none = !keys;
  const char *wrong = jwt_check(token, s, keys, (int64_t)time(NULL), &unknown_key, subject, cap);
  jwks_unref(keys);
  if (unknown_key && (fetcher_hurry(r->daemon->fetcher) || none)) {
    r->retry_after = 1;
    request_error(r, 503, "temporarily_unavailable",
                  "subject_token: its key is not known; the issuer's key set is being fetched");
  } else if (wrong) {
    request_error(r, 400, "invalid_request", "%s", wrong);
  }
  return !wrong;
}

static void exchange(struct request *r, const struct form *form) {
  const struct settings *s = &r->reloadable->settings;
  const char *token = form_get(form, "subject_token"), *type = form_get(form, "subject_token_type");
  char subject[TURNCRED_USER_ID_MAX + 1];
  struct policy policy = {0};
  if (!*s->jwt_issuer) {
    request_error(r, 400, "unsupported_grant_type", "token exchange is not configured here (jwt_issuer)");
    return;
  }
  if (!(s->public_exchange && !r->caller) && !need_caller(r, SCOPE_EXCHANGE)) {
    return;
  }
  if (form_get(form, "actor_token") || form_get(form, "actor_token_type")) {
    request_error(r, 400, "invalid_request", "actor_token: delegation is not supported");
    return;
  }
  if (!token || !type || (strcmp(type, TYPE_ACCESS) != 0 && strcmp(type, TYPE_JWT) != 0)) {
    request_error(r, 400, "invalid_request", "subject_token and subject_token_type (%s or %s) are needed", TYPE_ACCESS,
                  TYPE_JWT);
    return;
  }
  if (user_of(r, token, subject, sizeof subject) && target(r, form, &policy)) {
    issue_token(r, &policy, subject, true);
  }
}

void oauth_token(struct request *r) {
  struct form form;
  if (request_form(r, &form)) {
    return;
  }
  const char *grant = form_get(&form, "grant_type");
  if (authenticate(r, &form)) {
    if (!grant) {
      request_error(r, 400, "invalid_request", "grant_type: is missing");
    } else if (!strcmp(grant, "client_credentials")) {
      client_credentials(r, &form);
    } else if (!strcmp(grant, GRANT_EXCHANGE)) {
      exchange(r, &form);
    } else {
      request_error(r, 400, "unsupported_grant_type", "grant_type: must be client_credentials or %s", GRANT_EXCHANGE);
    }
  }
  form_free(&form);
}
