/*
 * issue.c - makes credentials from the snapshot in memory, and records them before they are answered
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "issue.h"

#include "base/clock.h"
#include "base/region.h"
#include "base/user_name.h"
#include "issuing/lifetime.h"
#include "issuing/mint.h"

#include "turncredd/supply/issue_record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RESERVE_WAIT_MS 3000 /* how long a request waits for the first tokens under a new key, or after a start */

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
        (r->caller && !caller_may(r->caller, realms[i].name)) ||
        (r->issuer && !issuer_may(r->issuer, realms[i].name))) {
      continue;
    }
    name = realms[i].name;
    found++;
  }
  if (found != 1) {
    request_error(r, 400, "invalid_target",
                  found ? "audience: several realms have this server name; name one with realm"
                  : r->issuer
                      ? "audience: there is no TURN server of this name, or its realm is not open to users of the "
                        "token's issuer (realms of its section) or to this caller"
                      : "audience: there is no TURN server of this name, or it is not open to this caller; "
                        "turncredctl realm list has the names, caller list the caller's realms");
    return false;
  }
  return issue_policy(r, name, policy);
}

/* --- answers ------------------------------------------------------------------------------ */

bool issue_no_limit(struct request *r, const char *field, bool given) {
  if (given) {
    request_error(
        r, 400, "invalid_request",
        "%s: a pushed credential alone can carry it; limits of others belong to their key (turncredctl key set)",
        field);
  }
  return !given;
}

bool issue_region(struct request *r, const char *region) {
  if (region && !region_is_name(region)) {
    request_error(r, 400, "invalid_request", "region: " REGION_RULE);
    return false;
  }
  snprintf(r->region, sizeof r->region, "%s", region ? region : "");
  return true;
}

#define SERVERS_NAMED 2 /* browsers grow slow with more */

/* Adds what chosen servers of the fleet advertise. */
static void add_advertised(const struct request *r, json_t *uris) {
  const struct store_server *chosen[SERVERS_NAMED] = {0};
  const struct store_choice how = {.region = *r->region ? r->region : r->reloadable->settings.region};
  struct store_servers *servers = store_servers(r->daemon->store);
  size_t count = store_servers_choose(servers, &how, chosen, SERVERS_NAMED);
  for (size_t i = 0; i < count; i++) {
    for (const char *const *uri = chosen[i]->uris; *uri; uri++) {
      json_array_append_new(uris, json_string(*uri));
    }
  }
  store_servers_release(servers);
}

json_t *issue_uris(const struct request *r, const char *realm) {
  const struct realm_info *info = r->directory ? directory_realm(r->directory, realm) : NULL;
  json_t *uris = json_array();
  if (info && !info->foreign_caller) {
    add_advertised(r, uris);
  }
  for (char *const *uri = info && !json_array_size(uris) ? info->uris : NULL; uri && *uri; uri++) {
    json_array_append_new(uris, json_string(*uri));
  }
  return uris;
}

json_t *issue_ice_servers(json_t *uris, const char *username, const char *credential) {
  if (!json_array_size(uris)) { /* browsers throw at a server without URIs */
    return json_array();
  }
  return json_pack("[{s:O, s:s, s:s}]", "urls", uris, "username", username, "credential", credential);
}

void issue_links(struct request *r, const json_t *uris, const char *username, const char *credential) {
  size_t i, cap = 1;
  json_t *uri;
  if (r->whole || r->status >= 300) { /* a part of a batch has no headers */
    return;
  }
  json_array_foreach(uris, i, uri) { cap += json_string_length(uri) + strlen(username) + strlen(credential) + 100; }
  char *text = malloc(cap);
  size_t n = 0;
  if (!text) {
    request_no_memory(r);
    return;
  }
  *text = '\0';
  json_array_foreach(uris, i, uri) { /* neither name nor credential has quotes or backslashes: issue_name */
    n +=
        (size_t)snprintf(text + n, cap - n,
                         "<%s>; rel=\"ice-server\"; username=\"%s\"; credential=\"%s\"; credential-type=\"password\"\n",
                         json_string_value(uri), username, credential);
  }
  r->link = text;
}

