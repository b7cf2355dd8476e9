/*
 * client.c - requests of a TURN client and their answers
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "client.h"

#include "base/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RFC 8489 6.2.1: the first wait is RTO, each further one twice as long; after the last of Rc
 * transmissions the client waits Rm times RTO. */
#define RTO_MS 500
#define RETRANSMIT_COUNT 7
#define RETRANSMIT_LAST 16
#define STALE_NONCES_MAX 3
#define DATA_QUEUE_MAX 4096
#define TRANSPORT_UDP 17

void turn_credential_clear(struct turn_credential *credential) { turncred_cleanse(credential, sizeof *credential); }

int turn_client_init(struct turn_client *client, uint32_t timeout_ms) {
  memset(client, 0, sizeof *client);
  client->transport.fd = -1;
  client->timeout_ms = timeout_ms ? timeout_ms : TURN_TIMEOUT_MS;
  client->rx = malloc(TURN_FRAME_MAX);
  return client->rx ? 0 : ENOMEM;
}

void turn_client_close(struct turn_client *client) {
  turn_transport_close(&client->transport);
  while (client->data_first) {
    struct turn_data *next = client->data_first->next;
    free(client->data_first);
    client->data_first = next;
  }
  free(client->rx);
  turncred_cleanse(client, sizeof *client);
  client->transport.fd = -1;
}

/* Makes the key of MESSAGE-INTEGRITY, as soon as the realm is known. */
static void make_key(struct turn_client *client) {
  struct turn_credential *c = &client->credential;
  client->key_len = 0;
  if (c->is_token) {
    struct turncred_token token = {.mac_key_len = (uint16_t)c->mac_key_len};
    if (c->mac_key_len > sizeof token.mac_key) {
      return;
    }
    memcpy(token.mac_key, c->mac_key, c->mac_key_len);
    if (!turncred_token_hmac_sha1_key(NULL, &token, client->key)) {
      client->key_len = STUN_SHA1_SIZE;
    }
    turncred_token_clear(&token);
  } else if (client->realm[0] &&
             !turncred_long_term_md5(NULL, c->username, strlen(c->username), client->realm, c->password, client->key)) {
    client->key_len = TURNCRED_LONG_TERM_MD5;
  }
}

void turn_client_credential(struct turn_client *client, const struct turn_credential *credential) {
  client->credential = *credential;
  client->send_token = credential->is_token;
  make_key(client);
}

static void keep_data(struct turn_client *client, uint16_t channel, const struct sockaddr_storage *peer,
                      const uint8_t *octets, size_t len) {
  struct turn_data *data = NULL;
  if (client->data_count >= DATA_QUEUE_MAX || !(data = calloc(1, sizeof *data + len))) {
    return; /* the datagram is lost, as in a full socket buffer */
  }
  data->channel = channel;
  if (peer) {
    data->peer = *peer;
  }
  data->len = len;
  if (len) {
    memcpy(data->octets, octets, len);
  }
  if (client->data_last) {
    client->data_last->next = data;
  } else {
    client->data_first = data;
  }
  client->data_last = data;
  client->data_count++;
}

/* Queues the datagram of ChannelData or a Data indication. True: the octets were ChannelData or an
 * indication. */
static bool take_data(struct turn_client *client, const uint8_t *raw, size_t len) {
  if (stun_is_channel_data(raw, len)) {
    uint16_t channel = 0;
    const uint8_t *octets = NULL;
    size_t octets_len = 0;
    if (!stun_parse_channel_data(raw, len, &channel, &octets, &octets_len)) {
      keep_data(client, channel, NULL, octets, octets_len);
    }
    return true;
  }
  struct stun_message msg;
  if (stun_parse(raw, len, &msg) || msg.cls != STUN_INDICATION) {
    return false;
  }
  struct stun_attr attr;
  struct sockaddr_storage peer;
  socklen_t peer_len;
  if (msg.method == STUN_DATA && !stun_find(&msg, STUN_DATA_ATTR, &attr) &&
      !stun_get_xor_address(&msg, STUN_XOR_PEER_ADDRESS, &peer, &peer_len)) {
    keep_data(client, 0, &peer, attr.value, attr.len);
  }
  return true;
}

static void io_error(struct turn_answer *answer, int err) {
  answer->outcome = err == ETIMEDOUT ? TURN_TIMEOUT : TURN_IO;
  answer->io = err;
}

/* Sends the request, again and again, until its answer comes. outcome TURN_OK: answer->msg is the
 * answer, of whatever class. */
