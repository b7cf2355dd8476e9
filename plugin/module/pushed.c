/*
 * pushed.c - the mechanism pushed: keys that are rows of the database
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "module.h"

#include <string.h>

static bool address_fits(const struct attempt *a, const struct store_credential *credential) {
  if (!credential->client_address[0]) {
    return true;
  }
  char text[64];
  address_text(a->request->client_addr, text, sizeof text);
  return strcmp(text, credential->client_address) == 0;
}

static enum coturn_auth_reason refused(const struct attempt *a, const struct store_credential *credential) {
  if (credential->expiry && credential->expiry <= a->now) {
    return COTURN_AUTH_REASON_EXPIRED;
  }
  if (!address_fits(a, credential)) {
    return COTURN_AUTH_REASON_ADDRESS_MISMATCH;
  }
  struct subject subject = {
      .mechanism = STORE_PUSHED,
      .realm = a->realm->name,
      .key_realm = a->realm->name,
      .kid = "",
      .user = credential->user,
      .fingerprint = "",
      .issued = credential->pushed_at,
  };
  return subject_refused(a->snapshot, &subject);
}

bool pushed_candidates(struct attempt *a) {
  const struct coturn_auth_request *request = a->request;
  const struct store_credential *credential = store_credential_find(a->snapshot, a->realm, request->username);
  if (!credential) {
    attempt_refuse(a, COTURN_AUTH_REASON_UNKNOWN_USER);
    return false;
  }
  enum coturn_auth_reason reason = refused(a, credential);
  if (reason) {
    attempt_refuse(a, reason);
    return false;
  }
  struct candidate candidate = {
      .mechanism = STORE_PUSHED,
      .expires = credential->expiry,
      .issued = credential->pushed_at,
      .user = credential->user,
      .user_len = strlen(credential->user),
      .store_key = NULL,
      .limits = credential->limits,
  };
  memcpy(candidate.key, credential->md5, sizeof candidate.key);
  bool found = attempt_offer(a, &candidate);
  turncred_cleanse(candidate.key, sizeof candidate.key);
  return found;
}
