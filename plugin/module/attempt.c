/*
 * attempt.c - one authentication on its way through the mechanisms: refusals, candidates, the grant
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "fleet_quota.h"
#include "module.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum coturn_auth_reason reason_of(enum turncred_err err) {
  switch (err) {
  case TURNCRED_OK:
    return COTURN_AUTH_REASON_NONE;
  case TURNCRED_EXPIRED:
    return COTURN_AUTH_REASON_EXPIRED;
  case TURNCRED_NOT_YET_VALID:
    return COTURN_AUTH_REASON_NOT_YET_VALID;
  case TURNCRED_BAD_TOKEN:
    return COTURN_AUTH_REASON_BAD_TOKEN;
  case TURNCRED_BAD_USERNAME:
    return COTURN_AUTH_REASON_BAD_USERNAME;
  case TURNCRED_LIFETIME_REFUSED:
    return COTURN_AUTH_REASON_LIFETIME_REFUSED;
  case TURNCRED_TOO_FAR_AHEAD:
    return COTURN_AUTH_REASON_TOO_FAR_AHEAD;
  default: /* keys were checked when they were loaded: any other error is the module's fault */
    return COTURN_AUTH_REASON_MODULE_ERROR;
  }
}

/* When several mechanisms refuse one request, the reason of the highest rank is reported. */
static int rank(enum coturn_auth_reason reason) {
  switch (reason) {
  case COTURN_AUTH_REASON_MODULE_ERROR:
    return 8;
  case COTURN_AUTH_REASON_INTEGRITY_MISMATCH:
    return 7;
  case COTURN_AUTH_REASON_REVOKED:
    return 6;
  case COTURN_AUTH_REASON_ADDRESS_MISMATCH:
    return 5;
  case COTURN_AUTH_REASON_EXPIRED:
  case COTURN_AUTH_REASON_TOO_FAR_AHEAD:
    return 4;
  case COTURN_AUTH_REASON_NOT_YET_VALID:
  case COTURN_AUTH_REASON_UNKNOWN_KEY:
    return 3;
  case COTURN_AUTH_REASON_UNKNOWN_USER:
    return 2;
  case COTURN_AUTH_REASON_BAD_USERNAME:
    return 1;
  default:
    return 0;
  }
}

#define SAY_EXPIRED_S 60

enum coturn_auth_reason attempt_key_refused(const struct attempt *a, const struct store_key *key) {
  static _Atomic int64_t said; /* UTC seconds, of any key */
  if (key->state == STORE_KEY_DISABLED) {
    return COTURN_AUTH_REASON_UNKNOWN_KEY;
  }
  if (key->accept_until == 0 || a->now < key->accept_until) {
    return COTURN_AUTH_REASON_NOT_YET_VALID;
  }
  int64_t before = atomic_load_explicit(&said, memory_order_relaxed);
  if (a->now - before >= SAY_EXPIRED_S && atomic_compare_exchange_strong(&said, &before, a->now)) {
    module_log(a->module, COTURN_AUTH_LOG_WARNING,
               "key \"%s\" of realm \"%s\" has expired (accept_until): what was made with it is refused as expired; "
               "turncredctl key list %s shows the keys",
               key->kid, key->realm, key->realm);
  }
  return COTURN_AUTH_REASON_EXPIRED;
}

void attempt_refuse(struct attempt *a, enum coturn_auth_reason reason) {
  if (a->reason == COTURN_AUTH_REASON_NONE || rank(reason) > rank(a->reason)) {
    a->reason = reason;
  }
}

bool attempt_offer(struct attempt *a, const struct candidate *candidate) {
  if (a->have_held && a->module->host->check_integrity(a->request, a->held.key, sizeof a->held.key) == 1) {
    return true;
  }
  a->held = *candidate;
  a->have_held = true;
  return false;
}

enum coturn_auth_verdict attempt_deny(struct attempt *a, uint16_t error_code) {
  a->denial->error_code = error_code;
  a->denial->reason = (uint16_t)a->reason;
  counter_denied(a->reason);
  return COTURN_AUTH_DENIED;
}

