/*
 * client.h - a TURN client (RFC 8656) that checks what it is told
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Long-term credentials (RFC 8489 9.2) and access tokens (RFC 7635). One server, one allocation,
 * one thread; every wait is bounded.
 */
#ifndef TURNCRED_TURN_CLIENT_H
#define TURNCRED_TURN_CLIENT_H

#include "stun.h"
#include "transport.h"
#include "core/turncred.h"

#include <stdbool.h>

#define TURN_PASSWORD_MAX 512
#define TURN_NONCE_MAX    764 /* octets with the NUL: 128 characters, RFC 8489 14.10 */
#define TURN_TOKEN_MAX    1024

/* What the client shows. Cleanse it with turn_credential_clear. */
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
  TURN_IO,        /* errno in io */
  TURN_INTEGRITY, /* the answer's MESSAGE-INTEGRITY is missing or wrong */
  TURN_BAD_ANSWER /* lacks what it must have: reason says what */
};

struct turn_answer {
  enum turn_outcome outcome;
  unsigned code;     /* of the error response, else 0 */
  char reason[256];  /* of the error response, or what is bad */
  char unknown[128]; /* UNKNOWN-ATTRIBUTES of a 420, as text */
  int io;
  bool integrity;           /* MESSAGE-INTEGRITY was there and right */
  unsigned retransmissions; /* of this request */
  unsigned stale_nonces;    /* 438 answered with the new nonce */
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
  uint32_t timeout_ms; /* of a request, at the most */
  uint8_t *rx;
  /* datagrams relayed to us that came while we waited for something else */
  struct turn_data *data_first, *data_last;
  size_t data_count;
};

struct turn_data {
  struct turn_data *next;
  uint16_t channel; /* 0: Data indication */
  struct sockaddr_storage peer;
  size_t len;
  uint8_t octets[];
};

#define TURN_TIMEOUT_MS 39500 /* RFC 8489 6.2.1 and 6.2.2: 39.5 s */

/* NULL credential: Binding only. ENOMEM. */
int turn_client_init(struct turn_client *client, uint32_t timeout_ms);
/* Sends the session's release if an allocation is left? No: call turn_refresh(client, 0). */
void turn_client_close(struct turn_client *client);
/* Replaces the credential (a renewal): the next Refresh shows it. Keeps realm and nonce. */
void turn_client_credential(struct turn_client *client, const struct turn_credential *credential);

/* Allocate without MESSAGE-INTEGRITY, to be challenged. TURN_STUN_ERROR with code 401 and realm and
 * nonce kept is the ordinary end. eager: the token and its kid are shown at once. */
void turn_challenge(struct turn_client *client, bool eager, bool announce,
                    struct turn_answer *answer);

struct turn_allocation {
  struct sockaddr_storage relayed, mapped;
  uint32_t lifetime;
};
/* lifetime 0: the server's default. family AF_UNSPEC: the server's choice. */
void turn_allocate(struct turn_client *client, uint32_t lifetime, int family,
                   struct turn_allocation *allocation, struct turn_answer *answer);
/* lifetime 0 ends the allocation. granted may be NULL. */
void turn_refresh(struct turn_client *client, uint32_t lifetime, bool ask, uint32_t *granted,
                  struct turn_answer *answer);
void turn_create_permission(struct turn_client *client, const struct sockaddr *peer,
                            struct turn_answer *answer);
void turn_channel_bind(struct turn_client *client, uint16_t channel, const struct sockaddr *peer,
                       struct turn_answer *answer);

/* Send indication; ChannelData. errno values. */
int turn_send(struct turn_client *client, const struct sockaddr *peer, const void *data,
              size_t len);
int turn_channel_send(struct turn_client *client, uint16_t channel, const void *data, size_t len);
/* The next relayed datagram; free() it. NULL with *err = ETIMEDOUT or another errno value. */
struct turn_data *turn_receive(struct turn_client *client, int64_t deadline, int *err);

#endif
