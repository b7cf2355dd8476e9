/*
 * load_client.c - a TURN client on one UDP socket with one request under way
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "load_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static uint64_t in_ns(const struct timespec *t) { return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec; }

uint64_t load_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return in_ns(&now);
}

uint64_t load_utc_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return in_ns(&now);
}

/* --- arrivals ----------------------------------------------------------------------------- */

void load_stamp_arrivals(int fd) {
  int on = 1;
  (void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)); /* else the stamps are 0 */
}

ssize_t load_receive(int fd, void *buf, size_t cap, struct sockaddr_in *from, uint64_t *arrived_ns) {
  union {
    struct cmsghdr align;
    char room[256];
  } control;
  struct iovec iov = {buf, cap};
  struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
  struct timespec stamp;
  msg.msg_name = from;
  msg.msg_namelen = from ? sizeof(*from) : 0;
  msg.msg_control = &control;
  msg.msg_controllen = sizeof(control);
  ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);
  *arrived_ns = 0;
  for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
      memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
      *arrived_ns = in_ns(&stamp);
    }
  }
  return n;
}

/* coturn holds a 5-tuple for about a second after the end of its allocation. 4096 addresses of
 * 127.0.0.0/8 with 60,000 ports each: a tuple comes again after 245 million clients. */
static bool bind_source(struct load_net *net, int fd) {
  if ((ntohl(net->server.sin_addr.s_addr) >> 24) != 127) {
    return true; /* the kernel picks one in connect() */
  }
  for (int tries = 0; tries < 64; tries++) {
    uint64_t n = net->source++;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f400001u + (uint32_t)(n % 4096)); /* 127.64.0.1 on */
    from.sin_port = htons((uint16_t)(2048 + n / 4096 % 60000));
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0) {
      return true;
    }
    if (errno != EADDRINUSE) {
      return false;
    }
  }
  return false;
}

static void arm(struct load_client *c) {
  uint64_t ms = c->sends < c->net->max_sends ? (uint64_t)c->net->rto_ms << (c->sends - 1)
                                             : (uint64_t)c->net->rto_ms * c->net->last_wait;
  struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
  evtimer_add(&c->timer, &tv);
}

static void transmit(struct load_client *c) {
  if (c->sends++ > 0) {
    c->net->stats.retransmits++;
  }
  /* a full buffer or an ICMP error is as good as a lost packet: it is sent again */
  if (send(c->fd, c->msg, c->msg_len, MSG_DONTWAIT) < 0) {
    c->net->stats.unreachable++;
  }
  arm(c);
}

static void finish(struct load_client *c, const struct load_answer *answer) {
  evtimer_del(&c->timer);
  c->busy = false;
  c->answer_h(c, c->step, answer);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
  struct load_client *c = arg;
  (void)fd, (void)what;
  if (c->sends < c->net->max_sends) {
    transmit(c);
    return;
  }
  c->net->stats.lost++;
  finish(c, &(struct load_answer){.kind = ANSWER_LOST});
}

/* --- requests ----------------------------------------------------------------------------- */

static void build(struct load_client *c) {
  static const unsigned methods[STEP_COUNT] = {STUN_ALLOCATE, STUN_ALLOCATE, STUN_REFRESH, STUN_CHANNEL_BIND};
  struct stun_writer w;
  RAND_bytes(c->txid, sizeof(c->txid));
  stun_begin(&w, c->msg, sizeof(c->msg), STUN_REQUEST, methods[c->step], c->txid);
  if (c->step == STEP_CHALLENGE || c->step == STEP_ALLOCATE) {
    stun_add_u32(&w, STUN_REQUESTED_TRANSPORT, (uint32_t)IPPROTO_UDP << 24);
  }
  if (c->step == STEP_REFRESH) {
    stun_add_u32(&w, STUN_LIFETIME, c->lifetime);
  }
  if (c->step == STEP_CHANNEL_BIND) {
    stun_add_u32(&w, STUN_CHANNEL_NUMBER, (uint32_t)LOAD_CHANNEL << 16);
    stun_add_xor_address(&w, STUN_XOR_PEER_ADDRESS, (const struct sockaddr *)&c->peer);
  }
  if (c->step != STEP_CHALLENGE) {
    stun_add(&w, STUN_USERNAME, c->cred.username, strlen(c->cred.username));
    stun_add(&w, STUN_REALM, c->realm, strlen(c->realm));
    stun_add(&w, STUN_NONCE, c->nonce, strlen(c->nonce));
    if (c->step == STEP_ALLOCATE && c->cred.token_len > 0) {
      stun_add(&w, STUN_ACCESS_TOKEN, c->cred.token, c->cred.token_len);
    }
    stun_add_integrity(&w, c->cred.key, c->cred.key_len);
  }
  c->msg_len = w.len;
  if (w.err) {
    c->net->stats.too_long++;
  }
}

static void send_request(struct load_client *c) {
  build(c);
  c->busy = true;
  c->sends = 0;
  transmit(c);
}

void load_client_request(struct load_client *c, enum load_step step) {
  c->step = step;
  c->renewals = 0;
  send_request(c);
}

