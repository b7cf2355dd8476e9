/*
 * issue.h - from the snapshot in memory to a credential, recorded before it is answered
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_ISSUE_H
#define TURNCREDD_ISSUE_H

#include "turncredd/http/request.h"

/* The realm and its policy, as far as issuing wants them; copied out of the snapshot. */
struct policy {
  char realm[TURNCRED_REALM_MAX + 1];
  char server_name[TURNCRED_SERVER_NAME_MAX + 1];
  uint32_t default_ttl, max_ttl;
  uint8_t mechanisms[4];
  bool bind_address; /* derived credentials are for one client address */
};
/* false: an error has been prepared. */
bool issue_policy(struct request *request, const char *realm, struct policy *policy);
bool policy_offers(const struct policy *policy, enum store_mechanism mechanism);
/* The name of the realm that this audience (server name, or realm) means for the caller; NULL: an
 * error has been prepared. realm: asked for by name, or NULL. */
bool issue_audience(struct request *request, const char *audience, const char *realm,
                    struct policy *policy);

/* Each of these answers, now or when it is on record. ttl 0: the realm's default; the credential lives longer where it
 * has to outlive a lifted revocation (issuing/lifetime.h). address: of the
 * client, where the realm binds to it; "" else. */
void issue_derived(struct request *request, const struct policy *policy,
                   enum store_mechanism mechanism, const char *user, const char *address,
                   int64_t ttl, bool rest_answer);
void issue_token(struct request *request, const struct policy *policy, const char *subject,
                 bool exchanged);

/* False: 429 has been prepared. */
bool issue_subject_rate(struct request *request, const char *realm, const char *subject);
/* An RTCIceServer list (W3C WebRTC) with one server. */
json_t *issue_ice_servers(const struct request *request, const char *realm, const char *username,
                          const char *credential);
json_t *issue_uris(const struct request *request, const char *realm);

#endif
