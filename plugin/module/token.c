/*
 * token.c - the mechanism token: RFC 7635
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "module.h"

#include <stdio.h>
#include <string.h>

#define SHORT_FINGERPRINT 12 /* digits of the fingerprint in display names */

static enum coturn_auth_verdict refuse(struct attempt *a, enum coturn_auth_reason reason, const char *kid,
                                       const char *fingerprint) {
  a->reason = reason;
  snprintf(a->denial->display_name, sizeof a->denial->display_name, "%.*s/%.*s",
           COTURN_AUTH_NAME_MAX - SHORT_FINGERPRINT - 1, kid, SHORT_FINGERPRINT, fingerprint);
  return attempt_deny(a, reason == COTURN_AUTH_REASON_MODULE_ERROR ? 500 : 401);
}

/* Names the holder of the token for renewal and quota. Where tokens carry a subject tag, the tag is
 * both. Elsewhere the identity is the kid, so that any token of the same key renews, and the quota is
 * counted for each token. */
static int name_grant(struct attempt *a, const struct store_key *key, const struct turncred_token *token,
                      const char *fingerprint) {
  struct coturn_auth_grant *grant = a->grant;
  snprintf(grant->display_name, sizeof grant->display_name, "%.*s/%.*s", COTURN_AUTH_NAME_MAX - SHORT_FINGERPRINT - 1,
           key->kid, SHORT_FINGERPRINT, fingerprint);
  if (!key->subject_tag) {
    memcpy(grant->quota_name, fingerprint, strlen(fingerprint) + 1);
    return attempt_identity(a, "kid", key->kid, strlen(key->kid));
  }
  turncred_hex_encode(token->mac_key, TURNCRED_SUBJECT_TAG, grant->quota_name, sizeof grant->quota_name);
  return attempt_identity(a, "tag", token->mac_key, TURNCRED_SUBJECT_TAG);
}

static enum coturn_auth_verdict grant_token(struct attempt *a, const struct store_key *key,
                                            const struct turncred_token *token, const char *fingerprint) {
  int64_t deadline;
  enum turncred_err err = turncred_token_check_time(token, a->now, a->realm->max_ttl, &deadline);
  if (!err && deadline <= a->now) { /* only a fraction of a second is left */
    err = TURNCRED_EXPIRED;
  }
  if (err) {
    return refuse(a, reason_of(err), key->kid, fingerprint);
  }

  struct subject subject = {
      .mechanism = STORE_TOKEN,
      .realm = a->realm->name,
      .key_realm = key->realm,
      .kid = key->kid,
      .user = "",
      .fingerprint = fingerprint,
      .issued = (int64_t)(token->timestamp >> 16),
  };
  enum coturn_auth_reason reason = subject_refused(a->snapshot, &subject);
  if (reason) {
    return refuse(a, reason, key->kid, fingerprint);
  }

  uint8_t sha1_key[20];
  if (turncred_token_hmac_sha1_key(a->thread->ws, token, sha1_key) != TURNCRED_OK ||
      name_grant(a, key, token, fingerprint)) {
    return refuse(a, COTURN_AUTH_REASON_MODULE_ERROR, key->kid, fingerprint);
  }
  attempt_fill_grant(a, &subject, deadline, &key->limits);
  memcpy(a->grant->key, sha1_key, sizeof sha1_key);
  a->grant->key_len = sizeof sha1_key;
  turncred_cleanse(sha1_key, sizeof sha1_key);
  return COTURN_AUTH_GRANTED;
}

/* Checks in the order of RFC 7635 section 7: is the kid known, does the token decrypt, is its time
 * right. The host verifies MESSAGE-INTEGRITY. */
enum coturn_auth_verdict token_authenticate(struct attempt *a) {
  const struct coturn_auth_request *request = a->request;
  char fingerprint[33] = "";
  turncred_token_fingerprint(a->thread->ws, request->access_token, request->access_token_len, fingerprint);

  const struct store_key *key = store_key_find(a->snapshot, a->realm, request->username);
  if (!key || key->key.use != TURNCRED_USE_TOKEN) {
    return refuse(a, COTURN_AUTH_REASON_UNKNOWN_KEY, request->username, fingerprint);
  }
  if (!store_key_accepts(key, a->now)) {
    return refuse(a, attempt_key_refused(a, key), key->kid, fingerprint);
  }

  struct turncred_token token;
  enum turncred_err err = turncred_token_decode(a->thread->ws, &key->key, a->realm->server_name, request->access_token,
                                                request->access_token_len, &token);
  if (err) {
    return refuse(a, reason_of(err), key->kid, fingerprint);
  }
  enum coturn_auth_verdict verdict = grant_token(a, key, &token, fingerprint);
  turncred_token_clear(&token);
  return verdict;
}