/* Who brings a subject: the caller, or the realm where there is none. */
static const char *group_of(const struct request *r, const char *realm) { return r->caller ? r->caller->name : realm; }

bool issue_subject_rate(struct request *r, const char *realm, const char *subject) {
  char text[TURNCRED_REALM_MAX + TURNCRED_USERNAME_MAX + 2];
  int64_t wait = 0;
  snprintf(text, sizeof text, "%s/%s", realm, subject);
  struct limit_name name = {"subject", group_of(r, realm), text};
  if (limits_rate(r->daemon->limits, &name, r->reloadable->settings.subject_rate, 60000, clock_ms(), &wait)) {
    return true;
  }
  request_too_many(r, wait, "credentials for this user are requested too often (subject_rate)");
  return false;
}

bool issue_name(struct request *r, const char *field, const char *name, size_t max, bool wire) {
  char why[200];
  if (!user_name_check(name, max, wire, why, sizeof why)) {
    return true;
  }
  request_error(r, 400, "invalid_request", "%s: %s", field, why);
  return false;
}

static const char *caller_of(const struct request *r) { return r->caller ? r->caller->name : ""; }

const char *issue_provider(const struct request *r) { return r->issuer ? r->issuer->name : ""; }

/* --- on record first ---------------------------------------------------------------------- */

struct record {
  struct request *request;
  enum store_mechanism mechanism;
  int64_t expiry;
  char *entry;      /* of the journal */
  const char *held; /* which of its things limits_hold has counted for the subject; NULL: none */
  char subject[];   /* REALM/SUBJECT, as limits_hold counts them */
};

/* What is counted of a subject: tokens, and what users get by themselves. NULL: nothing. */
static const char *held_kind(const struct request *r, enum store_mechanism mechanism) {
  return mechanism == STORE_TOKEN ? "tokens" : r->issuer ? "credentials" : NULL;
}

static struct record *record_new(struct request *r, enum store_mechanism mechanism, const struct issue_record *issue) {
  size_t n = strlen(issue->realm) + strlen(issue->subject) + 2;
  struct record *record = calloc(1, sizeof *record + n);
  char *entry = record ? issue_record_text(issue) : NULL;
  if (record && !entry) {
    free(record);
    return NULL;
  }
  if (record) {
    record->entry = entry;
    record->request = r;
    record->mechanism = mechanism;
    record->expiry = issue->expiry;
    record->held = held_kind(r, mechanism);
    snprintf(record->subject, n, "%s/%s", issue->realm, issue->subject);
  }
  return record;
}

/* The subject, as REALM/SUBJECT, does not hold what it has not got. held: what limits_hold has counted; NULL: nothing.
 */
static void release(struct request *r, const char *held, const char *subject, int64_t expiry) {
  struct limit_name name = {held, "", subject};
  if (held) {
    limits_release(r->daemon->limits, &name, expiry);
  }
}

/* Prepares an error instead of the credential. */
static void not_recorded(const struct record *record, const char *text) {
  struct request *r = record->request;
  release(r, record->held, record->subject, record->expiry);
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
  free(record->entry);
  free(record);
  request_resume(r);
}

/* The journal did not take the entry: err is that of journal_add. */
static void not_added(int err, struct record *record) {
  struct request *r = record->request;
  bool full = err == ENOSPC;
  if (full && !strcmp(r->reloadable->settings.journal_full, "continue")) {
    metric_count(&r->daemon->metrics.unrecorded);
    recorded(0, record);
    return;
  }
  not_recorded(record, full ? "the journal is full: the database has been away for too long"
                            : "the issue could not be recorded");
  free(record->entry);
  free(record);
  request_resume(r);
}

/* Records the issue, if its answer could be prepared; the answer is sent when the record is on disk. */
static void put_on_record(struct request *r, enum store_mechanism mechanism, const struct issue_record *issue) {
  char subject[TURNCRED_REALM_MAX + TURNCRED_USERNAME_MAX + 2];
  struct record *record = r->status < 300 ? record_new(r, mechanism, issue) : NULL;
  if (!record) {
    snprintf(subject, sizeof subject, "%s/%s", issue->realm, issue->subject);
    release(r, held_kind(r, mechanism), subject, issue->expiry);
    if (r->status < 300) {
      request_no_memory(r);
    }
    return;
  }
  request_wait(r);
  if (r->whole) {
    r->record = record;
    return;
  }
  int rc = journal_add(r->daemon->journal, record->entry, strlen(record->entry), recorded, record);
  if (rc) {
    not_added(rc, record);
  }
}

