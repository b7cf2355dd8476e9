/*
 * load_client.c - a TURN client on one UDP socket with one request under way
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "load_client.h"
#include "load_stun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t load_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* coturn holds a 5-tuple for about a second after the end of its allocation. 4096 addresses of
 * 127.0.0.0/8 with 60,000 ports each: a tuple comes again after 245 million clients. */
static bool bind_source(struct load_net *net, int fd) {
  if ((ntohl(net->server.sin_addr.s_addr) >> 24) != 127)
    return true; /* the kernel picks one in connect() */
  for (int tries = 0; tries < 64; tries++) {
    uint64_t n = net->source++;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f400001u + (uint32_t)(n % 4096)); /* 127.64.0.1 on */
    from.sin_port = htons((uint16_t)(2048 + n / 4096 % 60000));
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0)
      return true;
    if (errno != EADDRINUSE)
      return false;
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
  if (c->sends++ > 0)
    c->net->stats.retransmits++;
  /* a full buffer or an ICMP error is as good as a lost packet: it is sent again */
  if (send(c->fd, c->msg, c->msg_len, MSG_DONTWAIT) < 0)
    c->net->stats.unreachable++;
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

static void add_peer(struct stun_writer *w, const struct load_client *c) {
  uint32_t address = ntohl(c->peer.s_addr) ^ 0x2112a442u;
  uint16_t port = ntohs(c->peer_port) ^ 0x2112;
  uint8_t value[8] = {0, 1, (uint8_t)(port >> 8), (uint8_t)port};
  for (int i = 0; i < 4; i++)
    value[4 + i] = (uint8_t)(address >> (24 - 8 * i));
  stun_add(w, STUN_XOR_PEER_ADDRESS, value, sizeof(value));
}

