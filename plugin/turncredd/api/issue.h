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

/* Takes the name of a user (base/user_name.h): at most max octets; wire: it will be a part of a USERNAME. field: what
 * the request calls it. False: an error has been prepared. */
bool issue_name(struct request *request, const char *field, const char *name, size_t max, bool wire);
/* Make a derived, REST or token credential and prepare the answer, which is sent when the issue is in the journal.
 * user, subject: the user of the credential. address: the client's address if the realm binds credentials to it, else
 * "". ttl: seconds; 0: the realm's default. A credential lives longer if it has to outlive a lifted revocation
 * (issuing/lifetime.h). rest_answer: the answer has the form of the TURN REST call. exchanged: the token is the result
 * of a token exchange. mac_key_len: octets of the session key, 20 or 32. */
void issue_derived(struct request *request, const struct policy *policy, enum store_mechanism mechanism,
                   const char *user, const char *address, int64_t ttl, bool rest_answer);
void issue_token(struct request *request, const struct policy *policy, const char *subject, size_t mac_key_len,
                 bool exchanged);

/* The name of the issuer whose access token the request has; "": it has none. */
const char *issue_provider(const struct request *request);

/* Records what the parts of a batch have issued, with one sync for all. */
void issue_record_parts(struct request parts[], size_t count);

/* Counts one credential for the subject. False: there were too many, and an answer with 429 has been prepared. */
bool issue_subject_rate(struct request *request, const char *realm, const char *subject);
/* Takes the region whose TURN servers the client is told first; NULL: the request names none. False: an error has been
 * prepared. */
bool issue_region(struct request *request, const char *region);
/* Refuses a limit, by the name of its field, for a credential that has no place for one: all but pushed ones. False: it
 * was given, and an error has been prepared. */
bool issue_no_limit(struct request *request, const char *field, bool given);
/* The URIs of two TURN servers at most, chosen anew at each call, of those that advertise theirs; where none does, and
 * for a foreign TURN server, those of the realm. And a list of RTCIceServer (W3C WebRTC) with one server of these URIs.
 */
json_t *issue_uris(const struct request *request, const char *realm);
json_t *issue_ice_servers(json_t *uris, const char *username, const char *credential);
/* Adds the same to the answer that has been prepared as values of Link (RFC 9725 section 4.6), one for each URI. */
void issue_links(struct request *request, const json_t *uris, const char *username, const char *credential);

#endif