/* --- answers ------------------------------------------------------------------------------ */

static void take_success(struct load_client *c, const struct stun_message *msg) {
  struct load_answer answer = {.kind = ANSWER_SUCCESS};
  /* a wrong key cannot verify the answer; the fault is that the server accepted the wrong key */
  if (c->step != STEP_CHALLENGE && !c->wrong && stun_check_integrity(msg, c->cred.key, c->cred.key_len)) {
    c->net->stats.bad_integrity++; /* RFC 8489 9.2.5: as if it had not come */
    return;
  }
  if (stun_get_u32(msg, STUN_LIFETIME, &answer.lifetime) && (c->step == STEP_ALLOCATE || c->step == STEP_REFRESH)) {
    c->net->stats.malformed++;
  }
  finish(c, &answer);
}

/* Realm and nonce of a challenge; neither may be empty. */
static bool take_challenge(struct load_client *c, const struct stun_message *msg) {
  return !stun_get_text(msg, STUN_REALM, c->realm, sizeof(c->realm)) && c->realm[0] != '\0' &&
         !stun_get_text(msg, STUN_NONCE, c->nonce, sizeof(c->nonce)) && c->nonce[0] != '\0';
}

static void take_error(struct load_client *c, const struct stun_message *msg) {
  struct load_answer answer = {.kind = ANSWER_ERROR};
  if (stun_get_error(msg, &answer.code, NULL, 0) ||
      ((answer.code == 401 || answer.code == 438) && !take_challenge(c, msg))) {
    c->net->stats.malformed++;
    return; /* goes on being sent until it is lost */
  }
  if (answer.code == 438 && c->step != STEP_CHALLENGE && c->renewals++ < 2) {
    c->net->stats.stale_nonce++;
    send_request(c);
    return;
  }
  finish(c, &answer);
}

/* True if the client may be gone. */
static bool take(struct load_client *c, const uint8_t *raw, size_t len) {
  struct stun_message sent, msg;
  if (stun_parse(raw, len, &msg)) {
    c->net->stats.malformed++;
    return false;
  }
  if (!c->busy || memcmp(msg.transaction_id, c->txid, sizeof(c->txid)) != 0) {
    c->net->stats.late++;
    return false;
  }
  if (stun_parse(c->msg, c->msg_len, &sent) || msg.method != sent.method ||
      (msg.cls != STUN_SUCCESS && msg.cls != STUN_ERROR)) {
    c->net->stats.malformed++;
    return false;
  }
  if (msg.cls == STUN_SUCCESS) {
    take_success(c, &msg);
  } else {
    take_error(c, &msg);
  }
  return true;
}

static void take_data(struct load_client *c, const uint8_t *raw, size_t len) {
  uint16_t channel;
  const uint8_t *data;
  size_t data_len;
  if (stun_parse_channel_data(raw, len, &channel, &data, &data_len) || channel != LOAD_CHANNEL || !c->data_h) {
    c->net->stats.malformed++;
  } else {
    c->data_h(c, data, data_len);
  }
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
  struct load_client *c = arg;
  uint8_t buf[STUN_MESSAGE_MAX];
  (void)what;
  for (int i = 0; i < 32; i++) {
    ssize_t n = load_receive(fd, buf, sizeof(buf), NULL, &c->arrived_ns);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
      return;
    }
    if (n < 0) {
      c->net->stats.unreachable++;
    } else if (stun_is_channel_data(buf, (size_t)n)) {
      take_data(c, buf, (size_t)n);
    } else if (take(c, buf, (size_t)n)) {
      return;
    }
  }
}

/* --- life --------------------------------------------------------------------------------- */

bool load_client_open(struct load_client *c, struct load_net *net, load_answer_h *answer_h, load_data_h *data_h) {
  memset(c, 0, sizeof(*c));
  c->net = net;
  c->answer_h = answer_h;
  c->data_h = data_h;
  c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) {
    return false;
  }
  if (!load_source_next(net->creds, &c->cred) || !bind_source(net, c->fd) ||
      connect(c->fd, (struct sockaddr *)&net->server, sizeof(net->server)) < 0) {
    close(c->fd);
    return false;
  }
  if (data_h) {
    load_stamp_arrivals(c->fd);
  }
  event_assign(&c->readable, net->base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
  event_assign(&c->timer, net->base, -1, 0, on_timer, c);
  event_add(&c->readable, NULL);
  return true;
}

void load_client_close(struct load_client *c) {
  event_del(&c->readable);
  event_del(&c->timer);
  close(c->fd);
  turncred_cleanse(&c->cred, sizeof(c->cred));
}

bool load_client_login(struct load_client *c) {
  return load_credential_key(c->net->creds, &c->cred, c->realm, c->wrong);
}

void load_client_count(struct load_client *c, enum load_step step, unsigned code) {
  struct load_stats *stats = &c->net->stats;
  unsigned i = code - LOAD_CODE_MIN;
  if (c->net->expect[i]) {
    stats->expected.n[step][i]++;
  } else {
    stats->unexpected.n[step][i]++;
  }
}
