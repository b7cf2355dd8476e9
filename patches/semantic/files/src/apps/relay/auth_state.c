/*
 * auth_state.c - what a session is, as an authentication module sees it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_exchange.h"

#define SERVERS_MAX (1 + (turnserver_id) - 1)

static turn_turnserver *servers[SERVERS_MAX];

struct auth_session *auth_state_of(ts_ur_super_session *ss) {
  if (!ss->auth_session) {
    ss->auth_session = (struct auth_session *)calloc(1, sizeof(struct auth_session));
  }
  return ss->auth_session;
}

int auth_owns(const ts_ur_super_session *ss) { return ss && ss->auth_session && ss->auth_session->granted; }

int auth_has_allocation(ts_ur_super_session *ss) { return is_allocation_valid(get_allocation_ss(ss)); }

static uint16_t transport_of(ts_ur_super_session *ss) {
  if (ss->client_socket) {
    switch (get_ioa_socket_type(ss->client_socket)) {
    case UDP_SOCKET:
      return COTURN_AUTH_TRANSPORT_UDP;
    case TCP_SOCKET:
      return COTURN_AUTH_TRANSPORT_TCP;
    case TLS_SOCKET:
      return COTURN_AUTH_TRANSPORT_TLS;
    case DTLS_SOCKET:
      return COTURN_AUTH_TRANSPORT_DTLS;
    default:
      break;
    }
  }
  return COTURN_AUTH_TRANSPORT_UNKNOWN;
}

void auth_source_of(ts_ur_super_session *ss, struct auth_source *from) {
  ioa_socket_handle s = ss->client_socket;
  from->session = ss->id;
  from->client = s ? get_remote_addr_from_ioa_socket(s) : NULL;
  from->local = s ? get_local_addr_from_ioa_socket(s) : NULL;
  from->transport = transport_of(ss);
  from->realm = ss->realm_options.name;
  from->origin = ss->origin;
  from->nonce = ss->nonce;
}

void auth_know_server(turn_turnserver *server) {
  if (servers[server->id] != server) {
    __atomic_store_n(&servers[server->id], server, __ATOMIC_RELEASE);
  }
}

turn_turnserver *auth_server_of(uint64_t session) {
  uint64_t id = session / (uint64_t)TURN_SESSION_ID_FACTOR;
  return id < SERVERS_MAX ? __atomic_load_n(&servers[id], __ATOMIC_ACQUIRE) : NULL;
}

void auth_traffic_of(const ts_ur_super_session *ss, struct coturn_auth_traffic *traffic) {
  traffic->received_bytes = (uint64_t)ss->t_received_bytes + ss->received_bytes;
  traffic->sent_bytes = (uint64_t)ss->t_sent_bytes + ss->sent_bytes;
  traffic->received_packets = (uint64_t)ss->t_received_packets + ss->received_packets;
  traffic->sent_packets = (uint64_t)ss->t_sent_packets + ss->sent_packets;
  traffic->peer_received_bytes = (uint64_t)ss->t_peer_received_bytes + ss->peer_received_bytes;
  traffic->peer_sent_bytes = (uint64_t)ss->t_peer_sent_bytes + ss->peer_sent_bytes;
  traffic->peer_received_packets = (uint64_t)ss->t_peer_received_packets + ss->peer_received_packets;
  traffic->peer_sent_packets = (uint64_t)ss->t_peer_sent_packets + ss->peer_sent_packets;
}

/* Whole seconds until the deadline; 0: it is over, or nearly. */
uint64_t auth_seconds_left(const struct auth_session *st) {
  uint64_t now = auth_monotonic_ms();
  return st->deadline_ms > now ? (st->deadline_ms - now) / 1000 : 0;
}

int auth_expired(const struct auth_session *st, uint16_t method, int allocation) {
  if (!st->deadline_ms) {
    return 0;
  }
  if (st->policy == COTURN_AUTH_EXPIRY_ALLOCATE && (allocation || method != STUN_METHOD_ALLOCATE)) {
    return 0;
  }
  return auth_seconds_left(st) == 0;
}

/* On the monotonic clock, so that a step of the wall clock neither ends nor prolongs a session. */
uint64_t auth_deadline_of(const struct coturn_auth_grant *g) {
  struct timespec ts;
  int64_t end, now_ms;
  uint64_t mono = auth_monotonic_ms();
  if (!g->expires) {
    return 0;
  }
  if (g->expires < 0) {
    return 1;
  }
  if (g->expires > INT64_MAX / 1000 - (int64_t)UINT32_MAX) {
    return 0;
  }
  clock_gettime(CLOCK_REALTIME, &ts);
  now_ms = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
  end = g->expires;
  if (g->expiry_policy == COTURN_AUTH_EXPIRY_GRACE) {
    end += g->grace_seconds;
  }
  end *= 1000;
  if (end <= now_ms) {
    return 1;
  }
  return mono + (uint64_t)(end - now_ms);
}
