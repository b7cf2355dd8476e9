/*
 * issue.h - makes credentials from the snapshot in memory, and records them before they are answered
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_ISSUE_H
#define TURNCREDD_ISSUE_H

#include "turncredd/http/request.h"

/* What issuing needs of a realm, copied out of the snapshot. */
struct policy {
  char realm[TURNCRED_REALM_MAX + 1];
  char server_name[TURNCRED_SERVER_NAME_MAX + 1];
  uint32_t default_ttl, max_ttl;
  uint8_t mechanisms[4];
  bool bind_address; /* a derived credential is for one client address */
};
/* Fills the policy of a realm. False: an error has been prepared. */
bool issue_policy(struct request *request, const char *realm, struct policy *policy);
bool policy_offers(const struct policy *policy, enum store_mechanism mechanism);
/* Fills the policy of the one realm that has this server name (audience, or NULL) and this name (realm, or NULL) and is
 * open to the request's caller. False: an error has been prepared. */
bool issue_audience(struct request *request, const char *audience, const char *realm, struct policy *policy);

/* Make a derived, REST or token credential and prepare the answer, which is sent when the issue is in the journal.
 * user, subject: the user of the credential. address: the client's address if the realm binds credentials to it, else
 * "". ttl: seconds; 0: the realm's default. A credential lives longer if it has to outlive a lifted revocation
 * (issuing/lifetime.h). rest_answer: the answer has the form of the TURN REST call. exchanged: the token is the result
 * of a token exchange. */
void issue_derived(struct request *request, const struct policy *policy, enum store_mechanism mechanism,
                   const char *user, const char *address, int64_t ttl, bool rest_answer);
void issue_token(struct request *request, const struct policy *policy, const char *subject, bool exchanged);

/* Counts one credential for the subject. False: there were too many, and an answer with 429 has been prepared. */
bool issue_subject_rate(struct request *request, const char *realm, const char *subject);
/* A list of RTCIceServer (W3C WebRTC) with one server, and the URIs of a realm's servers. */
json_t *issue_ice_servers(const struct request *request, const char *realm, const char *username,
                          const char *credential);
json_t *issue_uris(const struct request *request, const char *realm);

#endif
