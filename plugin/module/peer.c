/*
 * peer.c - the entry point check_peer(): to which peers the sessions of a realm may relay
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "module.h"

#include <netinet/in.h>

static bool allowed(const struct store_realm *realm, const struct sockaddr *addr) {
  if (addr->sa_family == AF_INET) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)addr;
    return store_peer_allowed(realm, (const uint8_t *)&v4->sin_addr, 4);
  }
  const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)addr;
  return addr->sa_family == AF_INET6 && store_peer_allowed(realm, v6->sin6_addr.s6_addr, 16);
}

int module_check_peer(void *state, const struct coturn_auth_peer *peer) {
  struct thread *thread = thread_get(state);
  const struct store_snapshot *snapshot = thread ? store_acquire(thread->reader) : NULL;
  if (!snapshot) {
    return 0; /* nobody knows what the realm allows */
  }
  /* a realm that is not in the database is coturn's own */
  const struct store_realm *realm = store_realm_find(snapshot, peer->realm);
  bool ok = !realm || allowed(realm, peer->addr);
  store_release(thread->reader);
  if (!ok) {
    counter_add(COUNTER_PEERS_DENIED);
  }
  return ok;
}
