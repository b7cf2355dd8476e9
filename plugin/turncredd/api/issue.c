/*
 * issue.c - makes credentials from the snapshot in memory, and records them before they are answered
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "issue.h"

#include "base/clock.h"
#include "issuing/lifetime.h"
#include "issuing/mint.h"

#include "turncredd/supply/issue_record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RESERVE_WAIT_MS 1000 /* how long a request waits for the first tokens under a new key */

static const char *const kinds[] = {"", "token", "derived", "rest", "pushed"};
static const enum metric_kind counters[] = {METRIC_TOKEN, METRIC_TOKEN, METRIC_DERIVED, METRIC_REST, METRIC_PUSHED};

/* --- policy ------------------------------------------------------------------------------- */

/* The snapshot, which release_snapshot gives back. NULL: an error has been prepared. */
static const struct store_snapshot *acquire_snapshot(struct request *r) {
  struct store_reader *reader = thread_reader(r->daemon->store);
  const struct store_snapshot *snapshot = reader ? store_acquire(reader) : NULL;
  if (!snapshot) {
    r->retry_after = 1;
    request_error(r, 503, "temporarily_unavailable", "realms and keys are not loaded yet");
  }
  return snapshot;
}

static void release_snapshot(struct request *r) { store_release(thread_reader(r->daemon->store)); }

static void copy_policy(const struct store_realm *realm, struct policy *policy) {
  snprintf(policy->realm, sizeof policy->realm, "%s", realm->name);
  snprintf(policy->server_name, sizeof policy->server_name, "%s", realm->server_name);
  policy->default_ttl = realm->default_ttl;
  policy->max_ttl = realm->max_ttl;
  memcpy(policy->mechanisms, realm->mechanisms, sizeof policy->mechanisms);
  policy->bind_address = realm->bind_address;
}

bool issue_policy(struct request *r, const char *name, struct policy *policy) {
  const struct store_snapshot *snapshot = acquire_snapshot(r);
  if (!snapshot) {
    return false;
  }
  const struct store_realm *realm = store_realm_find(snapshot, name);
  if (realm) {
    copy_policy(realm, policy);
  }
  release_snapshot(r);
  if (!realm) {
    request_error(r, 404, "unknown_realm", "realm: there is no such realm");
  }
  return realm != NULL;
}

bool policy_offers(const struct policy *policy, enum store_mechanism mechanism) {
  return memchr(policy->mechanisms, mechanism, sizeof policy->mechanisms) != NULL;
}

bool issue_audience(struct request *r, const char *audience, const char *realm, struct policy *policy) {
  size_t count, found = 0;
  const char *name = NULL;
  if (!r->directory) {
    r->retry_after = 1;
    request_error(r, 503, "temporarily_unavailable", "realms are not loaded yet");
    return false;
  }
  const struct realm_info *realms = directory_realms(r->directory, &count);
  for (size_t i = 0; i < count; i++) {
    if ((realm && strcmp(realms[i].name, realm) != 0) || (audience && strcmp(realms[i].server_name, audience) != 0) ||
        (r->caller && !caller_may(r->caller, realms[i].name))) {
      continue;
    }
    name = realms[i].name;
    found++;
  }
  if (found != 1) {
    request_error(r, 400, "invalid_target",
                  found ? "audience: several realms have this server name; name one with realm"
                        : "audience: there is no TURN server of this name, or it is not open to this caller");
    return false;
  }
  return issue_policy(r, name, policy);
}

/* --- answers ------------------------------------------------------------------------------ */

json_t *issue_uris(const struct request *r, const char *realm) {
  const struct realm_info *info = r->directory ? directory_realm(r->directory, realm) : NULL;
  json_t *uris = json_array();
  for (char *const *uri = info ? info->uris : NULL; uri && *uri; uri++) {
    json_array_append_new(uris, json_string(*uri));
  }
  return uris;
}

json_t *issue_ice_servers(const struct request *r, const char *realm, const char *username, const char *credential) {
  return json_pack("[{s:o, s:s, s:s}]", "urls", issue_uris(r, realm), "username", username, "credential", credential);
}

