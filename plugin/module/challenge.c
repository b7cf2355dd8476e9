/*
 * challenge.c - the entry point challenge(): which realm a client is challenged for
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "module.h"

#include <netinet/in.h>
#include <string.h>

static const struct store_realm *by_listener(const struct store_snapshot *snapshot, const struct sockaddr *local) {
  char text[INET6_ADDRSTRLEN];
  address_text(local, text, sizeof text);
  return text[0] ? store_realm_by_listener(snapshot, text) : NULL;
}

/* The host always names the port of an origin; people who write realms leave the usual port out. */
static const struct store_realm *by_origin(const struct store_snapshot *snapshot, const char *origin) {
  static const struct {
    const char *scheme, *port;
  } usual[] = {{"https://", ":443"}, {"http://", ":80"}};
  const struct store_realm *realm = store_realm_by_origin(snapshot, origin);
  size_t len = strlen(origin);
  for (size_t i = 0; !realm && i < sizeof usual / sizeof *usual; i++) {
    char text[256];
    size_t port = strlen(usual[i].port);
    if (len >= sizeof text || len <= port || strncmp(origin, usual[i].scheme, strlen(usual[i].scheme)) != 0 ||
        strcmp(origin + len - port, usual[i].port) != 0) {
      continue;
    }
    memcpy(text, origin, len - port);
    text[len - port] = '\0';
    realm = store_realm_by_origin(snapshot, text);
  }
  return realm;
}

static const struct store_realm *choose(const struct store_snapshot *snapshot,
                                        const struct coturn_auth_challenge_request *request) {
  const struct store_realm *realm = by_listener(snapshot, request->local_addr);
  if (!realm && request->origin && request->origin[0]) {
    realm = by_origin(snapshot, request->origin);
  }
  if (!realm && request->realm) {
    realm = store_realm_find(snapshot, request->realm);
  }
  return realm;
}

enum coturn_auth_verdict module_challenge(void *state, const struct coturn_auth_challenge_request *request,
                                          struct coturn_auth_challenge *challenge) {
  struct thread *thread = thread_get(state);
  const struct store_snapshot *snapshot = thread ? store_acquire(thread->reader) : NULL;
  if (!snapshot) {
    return COTURN_AUTH_DENIED;
  }
  enum coturn_auth_verdict verdict = COTURN_AUTH_DECLINED;
  const struct store_realm *realm = choose(snapshot, request);
  if (realm) {
    copy_text(challenge->realm, sizeof challenge->realm, realm->name);
    copy_text(challenge->server_name, sizeof challenge->server_name, realm->server_name);
    for (size_t i = 0; i < sizeof realm->mechanisms; i++) {
      if (realm->mechanisms[i] == STORE_TOKEN) {
        /* RFC 7635 section 4 leaves open to whom a server offers them; plain clients have no use for the attribute */
        challenge->offers_tokens = !realm->offer_shown || (request->flags & COTURN_AUTH_REQ_WANTS_TOKEN) != 0;
      }
    }
    counter_add(COUNTER_CHALLENGES);
    verdict = COTURN_AUTH_GRANTED;
  }
  store_release(thread->reader);
  return verdict;
}
