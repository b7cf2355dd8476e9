/*
 * auth_peers.c - peer addresses that the module denies
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_session.h"

#define DENIED_PEERS_MAX (64)

static ioa_addr denied_peers[DENIED_PEERS_MAX];
static size_t denied_peers_number = 0;

int auth_denied_peer(const ioa_addr *addr) {
  size_t i, n = __atomic_load_n(&denied_peers_number, __ATOMIC_ACQUIRE);
  ioa_addr plain;
  for (i = 0; i < n; ++i) {
    if (addr_eq_no_port(&denied_peers[i], addr))
      break;
    /* an IPv4 address may come in IPv6 clothes */
    if (addr->ss.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&addr->s6.sin6_addr)) {
      memset(&plain, 0, sizeof(plain));
      plain.s4.sin_family = AF_INET;
      memcpy(&plain.s4.sin_addr, (const uint8_t *)&addr->s6.sin6_addr + 12, 4);
      if (addr_eq_no_port(&denied_peers[i], &plain))
        break;
    }
  }
  if (i == n)
    return 0;
  {
    char saddr[129];
    addr_to_string_no_port(addr, (uint8_t *)saddr);
    TURN_LOG_FUNC(TURN_LOG_LEVEL_ERROR, "A peer IP %s denied by the authentication module\n",
                  saddr);
  }
  return 1;
}

int auth_deny_peer(const struct sockaddr *addr) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  ioa_addr a;
  size_t i;
  int ret = 0;
  memset(&a, 0, sizeof(a));
  if (!addr)
    return -1;
  if (addr->sa_family == AF_INET)
    memcpy(&a.s4, addr, sizeof(a.s4));
  else if (addr->sa_family == AF_INET6)
    memcpy(&a.s6, addr, sizeof(a.s6));
  else
    return -1;
  pthread_mutex_lock(&mutex);
  for (i = 0; i < denied_peers_number && !addr_eq_no_port(&denied_peers[i], &a); ++i)
    ;
  if (i == denied_peers_number) {
    if (i < DENIED_PEERS_MAX) {
      addr_cpy(&denied_peers[i], &a);
      __atomic_store_n(&denied_peers_number, i + 1, __ATOMIC_RELEASE);
    } else {
      ret = -1;
    }
  }
  pthread_mutex_unlock(&mutex);
  return ret;
}

void auth_peers_status(coturn_auth_status_fn emit, void *arg) {
  size_t i, n = __atomic_load_n(&denied_peers_number, __ATOMIC_ACQUIRE);
  for (i = 0; i < n; ++i) {
    char saddr[129];
    addr_to_string_no_port(&denied_peers[i], (uint8_t *)saddr);
    emit("denied peer", saddr, arg);
  }
}