/* The identity is SHA-256 over a label, kind and realm, each with a NUL behind it, and the name. */
int attempt_identity(struct attempt *a, const char *kind, const void *name, size_t name_len) {
  uint8_t text[32 + TURNCRED_REALM_MAX + 1 + TURNCRED_USERNAME_MAX];
  int head = snprintf((char *)text, sizeof text, "turncred-identity-v1%c%s%c%s", '\0', kind, '\0', a->realm->name);
  if (head < 0 || (size_t)head + 1 + name_len > sizeof text) {
    return -1;
  }
  memcpy(text + head + 1, name, name_len);
  if (turncred_sha256(a->thread->ws, text, (size_t)head + 1 + name_len, a->grant->identity)) {
    return -1;
  }
  a->grant->identity_len = 32;
  return 0;
}

static enum coturn_auth_expiry expiry_policy(enum store_expiry expiry) {
  switch (expiry) {
  case STORE_GRACE:
    return COTURN_AUTH_EXPIRY_GRACE;
  case STORE_ALLOCATE:
    return COTURN_AUTH_EXPIRY_ALLOCATE;
  case STORE_STRICT:
    break;
  }
  return COTURN_AUTH_EXPIRY_STRICT;
}

/* The smaller one of two limits, of which 0 is none. */
static uint64_t stricter(uint64_t a, uint64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

/* What is left of the realm's quota for this server; all of it where nothing is: allocate() refuses then, and an
 * allocation that lives stays. */
static uint64_t quota_left(const struct attempt *a, const struct subject *subject) {
  uint64_t elsewhere =
      fleet_quota_elsewhere(a->module->fleet_quota, a->thread, a->realm, subject->user, subject->fingerprint);
  return a->realm->user_quota - (elsewhere < a->realm->user_quota ? elsewhere : 0);
}

void attempt_fill_grant(struct attempt *a, const struct subject *subject, int64_t expires,
                        const struct store_limits *limits) {
  static _Atomic uint64_t refs;
  struct coturn_auth_grant *grant = a->grant;
  grant->expiry_policy = expiry_policy(a->realm->expiry[subject->mechanism]);
  grant->grace_seconds = grant->expiry_policy == COTURN_AUTH_EXPIRY_GRACE ? a->realm->grace_seconds : 0;
  grant->expires = expires;
  grant->user_quota = (uint32_t)stricter(quota_left(a, subject), limits->max_allocations);
  if (COTURN_AUTH_HAS(grant, struct coturn_auth_grant, total_quota)) {
    grant->total_quota = a->realm->total_quota;
  }
  grant->max_bps = stricter(a->realm->max_bps, limits->max_bps);
  grant->ref = atomic_fetch_add_explicit(&refs, 1, memory_order_relaxed) + 1; /* 0 is none */

  struct last_grant *last = &a->thread->last;
  copy_text(last->realm, sizeof last->realm, subject->realm);
  copy_text(last->key_realm, sizeof last->key_realm, subject->key_realm);
  copy_text(last->kid, sizeof last->kid, subject->kid);
  copy_text(last->user, sizeof last->user, subject->user);
  copy_text(last->fingerprint, sizeof last->fingerprint, subject->fingerprint);
  last->subject = (struct subject){subject->mechanism, last->realm,       last->key_realm, last->kid,
                                   last->user,         last->fingerprint, subject->issued};
  last->ref = grant->ref;
  counter_granted(subject->mechanism);
}

/* The kind is part of the identity: only credentials of the mechanism that opened a session renew it,
 * so that the secret of one mechanism gives no power over sessions of another. */
static const char *const identity_kinds[] = {
    [STORE_DERIVED] = "derived", [STORE_REST] = "rest", [STORE_PUSHED] = "pushed"};

enum coturn_auth_verdict attempt_grant_user(struct attempt *a) {
  struct candidate *c = &a->held;
  struct coturn_auth_grant *grant = a->grant;
  memcpy(grant->quota_name, c->user, c->user_len);
  grant->quota_name[c->user_len] = '\0';
  memcpy(grant->display_name, grant->quota_name, c->user_len + 1);
  if (attempt_identity(a, identity_kinds[c->mechanism], c->user, c->user_len)) {
    a->reason = COTURN_AUTH_REASON_MODULE_ERROR;
    return attempt_deny(a, 500);
  }
  struct subject subject = {
      .mechanism = c->mechanism,
      .realm = a->realm->name,
      .key_realm = c->store_key ? c->store_key->realm : a->realm->name,
      .kid = c->store_key ? c->store_key->kid : "",
      .user = grant->quota_name,
      .fingerprint = "",
      .issued = c->issued,
  };
  attempt_fill_grant(a, &subject, c->expires, &c->limits);
  memcpy(grant->key, c->key, sizeof c->key);
  grant->key_len = sizeof c->key;
  return COTURN_AUTH_GRANTED;
}
