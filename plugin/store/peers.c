/*
 * peers.c - tells the host which addresses the database has
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "peers.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* Tells the host an address, without its port, unless the host knows it. */
static void tell(struct peers *peers, const struct sockaddr *sa) {
  struct sockaddr_storage addr;
  memset(&addr, 0, sizeof addr);
  if (sa->sa_family == AF_INET) {
    memcpy(&addr, sa, sizeof(struct sockaddr_in));
    ((struct sockaddr_in *)&addr)->sin_port = 0;
  } else if (sa->sa_family == AF_INET6) {
    memcpy(&addr, sa, sizeof(struct sockaddr_in6));
    ((struct sockaddr_in6 *)&addr)->sin6_port = 0;
  } else {
    return;
  }
  for (size_t i = 0; i < peers->count; i++) {
    if (memcmp(&peers->known[i], &addr, sizeof addr) == 0) {
      return;
    }
  }
  if (peers->count < PEERS_MAX) {
    peers->known[peers->count++] = addr;
  }
  peers->tell((struct sockaddr *)&addr, peers->arg);
}

/* False: the name could not be looked up. */
static bool tell_host(struct peers *peers, const char *host) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
  if (!*host || *host == '/' || *host == '@') {
    return true;
  }
  if (getaddrinfo(host, NULL, &hints, &found)) {
    return false;
  }
  for (struct addrinfo *a = found; a; a = a->ai_next) {
    tell(peers, a->ai_addr);
  }
  freeaddrinfo(found);
  return true;
}

void peers_tell_named(struct peers *peers, PGconn *conn, bool *all_told) {
  if (!peers->tell || *all_told) {
    return;
  }
  PQconninfoOption *options = PQconninfo(conn);
  *all_told = options != NULL;
  for (PQconninfoOption *o = options; o && o->keyword; o++) {
    if (!o->val || (strcmp(o->keyword, "host") != 0 && strcmp(o->keyword, "hostaddr") != 0)) {
      continue;
    }
    char *list = strdup(o->val), *save = NULL;
    *all_told &= list != NULL; /* told at the next connection then */
    for (char *host = list ? strtok_r(list, ",", &save) : NULL; host; host = strtok_r(NULL, ",", &save)) {
      *all_told &= tell_host(peers, host);
    }
    free(list);
  }
  PQconninfoFree(options);
}

void peers_tell_connected(struct peers *peers, PGconn *conn) {
  struct sockaddr_storage addr;
  socklen_t len = sizeof addr;
  memset(&addr, 0, sizeof addr);
  if (peers->tell && getpeername(PQsocket(conn), (struct sockaddr *)&addr, &len) == 0) {
    tell(peers, (struct sockaddr *)&addr);
  }
}