bool issue_subject_rate(struct request *r, const char *realm, const char *subject) {
  char name[TURNCRED_REALM_MAX + TURNCRED_USERNAME_MAX + 2];
  int64_t wait = 0;
  snprintf(name, sizeof name, "%s/%s", realm, subject);
  if (limits_rate(r->daemon->limits, "subject", name, r->reloadable->settings.subject_rate, 60000, clock_ms(), &wait)) {
    return true;
  }
  request_too_many(r, wait, "credentials for this user are requested too often");
  return false;
}

/* --- on record first ---------------------------------------------------------------------- */

struct record {
  struct request *request;
  enum store_mechanism mechanism;
  int64_t expiry;
  char subject[]; /* REALM/SUBJECT, as limits_hold counts the tokens of a subject */
};

static struct record *record_new(struct request *r, enum store_mechanism mechanism, const struct issue_record *issue) {
  size_t n = strlen(issue->realm) + strlen(issue->subject) + 2;
  struct record *record = calloc(1, sizeof *record + n);
  if (record) {
    record->request = r;
    record->mechanism = mechanism;
    record->expiry = issue->expiry;
    snprintf(record->subject, n, "%s/%s", issue->realm, issue->subject);
  }
  return record;
}

/* Prepares an error instead of the credential, which was not issued: the subject does not hold it. */
static void not_recorded(const struct record *record, const char *text) {
  struct request *r = record->request;
  if (record->mechanism == STORE_TOKEN) {
    limits_release(r->daemon->limits, "tokens", record->subject, record->expiry);
  }
  r->retry_after = 5;
  request_error(r, 503, "temporarily_unavailable", "%s", text);
}

static void recorded(int err, void *arg) {
  struct record *record = arg;
  struct request *r = record->request;
  if (err) {
    not_recorded(record, "the issue could not be recorded");
  } else {
    metric_count(&r->daemon->metrics.issued[counters[record->mechanism]]);
  }
  free(record);
  request_resume(r);
}

/* Records the issue, whose answer has been prepared; the answer is sent when the record is on disk. */
static void put_on_record(struct request *r, enum store_mechanism mechanism, const struct issue_record *issue) {
  struct record *record = record_new(r, mechanism, issue);
  if (!record) {
    request_error(r, 500, "server_error", "out of memory");
    return;
  }
  request_wait(r);
  int rc = issue_record_add(r->daemon->journal, issue, recorded, record);
  if (!rc) {
    return;
  }
  if (rc == ENOSPC && !strcmp(r->reloadable->settings.journal_full, "continue")) {
    metric_count(&r->daemon->metrics.unrecorded);
    recorded(0, record);
    return;
  }
  not_recorded(record, rc == ENOSPC ? "the journal is full: the database has been away for too long"
                                    : "the issue could not be recorded");
  free(record);
  request_resume(r);
}

/* --- signing ------------------------------------------------------------------------------ */

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

/* A key that signs, copied out of the snapshot. */
struct signer {
  struct turncred_key key;
  enum turncred_username_format format;
  char kid[TURNCRED_USERNAME_MAX + 1];
  int64_t lifted; /* see lifetime_needed */
  bool tagged;    /* tokens under this key carry a subject tag, made with tag_key */
  uint8_t tag_key[32];
};

/* Finds the realm's key of this use that signs now. False: an error has been prepared. */
static bool find_signer(struct request *r, const char *realm, const char *user, enum turncred_use use,
                        struct signer *signer) {
  int64_t now = (int64_t)time(NULL);
  const struct store_snapshot *snapshot = acquire_snapshot(r);
  if (!snapshot) {
    return false;
  }
  const struct store_realm *of = store_realm_find(snapshot, realm);
  int64_t revoked = later(store_revoked_at(snapshot, STORE_REVOKED_REALM, realm, ""),
                          store_revoked_at(snapshot, STORE_REVOKED_USER, realm, user));
  bool dead = revoked >= now;
  const struct store_key *key = of && !dead ? store_key_to_sign(snapshot, of, use, now) : NULL;
  int64_t key_revoked = key ? store_revoked_at(snapshot, STORE_REVOKED_KID, realm, key->kid) : 0;
  const struct store_key *tag = NULL;
  bool need_tag = key && use == TURNCRED_USE_TOKEN && key->subject_tag;
  memset(signer, 0, sizeof *signer);
  if (need_tag && (tag = store_key_to_sign(snapshot, of, TURNCRED_USE_TAG, now))) {
    signer->tagged = true;
    memcpy(signer->tag_key, tag->key.auth, sizeof signer->tag_key);
  }
  if (key) {
    signer->lifted = later(revoked, key_revoked);
    signer->key = key->key;
    signer->format = key->username_format;
    snprintf(signer->kid, sizeof signer->kid, "%s", key->kid);
  }
  release_snapshot(r);
  if (dead) {
    request_error(r, 403, "access_denied", "this user, or the realm, is revoked");
  } else if (!key) {
    request_error(r, 503, "temporarily_unavailable",
                  "the realm has no key that signs now; the operator adds one with turncredctl key add");
  } else if (key_revoked >= now) {
    request_error(r, 503, "temporarily_unavailable",
                  "the realm's key that signs is revoked; the operator replaces it with turncredctl key rotate");
    turncred_cleanse(signer, sizeof *signer);
    return false;
  } else if (need_tag && !tag) {
    delivery_wake(r->daemon->delivery);
    r->retry_after = 1;
    request_error(r, 503, "temporarily_unavailable", "the realm has no key of subject tags yet; it is being made");
    return false;
  }
  return key != NULL;
}