void issue_record_parts(struct request parts[], size_t count) {
  struct journal_addition *list = calloc(count, sizeof *list);
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    struct record *record = parts[i].record;
    if (record && list) {
      list[n++] = (struct journal_addition){record->entry, strlen(record->entry), recorded, record, 0};
    } else if (record) {
      not_added(ENOMEM, record);
    }
  }
  if (n) {
    journal_add_all(parts[0].daemon->journal, list, n);
  }
  for (size_t i = 0; i < n; i++) {
    if (list[i].result) {
      not_added(list[i].result, list[i].arg);
    }
  }
  free(list);
}

/* --- signing ------------------------------------------------------------------------------ */

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

/* A key that signs, copied out of the snapshot. */
struct signer {
  struct turncred_key key;
  struct turncred_rest_form form;
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
    signer->form = key->form;
    snprintf(signer->kid, sizeof signer->kid, "%s", key->kid);
  }
  release_snapshot(r);
  if (dead) {
    request_error(r, 403, "access_denied", "this user, or the realm, is revoked; turncredctl revocation list shows it");
  } else if (!key) {
    request_error(r, 503, "temporarily_unavailable",
                  "the realm has no key that signs now; the operator adds one with turncredctl key add");
  } else if (key_revoked >= now) {
    request_error(r, 503, "temporarily_unavailable",
                  "the realm's key that signs is revoked; the operator replaces it with turncredctl key rotate");
  } else if (need_tag && !tag) {
    delivery_wake(r->daemon->delivery);
    r->retry_after = 1;
    request_error(r, 503, "temporarily_unavailable", "the realm has no key of subject tags yet; it is being made");
  } else {
    return true;
  }
  turncred_cleanse(signer, sizeof *signer);
  return false;
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

/* Counts one more credential that a user has got by its own token. False: an answer with 429 has been prepared. */
static bool hold(struct request *r, const char *realm, const char *user, int64_t expiry, int64_t now) {
  char text[TURNCRED_REALM_MAX + TURNCRED_USERNAME_MAX + 2];
  int64_t wait = 0;
  snprintf(text, sizeof text, "%s/%s", realm, user);
  struct limit_name name = {"credentials", group_of(r, realm), text};
  if (!r->issuer ||
      limits_hold(r->daemon->limits, &name, r->reloadable->settings.subject_credentials, expiry, now, &wait)) {
    return true;
  }
  request_too_many(r, wait, "this user holds as many unexpired credentials as a user may (subject_credentials)");
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
  if (!issue_name(r, rest_answer ? "username" : "user", user, TURNCRED_USER_ID_MAX, true) ||
      !user_id_of(r, policy, user, address, mechanism, user_id, sizeof user_id) ||
      !issue_subject_rate(r, realm, user) || !find_signer(r, realm, user, use, &signer)) {
    return;
  }
  /* after a revocation was lifted, servers take one that lives shorter for one of those that stay dead */
  lifetime = later(lifetime, lifetime_needed(signer.lifted, policy->max_ttl, now));
  int64_t expiry = now + lifetime;
  enum turncred_err err =
      mint_password(thread_ws(), &signer.key, &signer.form, user_id, realm, expiry, username, password);
  turncred_cleanse(&signer.key, sizeof signer.key);
  if (err == TURNCRED_BAD_USERNAME || err == TURNCRED_NO_SPACE) {
    request_error(r, 400, "invalid_request", "user: %s", turncred_err_text(TURNCRED_BAD_USERNAME));
    return;
  }
  if (err) {
    request_error(r, 500, "server_error", "%s", turncred_err_text(err));
    return;
  }
  if (!hold(r, realm, user, expiry, now)) {
    turncred_cleanse(password, sizeof password);
    return;
  }
  json_t *uris = issue_uris(r, realm);
  json_t *answer = json_pack("{s:s, s:s, s:I, s:O}", "username", username, "password", password, "ttl",
                             (json_int_t)lifetime, "uris", uris);
  if (!rest_answer && answer) {
    json_object_set_new(answer, "realm", json_string(realm));
    json_object_set_new(answer, "kind", json_string(kinds[mechanism]));
    json_object_set_new(answer, "expires_at", json_integer((json_int_t)expiry));
    json_object_set_new(answer, "iceServers", issue_ice_servers(uris, username, password));
  }
  request_answer(r, rest_answer ? 200 : 201, answer);
  if (!rest_answer) {
    issue_links(r, uris, username, password);
  }
  json_decref(uris);
  turncred_cleanse(password, sizeof password);
  struct issue_record issue = {realm, kinds[mechanism], signer.kid, "", user, caller_of(r), issue_provider(r), expiry};
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
                policy->realm, "server_name", policy->server_name, "uris", issue_uris(r, policy->realm));
  if (exchanged && answer) {
    json_object_set_new(answer, "issued_token_type", json_string("urn:ietf:params:oauth:token-type:access_token"));
  }
  turncred_cleanse(key, sizeof key);
  turncred_cleanse(token, sizeof token);
  request_answer(r, 200, answer);
  struct issue_record issue = {policy->realm, "token",           kid,   made->fingerprint, subject,
                               caller_of(r),  issue_provider(r), expiry};
  put_on_record(r, STORE_TOKEN, &issue);
}