static void exchange(struct turn_client *client, const uint8_t *request, size_t len, struct turn_answer *answer) {
  bool datagrams = !turn_protocol_is_stream(client->transport.protocol);
  int64_t start = clock_ms(), end = start + client->timeout_ms, rto = RTO_MS;
  int64_t resend = start;
  unsigned sent = 0;
  answer->outcome = TURN_OK;
  for (;;) {
    int64_t now = clock_ms();
    if (now >= end) {
      io_error(answer, ETIMEDOUT);
      return;
    }
    if (now >= resend) {
      if (datagrams && sent >= RETRANSMIT_COUNT) {
        io_error(answer, ETIMEDOUT);
        return;
      }
      int err = turn_transport_send(&client->transport, request, len, end);
      /* the error is an ICMP message about an earlier datagram: this one may get through */
      if (err && !(datagrams && err == ECONNREFUSED && sent)) {
        io_error(answer, err);
        return;
      }
      answer->retransmissions += sent ? 1 : 0;
      sent++;
      if (!datagrams) {
        resend = end;
      } else if (sent == RETRANSMIT_COUNT) {
        resend = now + RTO_MS * RETRANSMIT_LAST;
      } else {
        resend = now + rto;
      }
      rto *= 2;
    }
    size_t got = 0;
    int err = turn_transport_receive(&client->transport, client->rx, &got, resend < end ? resend : end);
    if (err == ETIMEDOUT) {
      continue;
    }
    if (err) {
      io_error(answer, err);
      return;
    }
    if (take_data(client, client->rx, got)) {
      continue;
    }
    /* a message that does not answer this request is ignored: RFC 8489 6.3 */
    if (!stun_parse(client->rx, got, &answer->msg) && answer->msg.cls >= STUN_SUCCESS &&
        !memcmp(answer->msg.transaction_id, request + 8, STUN_TRANSACTION_ID)) {
      return;
    }
  }
}

static void bad_answer(struct turn_answer *answer, const char *what) {
  answer->outcome = TURN_BAD_ANSWER;
  snprintf(answer->reason, sizeof answer->reason, "%s", what);
}

/* Takes realm, nonce and server name from a 401 or 438. */
static void learn_challenge(struct turn_client *client, const struct stun_message *msg) {
  char realm[sizeof client->realm], nonce[sizeof client->nonce];
  struct stun_attr attr;
  if (!stun_get_text(msg, STUN_REALM, realm, sizeof realm)) {
    memcpy(client->realm, realm, sizeof realm);
  }
  if (!stun_get_text(msg, STUN_NONCE, nonce, sizeof nonce)) {
    memcpy(client->nonce, nonce, sizeof nonce);
  }
  if (!stun_find(msg, STUN_THIRD_PARTY_AUTHORIZATION, &attr)) {
    client->offers_tokens = true;
    stun_get_text(msg, STUN_THIRD_PARTY_AUTHORIZATION, client->server_name, sizeof client->server_name);
  }
  make_key(client);
}

static void read_unknown(const struct stun_message *msg, struct turn_answer *answer) {
  struct stun_attr attr;
  if (stun_find(msg, STUN_UNKNOWN_ATTRIBUTES, &attr)) {
    return;
  }
  size_t at = 0;
  for (size_t i = 0; i + 1 < attr.len && at + 8 < sizeof answer->unknown; i += 2) {
    at += (size_t)snprintf(answer->unknown + at, sizeof answer->unknown - at, "%s0x%02X%02X", at ? " " : "",
                           attr.value[i], attr.value[i + 1]);
  }
}

/* Decides the outcome by the answer's class, error and integrity. authenticated: the request had
 * MESSAGE-INTEGRITY. */
static void judge(struct turn_client *client, unsigned method, bool authenticated, struct turn_answer *answer) {
  if (answer->outcome) {
    return;
  }
  const struct stun_message *msg = &answer->msg;
  stun_get_text(msg, STUN_SOFTWARE, client->software, sizeof client->software);
  if (msg->method != method) {
    bad_answer(answer, "the answer is to another method");
    return;
  }
  int integrity = client->key_len ? stun_check_integrity(msg, client->key, client->key_len) : ENOENT;
  answer->integrity = authenticated && !integrity;
  if (msg->cls == STUN_SUCCESS) {
    if (authenticated && integrity) {
      answer->outcome = TURN_INTEGRITY;
      snprintf(answer->reason, sizeof answer->reason, "MESSAGE-INTEGRITY of the answer %s",
               integrity == ENOENT ? "is missing" : "is wrong");
    }
    return;
  }
  if (stun_get_error(msg, &answer->code, answer->reason, sizeof answer->reason)) {
    bad_answer(answer, "error response without a usable ERROR-CODE");
    return;
  }
  answer->outcome = TURN_STUN_ERROR;
  if (answer->code == 401 || answer->code == 438) {
    learn_challenge(client, msg);
  }
  if (answer->code == 420) {
    read_unknown(msg, answer);
  }
}

