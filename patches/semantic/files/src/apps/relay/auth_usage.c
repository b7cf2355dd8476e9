/*
 * auth_usage.c - tells the module of allocations and what they have relayed
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each relay thread has a queue of the sessions of which the module wants reports, in the order in which they are due,
 * and a timer. All of it is touched on that thread alone. The work of a tick is bounded: a thread with many sessions is
 * late with reports, not with packets.
 */

#include "auth_exchange.h"

#define INTERVAL_MIN (100)  /* milliseconds */
#define TICK_MAX (1000)     /* milliseconds */
#define REPORTS_A_TICK (64) /* and an eighth of those that wait */

struct auth_report_entry {
  struct auth_report_entry *previous, *next;
  ts_ur_super_session *ss;
  uint64_t due_ms;
  uint64_t packets; /* when it was reported last */
};

static struct relay {
  struct auth_report_entry *first, *last;
  size_t count;
  struct event *timer;
} relays[1 + (turnserver_id)-1];

static uint32_t interval; /* milliseconds; 0: no reports */

static void append(struct relay *relay, struct auth_report_entry *entry) {
  entry->next = NULL;
  entry->previous = relay->last;
  if (relay->last) {
    relay->last->next = entry;
  } else {
    relay->first = entry;
  }
  relay->last = entry;
  ++relay->count;
}

static void take_out(struct relay *relay, struct auth_report_entry *entry) {
  if (entry->previous) {
    entry->previous->next = entry->next;
  } else {
    relay->first = entry->next;
  }
  if (entry->next) {
    entry->next->previous = entry->previous;
  } else {
    relay->last = entry->previous;
  }
  --relay->count;
}

static const struct sockaddr *client_of(ts_ur_super_session *ss) {
  return ss->client_socket ? &get_remote_addr_from_ioa_socket(ss->client_socket)->ss : NULL;
}

static void report(struct auth_report_entry *entry) {
  ts_ur_super_session *ss = entry->ss;
  struct auth_session *st = ss->auth_session;
  struct coturn_auth_session_report r = {.header = COTURN_AUTH_HEADER(r)};
  auth_traffic_of(ss, &r.traffic);
  uint64_t packets = r.traffic.received_packets + r.traffic.sent_packets + r.traffic.peer_received_packets +
                     r.traffic.peer_sent_packets;
  if (packets == entry->packets || auth_module_enter() < 0) {
    return;
  }
  entry->packets = packets;
  r.session = ss->id;
  r.ref = st->ref;
  r.duration = (auth_monotonic_ms() - st->bound_ms) / 1000;
  r.client_addr = client_of(ss);
  auth_module.session_report(auth_module_state, &r);
  auth_module_leave();
}

static void tick(evutil_socket_t fd, short what, void *arg) {
  struct relay *relay = (struct relay *)arg;
  uint64_t now = auth_monotonic_ms();
  uint32_t every = __atomic_load_n(&interval, __ATOMIC_RELAXED);
  size_t most = REPORTS_A_TICK + relay->count / 8;
  UNUSED_ARG(fd);
  UNUSED_ARG(what);
  while (every && most && relay->first && relay->first->due_ms <= now) {
    struct auth_report_entry *entry = relay->first;
    take_out(relay, entry);
    entry->due_ms = now + every;
    append(relay, entry);
    report(entry);
    --most;
  }
}

/* Starts the timer of a relay thread, on that thread. 0, or -1. */
static int start_timer(struct relay *relay, turn_turnserver *server, uint32_t every) {
  uint32_t ms = every / 10 < TICK_MAX ? every / 10 : TICK_MAX;
  struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
  if (relay->timer) {
    return 0;
  }
  relay->timer = event_new(server->e->event_base, -1, EV_PERSIST, tick, relay);
  return relay->timer && event_add(relay->timer, &tv) == 0 ? 0 : -1;
}

