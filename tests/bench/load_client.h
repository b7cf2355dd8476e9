/*
 * load_client.h - a TURN client on one UDP socket with one request under way
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef LOAD_CLIENT_H
#define LOAD_CLIENT_H

#include "load_credential.h"
#include "load_stats.h"
#include "turn/stun.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LOAD_CHANNEL STUN_CHANNEL_MIN

/* The data that all clients of a run share. */
struct load_net {
  struct event_base *base;
  struct sockaddr_in server;
  uint64_t source;                                /* counts source addresses and ports */
  uint32_t rto_ms;                                /* first retransmission (RFC 8489 6.2.1: 500) */
  unsigned max_sends;                             /* Rc: 7 */
  unsigned last_wait;                             /* Rm: 16 times the first RTO after the last one */
  bool expect[LOAD_CODE_MAX - LOAD_CODE_MIN + 1]; /* error codes that are no failure */
  struct load_source *creds;
  struct load_stats stats;
};

enum load_answer_kind { ANSWER_SUCCESS, ANSWER_ERROR, ANSWER_LOST };
struct load_answer {
  enum load_answer_kind kind;
  unsigned code;     /* ANSWER_ERROR */
  uint32_t lifetime; /* seconds; Allocate and Refresh */
};

struct load_client;
/* May close the client. */
typedef void load_answer_h(struct load_client *client, enum load_step step, const struct load_answer *answer);
/* A datagram that came through the channel. Must not close the client. */
typedef void load_data_h(struct load_client *client, const uint8_t *data, size_t len);

struct load_client {
  struct load_net *net;
  int fd;
  struct event readable, timer;
  load_answer_h *answer_h;
  load_data_h *data_h;
  struct load_credential cred;
  bool wrong;              /* use a wrong key: must be refused */
  char realm[256];         /* octets, with the NUL */
  char nonce[256];         /* octets, with the NUL */
  uint32_t lifetime;       /* to ask for */
  struct sockaddr_in peer; /* of the channel */
  /* the request under way */
  enum load_step step;
  bool busy;
  uint8_t msg[STUN_MESSAGE_MAX];
  size_t msg_len;
  uint8_t txid[STUN_TRANSACTION_ID];
  unsigned sends, renewals; /* renewals: nonces taken from 438 */
  uint64_t arrived_ns;      /* with data_h: when the kernel got the datagram in hand, UTC */
};

uint64_t load_now_ns(void); /* monotonic */
uint64_t load_utc_ns(void);

/* Makes the kernel put a time stamp on each datagram that arrives at the socket. */
void load_stamp_arrivals(int fd);
/* recvfrom() with the stamp, 0 if there is none; from may be NULL. */
ssize_t load_receive(int fd, void *buf, size_t cap, struct sockaddr_in *from, uint64_t *arrived_ns);

/* A socket on an address and port that this machine did not use before, if the server is on
 * loopback. False: no socket, or no credential. */
bool load_client_open(struct load_client *client, struct load_net *net, load_answer_h *answer_h, load_data_h *data_h);
void load_client_close(struct load_client *client);
/* Sends the request and repeats it as RFC 8489 6.2.1 says; answer_h is called once. */
void load_client_request(struct load_client *client, enum load_step step);
/* Makes the key for the realm of the challenge. */
bool load_client_login(struct load_client *client);
/* Counts an error answer as expected or unexpected. */
void load_client_count(struct load_client *client, enum load_step step, unsigned code);

#endif