typedef void (*add_fn)(struct stun_writer *w, const void *arg);

static int begin(struct stun_writer *w, uint8_t *buf, size_t cap, enum stun_class cls, unsigned method) {
  uint8_t id[STUN_TRANSACTION_ID];
  if (RAND_bytes(id, sizeof id) != 1) {
    return w->err = EIO;
  }
  return stun_begin(w, buf, cap, cls, method, id);
}

static void add_origin(const struct turn_client *client, struct stun_writer *w) {
  if (client->origin) {
    stun_add(w, STUN_ORIGIN, client->origin, strlen(client->origin));
  }
}

/* Sends a request with the credential; after a 438 again with the new nonce. add: adds the
 * attributes of the method. */
static void request(struct turn_client *client, unsigned method, add_fn add, const void *arg,
                    struct turn_answer *answer) {
  uint8_t buf[STUN_MESSAGE_MAX];
  struct turn_credential *c = &client->credential;
  memset(answer, 0, sizeof *answer);
  for (unsigned round = 0;; round++) {
    struct stun_writer w;
    begin(&w, buf, sizeof buf, STUN_REQUEST, method);
    if (add) {
      add(&w, arg);
    }
    add_origin(client, &w);
    stun_add(&w, STUN_USERNAME, c->username, strlen(c->username));
    stun_add(&w, STUN_REALM, client->realm, strlen(client->realm));
    stun_add(&w, STUN_NONCE, client->nonce, strlen(client->nonce));
    if (client->send_token && (method == STUN_ALLOCATE || method == STUN_REFRESH)) {
      stun_add(&w, STUN_ACCESS_TOKEN, c->token, c->token_len);
    }
    stun_add_integrity(&w, client->key, client->key_len);
    stun_add_fingerprint(&w);
    if (w.err) {
      io_error(answer, w.err);
      return;
    }
    exchange(client, buf, w.len, answer);
    judge(client, method, true, answer);
    if (answer->outcome == TURN_OK && method == STUN_REFRESH) {
      client->send_token = false; /* the server has accepted the token */
    }
    if (answer->outcome != TURN_STUN_ERROR || answer->code != 438 || round >= STALE_NONCES_MAX) {
      return;
    }
    unsigned retransmissions = answer->retransmissions, stale = answer->stale_nonces + 1;
    memset(answer, 0, sizeof *answer);
    answer->retransmissions = retransmissions;
    answer->stale_nonces = stale;
  }
}

static void add_requested_transport(struct stun_writer *w) {
  static const uint8_t udp[4] = {TRANSPORT_UDP, 0, 0, 0};
  stun_add(w, STUN_REQUESTED_TRANSPORT, udp, sizeof udp);
}

void turn_challenge(struct turn_client *client, bool eager, bool announce, struct turn_answer *answer) {
  uint8_t buf[STUN_MESSAGE_MAX];
  struct stun_writer w;
  struct turn_credential *c = &client->credential;
  memset(answer, 0, sizeof *answer);
  begin(&w, buf, sizeof buf, STUN_REQUEST, STUN_ALLOCATE);
  add_requested_transport(&w);
  add_origin(client, &w);
  if (announce) {
    stun_add(&w, STUN_THIRD_PARTY_AUTHORIZATION, NULL, 0);
  }
  if (eager && c->is_token) {
    stun_add(&w, STUN_USERNAME, c->username, strlen(c->username));
    stun_add(&w, STUN_ACCESS_TOKEN, c->token, c->token_len);
  }
  stun_add_fingerprint(&w);
  if (w.err) {
    io_error(answer, w.err);
    return;
  }
  exchange(client, buf, w.len, answer);
  judge(client, STUN_ALLOCATE, false, answer);
  if (answer->outcome == TURN_STUN_ERROR && answer->code == 401 && (!client->realm[0] || !client->nonce[0])) {
    bad_answer(answer, "401 without REALM or NONCE");
  }
}

struct allocate_arg {
  uint32_t lifetime;
  int family;
};

static void add_allocate(struct stun_writer *w, const void *arg) {
  const struct allocate_arg *a = arg;
  add_requested_transport(w);
  if (a->lifetime) {
    stun_add_u32(w, STUN_LIFETIME, a->lifetime);
  }
  if (a->family != AF_UNSPEC) {
    stun_add_u32(w, STUN_REQUESTED_ADDRESS_FAMILY, a->family == AF_INET6 ? 0x02000000u : 0x01000000u);
  }
}

