/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "module.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/* What inet_ntop() does, which costs more than all the rest of a challenge. */
static void ipv4_text(const uint8_t *octets, char *text) {
  for (size_t i = 0; i < 4; i++) {
    unsigned n = octets[i];
    if (n >= 100)
      *text++ = (char)('0' + n / 100);
    if (n >= 10)
      *text++ = (char)('0' + n / 10 % 10);
    *text++ = (char)('0' + n % 10);
    *text++ = i < 3 ? '.' : '\0';
  }
}

void address_text(const struct sockaddr *addr, char *text, size_t cap) {
  const void *bytes = NULL;
  int family = addr ? addr->sa_family : AF_UNSPEC;
  if (family == AF_INET)
    bytes = &((const struct sockaddr_in *)(const void *)addr)->sin_addr;
  if (family == AF_INET6) {
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr;
    bool mapped = IN6_IS_ADDR_V4MAPPED(v6);
    bytes = mapped ? &v6->s6_addr[12] : v6->s6_addr;
    family = mapped ? AF_INET : AF_INET6;
  }
  if (bytes && family == AF_INET && cap >= INET_ADDRSTRLEN)
    ipv4_text(bytes, text);
  else if (!bytes || !inet_ntop(family, bytes, text, (socklen_t)cap))
    text[0] = '\0';
}

static const struct store_realm *by_listener(const struct store_snapshot *snapshot,
                                             const struct sockaddr *local) {
  char text[INET6_ADDRSTRLEN];
  address_text(local, text, sizeof text);
  return text[0] ? store_realm_by_listener(snapshot, text) : NULL;
}

/* The host names an origin with its port in any case; people leave the usual one out. */
static const struct store_realm *by_origin(const struct store_snapshot *snapshot,
                                           const char *origin) {
  static const struct {
    const char *scheme, *port;
  } usual[] = {{"https://", ":443"}, {"http://", ":80"}};
  const struct store_realm *realm = store_realm_by_origin(snapshot, origin);
  size_t len = strlen(origin);
  for (size_t i = 0; !realm && i < sizeof usual / sizeof *usual; i++) {
    char text[256];
    size_t port = strlen(usual[i].port);
    if (len >= sizeof text || len <= port ||
        strncmp(origin, usual[i].scheme, strlen(usual[i].scheme)) != 0 ||
        strcmp(origin + len - port, usual[i].port) != 0)
      continue;
    memcpy(text, origin, len - port);
    text[len - port] = '\0';
    realm = store_realm_by_origin(snapshot, text);
  }
  return realm;
}

static const struct store_realm *choose(const struct store_snapshot *snapshot,
                                        const struct coturn_auth_challenge_request *request) {
  const struct store_realm *realm = by_listener(snapshot, request->local_addr);
  if (!realm && request->origin && request->origin[0])
    realm = by_origin(snapshot, request->origin);
  if (!realm && request->realm)
    realm = store_realm_find(snapshot, request->realm);
  return realm;
}

enum coturn_auth_verdict module_challenge(void *state,
                                          const struct coturn_auth_challenge_request *request,
                                          struct coturn_auth_challenge *challenge) {
  struct thread *thread = thread_get(state);
  const struct store_snapshot *snapshot = thread ? store_acquire(thread->reader) : NULL;
  if (!snapshot)
    return COTURN_AUTH_DENIED;
  enum coturn_auth_verdict verdict = COTURN_AUTH_DECLINED;
  const struct store_realm *realm = choose(snapshot, request);
  if (realm) {
    copy_text(challenge->realm, sizeof challenge->realm, realm->name);
    copy_text(challenge->server_name, sizeof challenge->server_name, realm->server_name);
    for (size_t i = 0; i < sizeof realm->mechanisms; i++)
      if (realm->mechanisms[i] == STORE_TOKEN)
        challenge->offers_tokens = challenge->accepts_tokens = 1;
    counter_add(COUNTER_CHALLENGES);
    verdict = COTURN_AUTH_GRANTED;
  }
  store_release(thread->reader);
  return verdict;
}
