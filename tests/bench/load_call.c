/*
 * load_call.c - established calls whose round trips measure the media path
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "load_call.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MEDIA_OCTETS 160 /* 20 ms of G.711 */
#define MEDIA_USEC 20000
#define LINGER_USEC 500000
#define KEEPALIVE_SECONDS 120 /* permissions last 300 s (RFC 8656 9) */

struct call {
  struct load_client client; /* first: a client is its call */
  struct load_calls *all;
  int peer_fd;
  struct event peer_readable, media, keepalive;
  bool open, settled, established;
  uint64_t sent, received;
};

struct load_calls {
  struct load_net *net;
  void (*ready)(void *arg);
  void (*over)(void *arg);
  void *arg;
  unsigned count, settled, ended;
  bool stopping;
  struct event linger;
  struct call *call;
};

/* At the head of each datagram. The server's time and this program's own time are told apart by
 * the kernel's stamps of arrival: sent to arrived at the peer, and turned to arrived here. */
struct media {
  uint64_t stamp;     /* monotonic */
  uint64_t sent;      /* UTC, by the client */
  uint64_t there;     /* the peer: nanoseconds that the way there took; 0: no stamp */
  uint64_t turned_at; /* UTC, by the peer */
};

static void keep(struct call *c, uint32_t lifetime) {
  struct timeval tv = {.tv_sec = lifetime / 2 < KEEPALIVE_SECONDS ? lifetime / 2 : KEEPALIVE_SECONDS};
  if (tv.tv_sec == 0) {
    tv.tv_sec = 1;
  }
  evtimer_add(&c->keepalive, &tv);
}

static void settle(struct call *c) {
  if (c->settled) {
    return;
  }
  c->settled = true;
  if (++c->all->settled == c->all->count) {
    c->all->ready(c->all->arg);
  }
}

static void shut(struct call *c) {
  if (!c->open) {
    return;
  }
  c->open = false;
  load_client_close(&c->client);
  event_del(&c->peer_readable);
  event_del(&c->media);
  event_del(&c->keepalive);
  close(c->peer_fd);
}

static void fail_call(struct call *c) {
  c->all->net->stats.calls_failed++;
  shut(c);
  settle(c);
}

static void end_call(struct call *c) {
  struct load_calls *all = c->all;
  shut(c);
  if (++all->ended == all->count) {
    all->over(all->arg);
  }
}

static void on_media(evutil_socket_t fd, short what, void *arg) {
  struct call *c = arg;
  uint8_t media[MEDIA_OCTETS] = {0}, packet[MEDIA_OCTETS + 4];
  struct media head = {.stamp = load_now_ns(), .sent = load_utc_ns()};
  size_t len;
  (void)fd, (void)what;
  memcpy(media, &head, sizeof(head));
  c->sent++;
  c->all->net->stats.datagrams_sent++;
  if (stun_channel_data(LOAD_CHANNEL, media, sizeof(media), packet, sizeof(packet), &len) ||
      send(c->client.fd, packet, len, MSG_DONTWAIT) < 0) {
    c->all->net->stats.unreachable++; /* shows as a lost datagram */
  }
}

static void on_data(struct load_client *client, const uint8_t *data, size_t len) {
  struct call *c = (struct call *)client;
  struct load_stats *stats = &client->net->stats;
  struct media head;
  if (len != MEDIA_OCTETS) {
    stats->malformed++;
    return;
  }
  memcpy(&head, data, sizeof(head));
  c->received++;
  stats->datagrams_received++;
  samples_add_ns(&stats->rtt, load_now_ns() - head.stamp);
  if (head.there && client->arrived_ns > head.turned_at) {
    samples_add_ns(&stats->relay, head.there + (client->arrived_ns - head.turned_at));
  }
}

/* The peer sends back whatever the relay brings. */
static void on_peer(evutil_socket_t fd, short what, void *arg) {
  uint8_t data[2048];
  struct sockaddr_in from;
  uint64_t arrived;
  (void)what, (void)arg;
  for (int i = 0; i < 32; i++) {
    ssize_t n = load_receive(fd, data, sizeof(data), &from, &arrived);
    struct media head;
    if (n < 0) {
      return;
    }
    if ((size_t)n >= sizeof(head)) {
      memcpy(&head, data, sizeof(head));
      head.there = arrived > head.sent ? arrived - head.sent : 0;
      head.turned_at = load_utc_ns();
      memcpy(data, &head, sizeof(head));
    }
    (void)sendto(fd, data, (size_t)n, MSG_DONTWAIT, (struct sockaddr *)&from, sizeof(from));
  }
}

static void on_keepalive(evutil_socket_t fd, short what, void *arg) {
  struct call *c = arg;
  (void)fd, (void)what;
  if (!c->client.busy) {
    c->client.lifetime = 600;
    load_client_request(&c->client, STEP_REFRESH);
  }
}

