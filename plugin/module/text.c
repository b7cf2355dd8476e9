/*
 * text.c - texts in buffers of fixed size: copies, and addresses
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "module.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

void copy_text(char *to, size_t cap, const char *from) {
  size_t len = strlen(from);
  if (len >= cap) {
    len = cap - 1;
  }
  memcpy(to, from, len);
  to[len] = '\0';
}

/* Does what inet_ntop() does, which would cost more than all the rest of a challenge. */
static void ipv4_text(const uint8_t *octets, char *text) {
  for (size_t i = 0; i < 4; i++) {
    unsigned n = octets[i];
    if (n >= 100) {
      *text++ = (char)('0' + n / 100);
    }
    if (n >= 10) {
      *text++ = (char)('0' + n / 10 % 10);
    }
    *text++ = (char)('0' + n % 10);
    *text++ = i < 3 ? '.' : '\0';
  }
}

void address_text(const struct sockaddr *addr, char *text, size_t cap) {
  const void *bytes = NULL;
  int family = addr ? addr->sa_family : AF_UNSPEC;
  if (family == AF_INET) {
    bytes = &((const struct sockaddr_in *)(const void *)addr)->sin_addr;
  }
  if (family == AF_INET6) {
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr;
    bool mapped = IN6_IS_ADDR_V4MAPPED(v6);
    bytes = mapped ? &v6->s6_addr[12] : v6->s6_addr;
    family = mapped ? AF_INET : AF_INET6;
  }
  if (bytes && family == AF_INET && cap >= INET_ADDRSTRLEN) {
    ipv4_text(bytes, text);
  } else if (!bytes || !inet_ntop(family, bytes, text, (socklen_t)cap)) {
    text[0] = '\0';
  }
}
