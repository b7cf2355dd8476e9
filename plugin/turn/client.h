/*
 * client.h - a TURN client (RFC 8656) that verifies the answers of the server
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The client uses long-term credentials (RFC 8489 9.2) or access tokens (RFC 7635). It has one server,
 * one allocation and one thread, and every wait is bounded.
 */
#ifndef TURNCRED_TURN_CLIENT_H
#define TURNCRED_TURN_CLIENT_H

#include "core/turncred.h"
#include "stun.h"
#include "transport.h"

#include <stdbool.h>

#define TURN_PASSWORD_MAX 512
#define TURN_NONCE_MAX 764 /* octets with the NUL: 128 characters, RFC 8489 14.10 */
#define TURN_TOKEN_MAX 1024

/* The credential that the client sends. turn_credential_clear cleanses it. */
struct turn_credential {
  bool is_token;
  char username[TURNCRED_USERNAME_MAX + 1]; /* the kid of a token */
  char password[TURN_PASSWORD_MAX + 1];
  uint8_t token[TURN_TOKEN_MAX]; /* raw octets of ACCESS-TOKEN */
  size_t token_len;
  uint8_t mac_key[TURNCRED_KEY_MAX]; /* the token's session key */
  size_t mac_key_len;
};

void turn_credential_clear(struct turn_credential *credential);

enum turn_outcome {
  TURN_OK = 0,
  TURN_STUN_ERROR, /* an error response: code and reason */
  TURN_TIMEOUT,
  TURN_IO,        /* io has the errno value */
  TURN_INTEGRITY, /* the answer's MESSAGE-INTEGRITY is missing or wrong */
  TURN_BAD_ANSWER /* the answer lacks an attribute that it must have: reason names it */
};

struct turn_answer {
  enum turn_outcome outcome;
  unsigned code;     /* of the error response, else 0 */
  char reason[256];  /* of the error response, or what the answer lacks */
  char unknown[128]; /* UNKNOWN-ATTRIBUTES of a 420, as text */
  int io;
  bool integrity;           /* the answer had a MESSAGE-INTEGRITY, and it was right */
  unsigned retransmissions; /* of this request */
  unsigned stale_nonces;    /* how often the server answered 438 and the client went on with its nonce */
  struct stun_message msg;  /* points into the client's buffer until the next call */
};

struct turn_client {
  struct turn_transport transport;
  struct turn_credential credential;
  bool send_token;    /* put ACCESS-TOKEN into Allocate and Refresh */
  const char *origin; /* ORIGIN in every request, which chooses the realm; NULL: none */
  char realm[TURNCRED_REALM_MAX + 1];
  char nonce[TURN_NONCE_MAX];
  char server_name[TURNCRED_SERVER_NAME_MAX + 1]; /* THIRD-PARTY-AUTHORIZATION of the challenge */
  bool offers_tokens;
  uint8_t key[TURNCRED_KEY_MAX]; /* of MESSAGE-INTEGRITY */
  size_t key_len;
  char software[128];
  uint32_t timeout_ms; /* the longest that a request waits for its answer */
  uint8_t *rx;
  /* relayed datagrams that came while the client waited for an answer */
  struct turn_data *data_first, *data_last;
  size_t data_count;
};

struct turn_data {
  struct turn_data *next;
  uint16_t channel; /* 0: the datagram came in a Data indication */
  struct sockaddr_storage peer;
  size_t len;
  uint8_t octets[];
};

#define TURN_TIMEOUT_MS 39500 /* RFC 8489 6.2.1 and 6.2.2: 39.5 s */

/* timeout_ms 0: TURN_TIMEOUT_MS. 0 or ENOMEM. */
int turn_client_init(struct turn_client *client, uint32_t timeout_ms);
/* Closes the transport and frees what the client holds. An allocation stays on the server until its
 * lifetime is over, unless turn_refresh() with lifetime 0 has ended it. */
void turn_client_close(struct turn_client *client);
/* Replaces the credential, for a renewal: the next Refresh sends it. Realm and nonce stay. */
void turn_client_credential(struct turn_client *client, const struct turn_credential *credential);

/* Sends an Allocate without MESSAGE-INTEGRITY. The ordinary outcome is TURN_STUN_ERROR with code 401;
 * the client then has realm and nonce. eager: the token and its kid are sent at once. announce: so is
 * an empty THIRD-PARTY-AUTHORIZATION. */
void turn_challenge(struct turn_client *client, bool eager, bool announce, struct turn_answer *answer);

struct turn_allocation {
  struct sockaddr_storage relayed, mapped;
  uint32_t lifetime;
};
/* lifetime (seconds) 0: the server chooses. family AF_UNSPEC: the server chooses. */
void turn_allocate(struct turn_client *client, uint32_t lifetime, int family, struct turn_allocation *allocation,
                   struct turn_answer *answer);
/* ask: LIFETIME is sent; a lifetime of 0 then ends the allocation. granted may be NULL. */
void turn_refresh(struct turn_client *client, uint32_t lifetime, bool ask, uint32_t *granted,
                  struct turn_answer *answer);
void turn_create_permission(struct turn_client *client, const struct sockaddr *peer, struct turn_answer *answer);
void turn_channel_bind(struct turn_client *client, uint16_t channel, const struct sockaddr *peer,
                       struct turn_answer *answer);

/* Send a datagram in a Send indication, or as ChannelData. 0 or an errno value. */
int turn_send(struct turn_client *client, const struct sockaddr *peer, const void *data, size_t len);
int turn_channel_send(struct turn_client *client, uint16_t channel, const void *data, size_t len);
/* The next relayed datagram, which the caller frees with free(). NULL: *err is ETIMEDOUT or another
 * errno value. */
struct turn_data *turn_receive(struct turn_client *client, int64_t deadline, int *err);

#endif
