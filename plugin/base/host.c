/*
 * host.c - the host and port in a TURN URI or an origin (RFC 3986 section 3.2.2, as clients take it)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "host.h"

#include "ip.h"

#include <stdio.h>
#include <string.h>

#define LABEL_MAX 63
#define NAME_MAX_OCTETS 253
#define NO_DESTINATION "no client can reach 0.0.0.0 or [::]: name the address that clients use"

static int wrong(const char *text, char *err, size_t cap) {
  snprintf(err, cap, "%s", text);
  return -1;
}

static char lower(char c) { return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); }

/* Takes an address in brackets; text begins behind the opening one. */
static int take_ipv6(const char *text, size_t len, char host[HOST_TEXT], char *err, size_t cap) {
  char address[IP_TEXT], canonical[IP_TEXT], why[160];
  if (!len || len >= sizeof address || !memchr(text, ':', len)) {
    return wrong("brackets hold an IPv6 address", err, cap);
  }
  memcpy(address, text, len);
  address[len] = '\0';
  if (ip_canonical(address, canonical, why, sizeof why)) {
    snprintf(err, cap, "the address in brackets: %s", why);
    return -1;
  }
  if (ip_is_any(canonical)) {
    return wrong(NO_DESTINATION, err, cap);
  }
  snprintf(host, HOST_TEXT, strchr(canonical, ':') ? "[%s]" : "%s", canonical);
  return 0;
}

/* Whether the name's last label is a number, so that clients read the name as an IPv4 address. */
static bool ends_in_number(const char *name, size_t len) {
  size_t end = len && name[len - 1] == '.' ? len - 1 : len, begin = end;
  while (begin > 0 && name[begin - 1] != '.') {
    begin--;
  }
  return begin < end && strspn(name + begin, "0123456789") >= end - begin;
}

static int take_name(const char *text, size_t len, char host[HOST_TEXT], char *err, size_t cap) {
  char canonical[IP_TEXT];
  size_t label = 0;
  if (!len) {
    return wrong("the host is missing", err, cap);
  }
  if (len > NAME_MAX_OCTETS + 1 || (len == NAME_MAX_OCTETS + 1 && text[len - 1] != '.')) {
    return wrong("the host is longer than 253 octets", err, cap);
  }
  for (size_t i = 0; i < len; i++) {
    char c = host[i] = lower(text[i]);
    if ((unsigned char)c >= 0x80) {
      return wrong("write the host in its ASCII form (xn--...)", err, cap);
    }
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.')) {
      return wrong("the host is a name of letters, digits, hyphens and dots, an IPv4 address, or an IPv6 address in "
                   "brackets",
                   err, cap);
    }
    label = c == '.' ? 0 : label + 1;
    if (label > LABEL_MAX || (c == '.' && (i == 0 || text[i - 1] == '.'))) {
      return wrong("the host has an empty label, or one of more than 63 octets", err, cap);
    }
  }
  host[len] = '\0';
  if (ends_in_number(host, len)) {
    if (ip_canonical(host, canonical, err, cap)) {
      return wrong("the host ends in a number and is no IPv4 address", err, cap);
    }
    if (ip_is_any(canonical)) {
      return wrong(NO_DESTINATION, err, cap);
    }
  }
  return 0;
}

int host_and_port(const char *text, size_t len, char host[HOST_TEXT], uint16_t *port, char *err, size_t cap) {
  const char *colon = memrchr(text, ':', len), *close = memchr(text, ']', len);
  bool bracket = len && *text == '[';
  *port = 0;
  if (bracket && !close) {
    return wrong("the bracket of the IPv6 address is not closed", err, cap);
  }
  if (bracket && close + 1 < text + len && close[1] != ':') {
    return wrong("only a port may stand behind the IPv6 address", err, cap);
  }
  if (bracket && colon && colon < close) {
    colon = NULL;
  }
  if (!bracket && colon && memchr(text, ':', (size_t)(colon - text))) {
    return wrong("an IPv6 address stands in brackets, and there is no user or second port", err, cap);
  }
  if (colon && !ip_port(colon + 1, (size_t)(text + len - colon - 1), port)) {
    return wrong("the port is a number from 1 to 65535", err, cap);
  }
  size_t n = colon ? (size_t)(colon - text) : len;
  return bracket ? take_ipv6(text + 1, (size_t)(close - text) - 1, host, err, cap) : take_name(text, n, host, err, cap);
}