/* Writes the user id into out: the user, or "USER|ADDRESS" if the realm binds derived credentials to the client's
 * address. False: an error has been prepared. */
static bool user_id_of(struct request *r, const struct policy *policy, const char *user, const char *address,
                       enum store_mechanism mechanism, char *out, size_t cap) {
  bool bound = policy->bind_address && mechanism == STORE_DERIVED;
  if (bound != (*address != 0)) {
    request_error(r, 400, "invalid_request",
                  bound ? "client_address: is missing; the realm binds derived credentials to it"
                        : "client_address: is for pushed credentials, and for derived ones of a realm that "
                          "binds them to it");
    return false;
  }
  int n = snprintf(out, cap, bound ? "%s|%s" : "%s%s", user, address);
  if (n > 0 && (size_t)n < cap) {
    return true;
  }
  request_error(r, 400, "invalid_request", "user: longer than %d octets", TURNCRED_USER_ID_MAX);
  return false;
}

void issue_derived(struct request *r, const struct policy *policy, enum store_mechanism mechanism, const char *user,
                   const char *address, int64_t ttl, bool rest_answer) {
  struct signer signer;
  char username[TURNCRED_USERNAME_MAX + 1], password[TURNCRED_PASSWORD_MAX];
  char user_id[TURNCRED_USER_ID_MAX + 1];
  int64_t now = (int64_t)time(NULL), lifetime = ttl ? ttl : policy->default_ttl;
  const char *realm = policy->realm;
  enum turncred_use use = mechanism == STORE_REST ? TURNCRED_USE_REST : TURNCRED_USE_DERIVED;
  if (!user_id_of(r, policy, user, address, mechanism, user_id, sizeof user_id) ||
      !issue_subject_rate(r, realm, user) || !find_signer(r, realm, user, use, &signer)) {
    return;
  }
  /* after a revocation was lifted, servers take one that lives shorter for one of those that stay dead */
  lifetime = later(lifetime, lifetime_needed(signer.lifted, policy->max_ttl, now));
  int64_t expiry = now + lifetime;
  enum turncred_err err =
      mint_password(thread_ws(), &signer.key, signer.format, user_id, realm, expiry, username, password);
  turncred_cleanse(&signer.key, sizeof signer.key);
  if (err == TURNCRED_BAD_USERNAME || err == TURNCRED_NO_SPACE) {
    request_error(r, 400, "invalid_request", "user: %s", turncred_err_text(TURNCRED_BAD_USERNAME));
    return;
  }
  if (err) {
    request_error(r, 500, "server_error", "%s", turncred_err_text(err));
    return;
  }
  json_t *answer = json_pack("{s:s, s:s, s:I, s:o}", "username", username, "password", password, "ttl",
                             (json_int_t)lifetime, "uris", issue_uris(r, realm));
  if (!rest_answer && answer) {
    json_object_set_new(answer, "realm", json_string(realm));
    json_object_set_new(answer, "kind", json_string(kinds[mechanism]));
    json_object_set_new(answer, "expires_at", json_integer((json_int_t)expiry));
    json_object_set_new(answer, "iceServers", issue_ice_servers(r, realm, username, password));
  }
  turncred_cleanse(password, sizeof password);
  request_answer(r, rest_answer ? 200 : 201, answer);
  if (r->status >= 300) {
    return;
  }
  struct issue_record issue = {realm, kinds[mechanism], signer.kid, "", user, r->caller ? r->caller->name : "", expiry};
  put_on_record(r, mechanism, &issue);
}