void turn_allocate(struct turn_client *client, uint32_t lifetime, int family, struct turn_allocation *allocation,
                   struct turn_answer *answer) {
  struct allocate_arg arg = {lifetime, family};
  socklen_t len;
  memset(allocation, 0, sizeof *allocation);
  client->send_token = client->credential.is_token;
  request(client, STUN_ALLOCATE, add_allocate, &arg, answer);
  if (answer->outcome) {
    return;
  }
  client->send_token = false;
  if (stun_get_xor_address(&answer->msg, STUN_XOR_RELAYED_ADDRESS, &allocation->relayed, &len)) {
    bad_answer(answer, "success without XOR-RELAYED-ADDRESS");
  } else if (stun_get_u32(&answer->msg, STUN_LIFETIME, &allocation->lifetime)) {
    bad_answer(answer, "success without LIFETIME");
  } else {
    stun_get_xor_address(&answer->msg, STUN_XOR_MAPPED_ADDRESS, &allocation->mapped, &len);
  }
}

struct refresh_arg {
  uint32_t lifetime;
  bool ask;
};

static void add_refresh(struct stun_writer *w, const void *arg) {
  const struct refresh_arg *a = arg;
  if (a->ask) {
    stun_add_u32(w, STUN_LIFETIME, a->lifetime);
  }
}

void turn_refresh(struct turn_client *client, uint32_t lifetime, bool ask, uint32_t *granted,
                  struct turn_answer *answer) {
  struct refresh_arg arg = {lifetime, ask};
  uint32_t value = 0;
  request(client, STUN_REFRESH, add_refresh, &arg, answer);
  if (answer->outcome) {
    return;
  }
  if (stun_get_u32(&answer->msg, STUN_LIFETIME, &value)) {
    bad_answer(answer, "success without LIFETIME");
  } else if (granted) {
    *granted = value;
  }
}

static void add_peer(struct stun_writer *w, const void *arg) { stun_add_xor_address(w, STUN_XOR_PEER_ADDRESS, arg); }

void turn_create_permission(struct turn_client *client, const struct sockaddr *peer, struct turn_answer *answer) {
  request(client, STUN_CREATE_PERMISSION, add_peer, peer, answer);
}

struct channel_arg {
  uint16_t channel;
  const struct sockaddr *peer;
};

static void add_channel(struct stun_writer *w, const void *arg) {
  const struct channel_arg *a = arg;
  stun_add_u32(w, STUN_CHANNEL_NUMBER, (uint32_t)a->channel << 16);
  stun_add_xor_address(w, STUN_XOR_PEER_ADDRESS, a->peer);
}

void turn_channel_bind(struct turn_client *client, uint16_t channel, const struct sockaddr *peer,
                       struct turn_answer *answer) {
  struct channel_arg arg = {channel, peer};
  request(client, STUN_CHANNEL_BIND, add_channel, &arg, answer);
}

int turn_send(struct turn_client *client, const struct sockaddr *peer, const void *data, size_t len) {
  uint8_t buf[STUN_MESSAGE_MAX];
  struct stun_writer w;
  begin(&w, buf, sizeof buf, STUN_INDICATION, STUN_SEND);
  stun_add_xor_address(&w, STUN_XOR_PEER_ADDRESS, peer);
  stun_add(&w, STUN_DATA_ATTR, data, len);
  return w.err ? w.err : turn_transport_send(&client->transport, buf, w.len, clock_ms() + client->timeout_ms);
}

int turn_channel_send(struct turn_client *client, uint16_t channel, const void *data, size_t len) {
  uint8_t buf[STUN_MESSAGE_MAX];
  size_t out = 0;
  int err = stun_channel_data(channel, data, len, buf, sizeof buf, &out);
  return err ? err : turn_transport_send(&client->transport, buf, out, clock_ms() + client->timeout_ms);
}

struct turn_data *turn_receive(struct turn_client *client, int64_t deadline, int *err) {
  *err = 0;
  while (!client->data_first) {
    size_t got = 0;
    *err = turn_transport_receive(&client->transport, client->rx, &got, deadline);
    if (*err) {
      return NULL;
    }
    take_data(client, client->rx, got);
  }
  struct turn_data *data = client->data_first;
  client->data_first = data->next;
  if (!client->data_first) {
    client->data_last = NULL;
  }
  client->data_count--;
  data->next = NULL;
  return data;
}
