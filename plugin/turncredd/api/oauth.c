/*
 * oauth.c - POST /oauth2/token: client credentials (RFC 6749) and token exchange (RFC 8693)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "handlers.h"
#include "issue.h"
#include "turncredd/http/caller_auth.h"
#include "user_token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
  if (!r->caller && (given || secret || r->no_memory)) {
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
  request_error(
      r, 400, "unauthorized_client",
      "this caller lacks the scope %s: turncredctl caller list shows what it may, caller add makes one that may",
      scope_name(scope));
  return false;
}

/* The octets of the session key that the request asks for with alg (RFC 7635 appendix B). 0: an error has been
 * prepared.
 */
static size_t mac_key_octets(struct request *r, const struct form *form) {
  const char *alg = form_get(form, "alg"), *type = form_get(form, "token_type");
  if (type && strcmp(type, "pop") != 0) {
    request_error(r, 400, "invalid_request", "token_type: must be pop");
    return 0;
  }
  if (!alg || !strcmp(alg, "HMAC-SHA-1")) {
    return 20;
  }
  if (!strcmp(alg, "HMAC-SHA-256-128")) {
    return 32;
  }
  request_error(r, 400, "invalid_request", "alg: must be HMAC-SHA-1 (default) or HMAC-SHA-256-128");
  return 0;
}

/* Checks the parameters that both grants share, and fills the policy of the realm that they name. RFC 7635 calls the
 * audience aud. False: an error has been prepared. */
static bool target(struct request *r, const struct form *form, struct policy *policy) {
  const char *aud = form_get(form, "aud");
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
  if (aud && audience && strcmp(aud, audience) != 0) {
    request_error(r, 400, "invalid_target", "aud: it names another TURN server than audience");
    return false;
  }
  audience = audience ? audience : aud;
  if (!audience && !realm) {
    request_error(r, 400, "invalid_target", "audience: name the TURN server");
    return false;
  }
  if (!issue_no_limit(r, "max_bps", form_get(form, "max_bps") != NULL) ||
      !issue_no_limit(r, "max_allocations", form_get(form, "max_allocations") != NULL)) {
    return false;
  }
  if (!issue_region(r, form_get(form, "region")) || !issue_audience(r, audience, realm, policy)) {
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
  size_t octets;
  if (need_caller(r, SCOPE_TOKEN) && (octets = mac_key_octets(r, form)) && target(r, form, &policy)) {
    issue_token(r, &policy, subject ? subject : r->caller->name, octets, false);
  }
}

static void refuse_subject(struct request *r, const char *wrong) {
  request_error(r, 400, "invalid_request", "%s", wrong);
}

/* Users may exchange their tokens themselves: the realms of the token's issuer bound what they get. A caller needs the
 * scope, and the realm itself. */
static void exchange(struct request *r, const struct form *form) {
  const char *token = form_get(form, "subject_token"), *type = form_get(form, "subject_token_type");
  char subject[TURNCRED_USER_ID_MAX + 1];
  struct policy policy = {0};
  size_t octets;
  if (!r->reloadable->settings.issuer_count) {
    request_error(r, 400, "unsupported_grant_type", "token exchange is not configured here (no [issuer NAME])");
    return;
  }
  if (r->caller && !need_caller(r, SCOPE_EXCHANGE)) {
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
  if ((octets = mac_key_octets(r, form)) && user_token_check(r, "subject_token", token, refuse_subject, subject) &&
      target(r, form, &policy)) {
    issue_token(r, &policy, subject, octets, true);
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
      request_error(r, 400, "unsupported_grant_type", "grant_type: must be client_credentials or %s%s", GRANT_EXCHANGE,
                    !strcmp(grant, "implicit")
                        ? "; a client of RFC 7635 gets its token from its portal, which authenticates here"
                        : "");
    }
  }
  form_free(&form);
}