static void enlist(ts_ur_super_session *ss) {
  turn_turnserver *server = (turn_turnserver *)ss->server;
  struct relay *relay = &relays[server->id];
  uint32_t every = __atomic_load_n(&interval, __ATOMIC_RELAXED);
  struct auth_report_entry *entry;
  if (!every || !auth_module.session_report || start_timer(relay, server, every) < 0) {
    return;
  }
  entry = (struct auth_report_entry *)calloc(1, sizeof(*entry));
  if (entry) {
    entry->ss = ss;
    entry->due_ms = auth_monotonic_ms() + every;
    append(relay, entry);
    ss->auth_session->report = entry;
  }
}

/* The relayed address of a family, as the client is told it, or NULL. */
static const struct sockaddr *relayed(ts_ur_super_session *ss, int family, ioa_addr *addr) {
  const turn_turnserver *server = (const turn_turnserver *)ss->server;
  ioa_socket_handle s = get_relay_socket(get_allocation_ss(ss), family);
  ioa_addr *local = s ? get_local_addr_from_ioa_socket(s) : NULL;
  if (!local) {
    return NULL;
  }
  map_addr_from_private_to_public(server->external_ip_set ? &server->external_ip : local, addr);
  addr_set_port(addr, addr_get_port(local));
  return &addr->ss;
}

void auth_usage_allocated(ts_ur_super_session *ss) {
  struct auth_session *st = ss->auth_session;
  struct coturn_auth_allocation a = {.header = COTURN_AUTH_HEADER(a)};
  struct auth_source from;
  ioa_addr addr, addr6;
  int wanted;

  if (!auth_owns(ss) || st->allocated) {
    return;
  }
  st->allocated = 1;
  if (!auth_module.session_allocated || auth_module_enter() < 0) {
    return;
  }
  auth_source_of(ss, &from);
  a.session = ss->id;
  a.ref = st->ref;
  a.display_name = (const char *)ss->username;
  a.realm = st->accounting_realm;
  a.client_addr = client_of(ss);
  a.relayed_addr = relayed(ss, AF_INET, &addr);
  a.relayed_addr6 = relayed(ss, AF_INET6, &addr6);
  a.transport = from.transport;
  wanted = auth_module.session_allocated(auth_module_state, &a);
  auth_module_leave();
  if (wanted == 1) {
    enlist(ss);
  }
}

/* 1 if there was an allocation and it was not refreshed in time. */
static int timed_out(ts_ur_super_session *ss) {
  allocation *a = get_allocation_ss(ss);
  turn_time_t now = get_turn_server_time((turn_turnserver *)ss->server);
  return ss->auth_session->allocated && get_relay_session(a, AF_INET)->expiration_time <= now &&
         get_relay_session(a, AF_INET6)->expiration_time <= now;
}

/* 1 if the client has released the allocation. A Refresh that was refused, or that named one family of two, leaves a
 * family that expires later. */
static int released(ts_ur_super_session *ss) {
  allocation *a = get_allocation_ss(ss);
  turn_time_t by = ss->auth_session->released;
  return by && get_relay_session(a, AF_INET)->expiration_time <= by &&
         get_relay_session(a, AF_INET6)->expiration_time <= by;
}

void auth_usage_ended(ts_ur_super_session *ss, struct coturn_auth_session_end *end) {
  struct auth_session *st = ss->auth_session;
  if (st->report) {
    take_out(&relays[((turn_turnserver *)ss->server)->id], st->report);
    free(st->report);
    st->report = NULL;
  }
  end->had_allocation = (uint32_t)st->allocated;
  if (st->closed) {
    end->ended = COTURN_AUTH_ENDED_CLOSED;
    end->reason = (uint16_t)st->closed_reason;
  } else {
    end->ended = timed_out(ss) && !released(ss) ? COTURN_AUTH_ENDED_EXPIRED : COTURN_AUTH_ENDED_CLIENT;
  }
}

int auth_usage_report_every(uint32_t interval_ms) {
  if (interval_ms && interval_ms < INTERVAL_MIN) {
    return -1;
  }
  __atomic_store_n(&interval, interval_ms, __ATOMIC_RELAXED);
  return 0;
}
