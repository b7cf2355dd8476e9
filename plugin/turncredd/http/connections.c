/*
 * connections.c - the connections of a listener: how long each may take, and which one makes way when there are too
 * many
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "connections.h"

#include "base/clock.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct connection {
  struct connection *older, *newer;
  size_t *owner;
  int fd;
  uint8_t address[16];
  enum connection_phase phase;
  bool proven, ending;
  int64_t since_ms;
};

void connections_init(struct connections *all) {
  memset(all, 0, sizeof *all);
  pthread_mutex_init(&all->lock, NULL);
}

void connections_clear(struct connections *all) { pthread_mutex_destroy(&all->lock); }

/* An IPv4 address as IPv6 writes it; an IPv6 address without its last 64 bits. */
static void address_of(const struct sockaddr *from, uint8_t out[16]) {
  memset(out, 0, 16);
  if (from && from->sa_family == AF_INET) {
    out[10] = out[11] = 0xff;
    memcpy(out + 12, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
  } else if (from && from->sa_family == AF_INET6) {
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
    memcpy(out, v6, IN6_IS_ADDR_V4MAPPED(v6) ? 16 : 8);
  }
}

/* Under the lock: the socket is shut down, and its thread closes it. */
static void end(struct connections *all, struct connection *c) {
  if (!c->ending) {
    c->ending = true;
    all->count--;
    shutdown(c->fd, SHUT_RDWR);
  }
}

static bool may_make_way(const struct connection *c) {
  return !c->ending && !c->proven && c->phase != CONNECTION_ANSWERING;
}

static void make_room(struct connections *all, const struct connection *fresh, const struct connection_limits *limits) {
  struct connection *oldest = NULL, *same = NULL;
  size_t of_address = 0;
  for (struct connection *c = all->oldest; c; c = c->newer) {
    if (!may_make_way(c)) {
      continue;
    }
    oldest = oldest ? oldest : c;
    if (!memcmp(c->address, fresh->address, sizeof c->address)) {
      same = same ? same : c;
      of_address++;
    }
  }
  if (same && of_address > limits->unproven_per_address) {
    end(all, same);
  }
  if (oldest && all->count > limits->all) { /* the new one itself, if all others are proven */
    end(all, oldest);
  }
}

struct connection *connection_new(struct connections *all, struct MHD_Connection *mhd, size_t *owner,
                                  const struct connection_limits *limits) {
  /* libmicrohttpd 1.0 answers every question in the same place: an answer is good until the next question */
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
  int fd = info ? info->connect_fd : -1;
  struct connection *c = fd >= 0 ? calloc(1, sizeof *c) : NULL;
  if (!c) {
    if (fd >= 0) {
      shutdown(fd, SHUT_RDWR);
    }
    return NULL;
  }
  c->owner = owner;
  c->fd = fd;
  c->since_ms = clock_ms();
  info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  address_of(info ? info->client_addr : NULL, c->address);
  pthread_mutex_lock(&all->lock);
  c->older = all->newest;
  *(c->older ? &c->older->newer : &all->oldest) = c;
  all->newest = c;
  all->count++;
  ++*owner;
  make_room(all, c, limits);
  pthread_mutex_unlock(&all->lock);
  return c;
}

void connection_gone(struct connections *all, struct connection *c) {
  if (!c) {
    return;
  }
  pthread_mutex_lock(&all->lock);
  *(c->older ? &c->older->newer : &all->oldest) = c->newer;
  *(c->newer ? &c->newer->older : &all->newest) = c->older;
  all->count -= !c->ending;
  --*c->owner;
  pthread_mutex_unlock(&all->lock);
  free(c);
}

void connection_phase(struct connections *all, struct MHD_Connection *mhd, enum connection_phase phase, int proven) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  struct connection *c = info ? info->socket_context : NULL;
  pthread_mutex_lock(&all->lock);
  if (c) {
    c->phase = phase;
    c->proven |= proven != 0;
    c->since_ms = clock_ms();
  }
  pthread_mutex_unlock(&all->lock);
}

size_t connections_end_slow(struct connections *all, const struct connection_limits *limits) {
  size_t busy = 0;
  int64_t now = clock_ms();
  pthread_mutex_lock(&all->lock);
  for (struct connection *c = all->oldest; c; c = c->newer) {
    int64_t max = c->phase == CONNECTION_NEW        ? limits->first_ms
                  : c->phase == CONNECTION_ARRIVING ? limits->request_ms
                  : c->phase == CONNECTION_IDLE     ? limits->idle_ms
                                                    : INT64_MAX;
    if (now - c->since_ms > max) {
      end(all, c);
    }
    busy += c->phase != CONNECTION_IDLE;
  }
  pthread_mutex_unlock(&all->lock);
  return busy;
}

size_t connections_of(struct connections *all, const size_t *owner) {
  pthread_mutex_lock(&all->lock);
  size_t count = *owner;
  pthread_mutex_unlock(&all->lock);
  return count;
}