/* Prepares the answer with a token that has been made, and records the issue. */
static void answer_token(struct request *r, const struct policy *policy, const char *kid, const char *subject,
                         struct mint_token *made, bool exchanged) {
  char token[TURNCRED_TOKEN_BASE64_MAX], key[2 * TURNCRED_MAC_KEY_MAX];
  int64_t expiry = (int64_t)(made->token.timestamp >> 16) + made->token.lifetime;
  turncred_base64_encode(made->octets, made->len, token, sizeof token);
  turncred_base64_encode(made->token.mac_key, made->token.mac_key_len, key, sizeof key);
  json_t *answer =
      json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "access_token", token, "token_type", "pop",
                "expires_in", (json_int_t)made->token.lifetime, "kid", kid, "key", key, "alg",
                made->token.mac_key_len == 20 ? "HMAC-SHA-1" : "HMAC-SHA-256-128", "scope", "stun", "realm",
                policy->realm, "server_name", policy->server_name, "iceServers",
                json_pack("[{s:o, s:s, s:s, s:{s:s, s:s}}]", "urls", issue_uris(r, policy->realm), "username", kid,
                          "credentialType", "oauth", "credential", "macKey", key, "accessToken", token));
  if (exchanged && answer) {
    json_object_set_new(answer, "issued_token_type", json_string("urn:ietf:params:oauth:token-type:access_token"));
  }
  turncred_cleanse(key, sizeof key);
  turncred_cleanse(token, sizeof token);
  request_answer(r, 200, answer);
  if (r->status >= 300) {
    return;
  }
  struct issue_record issue = {
      policy->realm, "token", kid, made->fingerprint, subject, r->caller ? r->caller->name : "", expiry};
  put_on_record(r, STORE_TOKEN, &issue);
}

void issue_token(struct request *r, const struct policy *policy, const char *subject, bool exchanged) {
  struct signer signer;
  struct mint_token made;
  char name[TURNCRED_REALM_MAX + TURNCRED_USERNAME_MAX + 2];
  struct timespec now;
  int64_t wait = 0;
  bool low = false;
  const char *realm = policy->realm;
  clock_gettime(CLOCK_REALTIME, &now);
  int64_t expiry = (int64_t)now.tv_sec + policy->default_ttl;
  if (strlen(subject) > TURNCRED_USER_ID_MAX) {
    request_error(r, 400, "invalid_request", "subject: longer than %d octets", TURNCRED_USER_ID_MAX);
    return;
  }
  if (!issue_subject_rate(r, realm, subject) || !find_signer(r, realm, subject, TURNCRED_USE_TOKEN, &signer)) {
    return;
  }
  snprintf(name, sizeof name, "%s/%s", realm, subject);
  bool reserved = reserve_take(r->daemon->reserve, realm, signer.kid, &low);
  if (low) {
    delivery_wake(r->daemon->delivery);
  }
  if (!reserved && delivery_connected(r->daemon->delivery)) {
    reserved = reserve_take_within(r->daemon->reserve, realm, signer.kid, RESERVE_WAIT_MS, &low);
  }
  if (!reserved) {
    r->retry_after = 1;
    request_error(r, 503, "temporarily_unavailable",
                  "no tokens are reserved under the realm's key; more are being reserved");
  } else if (!limits_hold(r->daemon->limits, "tokens", name, r->reloadable->settings.subject_tokens, expiry,
                          (int64_t)now.tv_sec, &wait)) {
    reserve_return(r->daemon->reserve, realm, signer.kid);
    request_too_many(r, wait, "this user holds as many unexpired tokens as a user may");
  } else {
    enum turncred_err err = mint_token(thread_ws(), &signer.key, signer.tagged ? signer.tag_key : NULL,
                                       policy->server_name, subject, &now, policy->default_ttl, 20, &made);
    if (err) {
      request_error(r, 500, "server_error", "%s", turncred_err_text(err));
    } else {
      answer_token(r, policy, signer.kid, subject, &made, exchanged);
    }
    turncred_cleanse(&made, sizeof made);
  }
  turncred_cleanse(&signer, sizeof signer);
}