static void on_success(struct call *c, enum load_step step, uint32_t lifetime) {
  struct timeval period = {.tv_usec = MEDIA_USEC};
  switch (step) {
  case STEP_ALLOCATE:
    keep(c, lifetime);
    load_client_request(&c->client, STEP_CHANNEL_BIND);
    return;
  case STEP_REFRESH:
    if (c->client.lifetime == 0) {
      end_call(c);
      return;
    }
    keep(c, lifetime);
    load_client_request(&c->client, STEP_CHANNEL_BIND); /* also renews the permission */
    return;
  case STEP_CHANNEL_BIND:
    if (c->established) {
      return;
    }
    c->established = true;
    c->all->net->stats.calls_established++;
    evtimer_add(&c->media, &period);
    settle(c);
    return;
  default: /* let in without a credential */
    c->all->net->stats.accepted_wrong++;
    fail_call(c);
  }
}

static void on_answer(struct load_client *client, enum load_step step, const struct load_answer *answer) {
  struct call *c = (struct call *)client;
  if (answer->kind == ANSWER_SUCCESS) {
    on_success(c, step, answer->lifetime);
    return;
  }
  if (answer->kind == ANSWER_ERROR && step == STEP_CHALLENGE && answer->code == 401 && load_client_login(client)) {
    load_client_request(client, STEP_ALLOCATE);
    return;
  }
  if (answer->kind == ANSWER_ERROR) {
    load_client_count(client, step, answer->code);
  }
  if (client->lifetime == 0) {
    client->net->stats.calls_failed++;
    end_call(c);
  } else {
    fail_call(c);
  }
}

static bool open_peer(struct call *c) {
  struct sockaddr_in here;
  socklen_t len = sizeof(here);
  /* the address that the server sees this machine under; on loopback the server's own */
  if (getsockname(c->client.fd, (struct sockaddr *)&here, &len) < 0) {
    return false;
  }
  here.sin_port = 0;
  c->peer_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->peer_fd < 0) {
    return false;
  }
  if (bind(c->peer_fd, (struct sockaddr *)&here, sizeof(here)) < 0 ||
      getsockname(c->peer_fd, (struct sockaddr *)&here, &len) < 0) {
    close(c->peer_fd);
    return false;
  }
  c->client.peer = here;
  return true;
}

static bool start_call(struct call *c) {
  struct event_base *base = c->all->net->base;
  if (!load_client_open(&c->client, c->all->net, on_answer, on_data)) {
    return false;
  }
  if (!open_peer(c)) {
    load_client_close(&c->client);
    return false;
  }
  load_stamp_arrivals(c->peer_fd);
  event_assign(&c->peer_readable, base, c->peer_fd, EV_READ | EV_PERSIST, on_peer, c);
  event_assign(&c->media, base, -1, EV_PERSIST, on_media, c);
  event_assign(&c->keepalive, base, -1, 0, on_keepalive, c);
  event_add(&c->peer_readable, NULL);
  c->open = true;
  c->client.lifetime = 600;
  load_client_request(&c->client, STEP_CHALLENGE);
  return true;
}

struct load_calls *load_calls_start(struct load_net *net, unsigned count, void (*ready)(void *arg), void *arg) {
  struct load_calls *all = calloc(1, sizeof(*all));
  if (!all || !(all->call = calloc(count, sizeof(*all->call)))) {
    free(all);
    return NULL;
  }
  all->net = net;
  all->ready = ready;
  all->arg = arg;
  all->count = count;
  net->stats.calls = count;
  for (unsigned i = 0; i < count; i++) {
    all->call[i].all = all;
    if (!start_call(&all->call[i])) {
      load_calls_free(all);
      return NULL;
    }
  }
  return all;
}

static void on_linger(evutil_socket_t fd, short what, void *arg) {
  struct load_calls *all = arg;
  (void)fd, (void)what;
  for (unsigned i = 0; i < all->count; i++) {
    struct call *c = &all->call[i];
    if (c->established && c->received == 0 && c->sent > 0) {
      all->net->stats.calls_silent++;
    }
    if (!c->open) {
      end_call(c);
      continue;
    }
    c->client.lifetime = 0;
    load_client_request(&c->client, STEP_REFRESH); /* replaces a keepalive under way */
  }
}

void load_calls_stop(struct load_calls *all, void (*over)(void *arg)) {
  struct timeval tv = {.tv_usec = LINGER_USEC};
  all->over = over;
  all->stopping = true;
  for (unsigned i = 0; i < all->count; i++) {
    if (all->call[i].open) {
      event_del(&all->call[i].media);
      event_del(&all->call[i].keepalive);
    }
  }
  event_assign(&all->linger, all->net->base, -1, 0, on_linger, all);
  evtimer_add(&all->linger, &tv);
}

void load_calls_free(struct load_calls *all) {
  if (!all) {
    return;
  }
  for (unsigned i = 0; i < all->count; i++) {
    shut(&all->call[i]);
  }
  free(all->call);
  free(all);
}
