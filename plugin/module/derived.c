/*
 * derived.c - the mechanisms derived and rest: keys from a shared secret and the USERNAME
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/ip.h"
#include "module.h"

#include <arpa/inet.h>
#include <string.h>

/* A derived or REST credential does not say when it was issued. No issuer gives it more than max_ttl,
 * so expiry - max_ttl is the earliest time. A revocation that came after that time may have come
 * after the credential, too, and therefore refuses it. */
static int64_t earliest_issue(const struct attempt *a, int64_t expiry) { return expiry - (int64_t)a->realm->max_ttl; }

/* In a realm with bind_address the user id of a derived credential is "USER|ADDRESS". Splits it at
 * the last bar: *user_len becomes the length of USER. False: it has no address, or another one than
 * the client's. */
static bool bound_here(const struct attempt *a, const struct turncred_username *parsed, size_t *user_len) {
  char text[IP_TEXT], canonical[IP_TEXT], client[INET6_ADDRSTRLEN], why[160];
  const char *bar = memrchr(parsed->user_id, '|', parsed->user_id_len);
  if (!bar || bar == parsed->user_id) {
    return false;
  }
  size_t len = parsed->user_id_len - (size_t)(bar + 1 - parsed->user_id);
  if (len >= sizeof text) {
    return false;
  }
  memcpy(text, bar + 1, len);
  text[len] = '\0';
  /* an issuer may spell an address in another way, such as an IPv4 address as IPv4-mapped */
  if (ip_canonical(text, canonical, why, sizeof why)) {
    return false;
  }
  address_text(a->request->client_addr, client, sizeof client);
  *user_len = (size_t)(bar - parsed->user_id);
  return strcmp(canonical, client) == 0;
}

static bool user_revoked(struct attempt *a, const struct turncred_username *parsed, size_t user_len,
                         const struct store_key *key) {
  char user[TURNCRED_USERNAME_MAX + 1];
  memcpy(user, parsed->user_id, user_len);
  user[user_len] = '\0';
  struct subject subject = {
      .mechanism = STORE_DERIVED, /* subject_refused() does not look at it */
      .realm = a->realm->name,
      .key_realm = key->realm,
      .kid = key->kid,
      .user = user,
      .fingerprint = "",
      .issued = earliest_issue(a, parsed->expiry),
  };
  enum coturn_auth_reason reason = subject_refused(a->snapshot, &subject);
  if (reason) {
    attempt_refuse(a, reason);
  }
  return reason != COTURN_AUTH_REASON_NONE;
}

static bool offer(struct attempt *a, enum store_mechanism mechanism, const struct store_key *key,
                  const struct turncred_username *parsed, size_t user_len) {
  const struct coturn_auth_request *request = a->request;
  struct candidate candidate = {
      .mechanism = mechanism,
      .expires = parsed->expiry,
      .issued = earliest_issue(a, parsed->expiry),
      .user = parsed->user_id,
      .user_len = user_len,
      .store_key = key,
      .limits = key->limits,
  };
  enum turncred_err err = mechanism == STORE_DERIVED
                              ? turncred_derived_key(a->thread->ws, &key->key, request->username, request->username_len,
                                                     parsed, a->realm->name, candidate.key)
                              : turncred_rest_key(a->thread->ws, &key->key, request->username, request->username_len,
                                                  a->realm->name, candidate.key);
  if (err) {
    attempt_refuse(a, reason_of(err));
    return false;
  }
  bool found = attempt_offer(a, &candidate);
  turncred_cleanse(candidate.key, sizeof candidate.key);
  return found;
}

/* Tries one key of the realm: reads the USERNAME in the key's format, checks time, client address and
 * revocations, and offers a candidate. True: attempt_offer() said so. */
static bool try_key(struct attempt *a, enum store_mechanism mechanism, const struct store_key *key) {
  struct turncred_username parsed;
  const char *name = a->request->username;
  size_t len = a->request->username_len;
  enum turncred_err err = mechanism == STORE_REST
                              ? turncred_rest_parse(name, len, &key->form, &parsed)
                              : turncred_username_parse(name, len, TURNCRED_USER_ID_TIMESTAMP, &parsed);
  if (!err) {
    err = turncred_expiry_check(parsed.expiry, a->now, a->realm->max_ttl);
  }
  if (err) {
    attempt_refuse(a, reason_of(err));
    return false;
  }
  size_t user_len = parsed.user_id_len;
  if (mechanism == STORE_DERIVED && a->realm->bind_address && !bound_here(a, &parsed, &user_len)) {
    attempt_refuse(a, COTURN_AUTH_REASON_ADDRESS_MISMATCH);
    return false;
  }
  return !user_revoked(a, &parsed, user_len, key) && offer(a, mechanism, key, &parsed, user_len);
}

static bool try_keys(struct attempt *a, enum store_mechanism mechanism, const struct store_key *const *keys,
                     size_t count) {
  size_t tried = 0;
  enum coturn_auth_reason reason = COTURN_AUTH_REASON_UNKNOWN_KEY;
  for (size_t i = 0; i < count && tried < a->realm->keys_tried; i++) {
    if (!store_key_accepts(keys[i], a->now)) {
      reason = attempt_key_refused(a, keys[i]);
      continue;
    }
    tried++;
    if (try_key(a, mechanism, keys[i])) {
      return true;
    }
  }
  if (!tried) {
    attempt_refuse(a, reason);
  }
  return false;
}

bool derived_candidates(struct attempt *a) {
  return try_keys(a, STORE_DERIVED, a->realm->derived, a->realm->derived_count);
}

bool rest_candidates(struct attempt *a) { return try_keys(a, STORE_REST, a->realm->rest, a->realm->rest_count); }
