/*
 * ip.c - IP addresses and ports as people and programs write them
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* What is wrong with a text that is no address. */
static const char *reason(const char *text) {
  const char *colon = strchr(text, ':');
  if (strchr(text, '/')) {
    return "one address is wanted, not a network: leave the prefix length out";
  }
  if (strchr(text, '%')) {
    return "it has a zone id (%), which no other host understands: leave that out";
  }
  if (*text == '[') {
    return "write the address without brackets and without a port";
  }
  if (colon && !strchr(colon + 1, ':')) {
    return "it has a port: write the address alone";
  }
  return "not an IPv4 or IPv6 address";
}

int ip_canonical(const char *text, char out[IP_TEXT], char *err, size_t cap) {
  struct in_addr v4;
  struct in6_addr v6;
  if (inet_pton(AF_INET, text, &v4) == 1) {
    return inet_ntop(AF_INET, &v4, out, IP_TEXT) ? 0 : -1;
  }
  if (inet_pton(AF_INET6, text, &v6) == 1) {
    bool mapped = IN6_IS_ADDR_V4MAPPED(&v6);
    return inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? v6.s6_addr + 12 : v6.s6_addr, out, IP_TEXT) ? 0 : -1;
  }
  snprintf(err, cap, "%s", reason(text));
  return -1;
}

bool ip_is_any(const char *canonical) { return !strcmp(canonical, "0.0.0.0") || !strcmp(canonical, "::"); }

bool ip_port(const char *text, size_t len, uint16_t *port) {
  uint32_t value = 0;
  if (len < 1 || len > 5) {
    return false;
  }
  for (size_t i = 0; i < len; i++) {
    if (text[i] < '0' || text[i] > '9') {
      return false;
    }
    value = value * 10 + (uint32_t)(text[i] - '0');
  }
  *port = (uint16_t)value;
  return value >= 1 && value <= 65535;
}