void issue_token(struct request *r, const struct policy *policy, const char *subject, size_t mac_key_len,
                 bool exchanged) {
  struct signer signer;
  struct mint_token made;
  char name[TURNCRED_REALM_MAX + TURNCRED_USERNAME_MAX + 2];
  struct timespec now;
  int64_t wait = 0;
  bool low = false;
  const char *realm = policy->realm;
  clock_gettime(CLOCK_REALTIME, &now);
  int64_t expiry = (int64_t)now.tv_sec + policy->default_ttl;
  if (!issue_name(r, exchanged ? "subject_token: the user that it names" : "subject", subject, TURNCRED_USER_ID_MAX,
                  false) ||
      !issue_subject_rate(r, realm, subject) || !find_signer(r, realm, subject, TURNCRED_USE_TOKEN, &signer)) {
    return;
  }
  snprintf(name, sizeof name, "%s/%s", realm, subject);
  struct limit_name held = {"tokens", group_of(r, realm), name};
  bool reserved = reserve_take(r->daemon->reserve, realm, signer.kid, &low);
  if (low) {
    delivery_wake(r->daemon->delivery);
  }
  if (!reserved && delivery_reserves(r->daemon->delivery)) {
    reserved = reserve_take_within(r->daemon->reserve, realm, signer.kid, RESERVE_WAIT_MS, &low);
  }
  if (!reserved) {
    r->retry_after = 1;
    request_error(r, 503, "temporarily_unavailable",
                  "no tokens are reserved under the realm's key; more are being reserved");
  } else if (!limits_hold(r->daemon->limits, &held, r->reloadable->settings.subject_tokens, expiry, (int64_t)now.tv_sec,
                          &wait)) {
    reserve_return(r->daemon->reserve, realm, signer.kid);
    request_too_many(r, wait, "this user holds as many unexpired tokens as a user may (subject_tokens)");
  } else {
    enum turncred_err err = mint_token(thread_ws(), &signer.key, signer.tagged ? signer.tag_key : NULL,
                                       policy->server_name, subject, &now, policy->default_ttl, mac_key_len, &made);
    if (err) {
      limits_release(r->daemon->limits, &held, expiry);
      reserve_return(r->daemon->reserve, realm, signer.kid);
      request_error(r, 500, "server_error", "%s", turncred_err_text(err));
    } else {
      answer_token(r, policy, signer.kid, subject, &made, exchanged);
    }
    turncred_cleanse(&made, sizeof made);
  }
  turncred_cleanse(&signer, sizeof signer);
}