static void build(struct load_client *c) {
  static const uint16_t methods[STEP_COUNT] = {STUN_ALLOCATE, STUN_ALLOCATE, STUN_REFRESH,
                                               STUN_CHANNEL_BIND};
  struct stun_writer w;
  RAND_bytes(c->txid, sizeof(c->txid));
  stun_begin(&w, c->msg, sizeof(c->msg), methods[c->step], c->txid);
  if (c->step == STEP_CHALLENGE || c->step == STEP_ALLOCATE)
    stun_add_u32(&w, STUN_REQUESTED_TRANSPORT, 17u << 24);
  if (c->step == STEP_REFRESH)
    stun_add_u32(&w, STUN_LIFETIME, c->lifetime);
  if (c->step == STEP_CHANNEL_BIND) {
    stun_add_u32(&w, STUN_CHANNEL_NUMBER, (uint32_t)LOAD_CHANNEL << 16);
    add_peer(&w, c);
  }
  if (c->step != STEP_CHALLENGE) {
    stun_add(&w, STUN_USERNAME, c->cred.username, strlen(c->cred.username));
    stun_add(&w, STUN_REALM, c->realm, strlen(c->realm));
    stun_add(&w, STUN_NONCE, c->nonce, strlen(c->nonce));
    if (c->step == STEP_ALLOCATE && c->cred.token_len > 0)
      stun_add(&w, STUN_ACCESS_TOKEN, c->cred.token, c->cred.token_len);
    stun_add_integrity(&w, c->cred.key, c->cred.key_len);
  }
  c->msg_len = w.len; /* the longest name, nonce and token fit into msg */
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

static bool take_text(const uint8_t *msg, size_t len, uint16_t type, char *out, size_t cap) {
  size_t n;
  const uint8_t *value = stun_find(msg, len, type, &n);
  if (!value || n == 0 || n >= cap || memchr(value, 0, n))
    return false;
  memcpy(out, value, n);
  out[n] = '\0';
  return true;
}

static void take_success(struct load_client *c, const uint8_t *msg, size_t len) {
  struct load_answer answer = {.kind = ANSWER_SUCCESS};
  size_t n;
  /* a wrong key cannot verify what is wrong anyway: that the server let it in */
  if (c->step != STEP_CHALLENGE && !c->wrong &&
      !stun_verify(msg, len, c->cred.key, c->cred.key_len)) {
    c->net->stats.bad_integrity++; /* RFC 8489 9.2.5: as if it had not come */
    return;
  }
  const uint8_t *value = stun_find(msg, len, STUN_LIFETIME, &n);
  if (value && n == 4)
    answer.lifetime =
        (uint32_t)value[0] << 24 | (uint32_t)value[1] << 16 | (uint32_t)value[2] << 8 | value[3];
  else if (c->step == STEP_ALLOCATE || c->step == STEP_REFRESH)
    c->net->stats.malformed++;
  finish(c, &answer);
}

static void take_error(struct load_client *c, const uint8_t *msg, size_t len) {
  struct load_answer answer = {.kind = ANSWER_ERROR};
  size_t n;
  const uint8_t *value = stun_find(msg, len, STUN_ERROR_CODE, &n);
  if (value && n >= 4)
    answer.code = (value[2] & 7) * 100 + value[3];
  bool challenge = answer.code == 401 || answer.code == 438;
  if (answer.code < LOAD_CODE_MIN || answer.code > LOAD_CODE_MAX ||
      (challenge && (!take_text(msg, len, STUN_REALM, c->realm, sizeof(c->realm)) ||
                     !take_text(msg, len, STUN_NONCE, c->nonce, sizeof(c->nonce))))) {
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
static bool take(struct load_client *c, const uint8_t *msg, size_t len) {
  if (!stun_check(msg, len)) {
    c->net->stats.malformed++;
    return false;
  }
  unsigned type = (unsigned)msg[0] << 8 | msg[1], class = type & STUN_CLASS_MASK;
  unsigned sent = (unsigned)c->msg[0] << 8 | c->msg[1];
  if (!c->busy || memcmp(msg + 8, c->txid, sizeof(c->txid)) != 0) {
    c->net->stats.late++;
    return false;
  }
  if ((type & ~(unsigned)STUN_CLASS_MASK) != sent ||
      (class != STUN_SUCCESS && class != STUN_ERROR)) {
    c->net->stats.malformed++;
    return false;
  }
  if (class == STUN_SUCCESS)
    take_success(c, msg, len);
  else
    take_error(c, msg, len);
  return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
  struct load_client *c = arg;
  uint8_t buf[2048];
  (void)what;
  for (int i = 0; i < 32; i++) {
    ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
      return;
    if (n < 0)
      c->net->stats.unreachable++;
    else if (c->data_h && n >= 4 && (buf[0] & 0xc0) == 0x40) {
      size_t len = (size_t)buf[2] << 8 | buf[3];
      if (buf[0] == LOAD_CHANNEL >> 8 && buf[1] == (LOAD_CHANNEL & 0xff) && len + 4 <= (size_t)n)
        c->data_h(c, buf + 4, len);
      else
        c->net->stats.malformed++;
    } else if (take(c, buf, (size_t)n))
      return;
  }
}

/* --- life --------------------------------------------------------------------------------- */

bool load_client_open(struct load_client *c, struct load_net *net, load_answer_h *answer_h,
                      load_data_h *data_h) {
  memset(c, 0, sizeof(*c));
  c->net = net;
  c->answer_h = answer_h;
  c->data_h = data_h;
  c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0)
    return false;
  if (!load_source_next(net->creds, &c->cred) || !bind_source(net, c->fd) ||
      connect(c->fd, (struct sockaddr *)&net->server, sizeof(net->server)) < 0) {
    close(c->fd);
    return false;
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

void load_client_count(struct load_client *c, enum load_step step, int code) {
  struct load_stats *stats = &c->net->stats;
  int i = code - LOAD_CODE_MIN;
  if (c->net->expect[i])
    stats->expected.n[step][i]++;
  else
    stats->unexpected.n[step][i]++;
}
