/*
 * target.c - reads a server as people write it, and finds all of its addresses
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "target.h"

#include "base/ip.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct scheme {
  const char *name;
  bool takes_transport;
  enum turn_protocol protocol, over_udp, over_tcp;
} schemes[] = {
    {"turn", true, TURN_UDP, TURN_UDP, TURN_TCP},   {"turns", true, TURN_TLS, TURN_DTLS, TURN_TLS},
    {"stun", false, TURN_UDP, TURN_UDP, TURN_UDP},  {"stuns", false, TURN_TLS, TURN_TLS, TURN_TLS},
    {"https", false, TURN_TLS, TURN_TLS, TURN_TLS},
};

/* The scheme that text begins with, or NULL: it is no URI, nor is the host "turn" with a port. */
static const struct scheme *scheme_of(const char *text) {
  const char *colon = strchr(text, ':');
  bool host_and_port = colon && colon[1] && !colon[1 + strspn(colon + 1, "0123456789")];
  for (size_t i = 0; colon && !host_and_port && i < sizeof schemes / sizeof *schemes; i++) {
    size_t len = strlen(schemes[i].name);
    if (len == (size_t)(colon - text) && !strncasecmp(text, schemes[i].name, len)) {
      return &schemes[i];
    }
  }
  return NULL;
}

/* Reads "?transport=udp" and "?transport=tcp", in any case. */
static int read_query(const struct scheme *s, const char *query, struct turn_target *out, char *error, size_t cap) {
  static const char transport[] = "transport=";
  const char *value = query + strlen(transport);
  if (!s->takes_transport || strncasecmp(query, transport, strlen(transport)) != 0) {
    snprintf(error, cap, "?%s: %s", query,
             s->takes_transport ? "a turn: URI has ?transport=udp or ?transport=tcp, and nothing else (RFC 7065)"
                                : "a URI of this scheme has nothing behind its port");
    return EINVAL;
  }
  if (!strcasecmp(value, "udp")) {
    out->protocol = s->over_udp;
  } else if (!strcasecmp(value, "tcp")) {
    out->protocol = s->over_tcp;
  } else {
    snprintf(error, cap, "?%s: the transport is udp or tcp (RFC 7065); TLS is what turns: means", query);
    return EINVAL;
  }
  return 0;
}

/* Undoes the %XX of a URI's host. EINVAL: what stands behind a % is no two hexadecimal digits, or is no text. */
static int unescape(char *text) {
  char *out = text;
  for (const char *in = text; *in; in++) {
    if (*in != '%') {
      *out++ = *in;
      continue;
    }
    if (!isxdigit((unsigned char)in[1]) || !isxdigit((unsigned char)in[2])) {
      return EINVAL;
    }
    char digits[3] = {in[1], in[2], '\0'};
    *out = (char)strtol(digits, NULL, 16);
    if ((unsigned char)*out < 0x21 || *out == 0x7F) {
      return EINVAL;
    }
    out++;
    in += 2;
  }
  *out = '\0';
  return 0;
}

static int read_port(const char *digits, char out[6], char *error, size_t cap) {
  uint16_t port;
  if (!ip_port(digits, strlen(digits), &port)) {
    snprintf(error, cap, "port \"%s\": a port is a number from 1 to 65535", digits);
    return EINVAL;
  }
  snprintf(out, 6, "%u", port);
  return 0;
}

/* Splits HOST, HOST:PORT, [V6], [V6]:PORT and V6; host may be changed. *port: NULL if there is none. */
static int split(char *host, char **begin, char **port, char *error, size_t cap) {
  char *colon = strchr(host, ':');
  *begin = host;
  *port = NULL;
  if (*host == '[') {
    char *end = strchr(host, ']');
    if (!end || (end[1] && end[1] != ':')) {
      snprintf(error, cap, "%s: write IPv6 addresses as [ADDRESS]:PORT", host);
      return EINVAL;
    }
    *begin = host + 1;
    *port = end[1] ? end + 2 : NULL;
    *end = '\0';
  } else if (colon && !strchr(colon + 1, ':')) { /* more colons: a bare IPv6 address */
    *port = colon + 1;
    *colon = '\0';
  }
  return 0;
}

static int read_authority(const struct scheme *s, char *text, struct turn_target *out, char *error, size_t cap) {
  char *host = text, *port = NULL;
  if (s && strchr(text, '@')) {
    snprintf(error, cap, "a URI of iceServers has no user in it: write %s:HOST, and give the user by --user", s->name);
    return EINVAL;
  }
  int err = split(text, &host, &port, error, cap);
  if (err) {
    return err;
  }
  if (s && unescape(host)) {
    snprintf(error, cap, "%s: behind a %% stand two hexadecimal digits", host);
    return EINVAL;
  }
  if (!*host || strlen(host) > TURN_HOST_MAX || strpbrk(host, "/?# \t[]")) {
    snprintf(error, cap, "%.*s: write HOST, HOST:PORT, [IPV6]:PORT, or a URI such as turn:HOST:PORT?transport=udp", 99,
             host);
    return EINVAL;
  }
  memcpy(out->host, host, strlen(host) + 1);
  return port ? read_port(port, out->port, error, cap) : 0;
}

int turn_target_parse(const char *text, struct turn_target *target, char *error, size_t cap) {
  const struct scheme *s = scheme_of(text);
  char copy[1024];
  *target = (struct turn_target){.is_uri = s, .protocol = s ? s->protocol : TURN_UDP};
  if (s) {
    text += strlen(s->name) + 1;
  }
  if (strlen(text) >= sizeof copy) {
    snprintf(error, cap, "this is too long for the name of a server");
    return EINVAL;
  }
  memcpy(copy, text, strlen(text) + 1);
  char *rest = copy, *query = s ? strchr(copy, '?') : NULL;
  if (s && !strncmp(rest, "//", 2)) {
    if (strcmp(s->name, "https")) {
      snprintf(error, cap, "%s:%.*s: no // stands in it (RFC 7065): write %s:%.*s", s->name, 99, rest, s->name, 99,
               rest + 2);
      return EINVAL;
    }
    rest += 2;
    rest[strcspn(rest, "/")] = '\0'; /* the path of what is asked there is known */
  }
  if (query) {
    *query++ = '\0';
    int err = read_query(s, query, target, error, cap);
    if (err) {
      return err;
    }
  }
  return read_authority(s, rest, target, error, cap);
}

int turn_target_resolve(const struct turn_target *target, const char *default_port, int family, int socktype,
                        struct turn_addresses *out, char *error, size_t cap) {
  struct addrinfo hints = {.ai_family = family, .ai_socktype = socktype, .ai_flags = AI_NUMERICSERV}, *list = NULL;
  int rc = getaddrinfo(target->host, *target->port ? target->port : default_port, &hints, &list);
  out->count = 0;
  if (rc) {
    snprintf(error, cap, "%s: %s", target->host, rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    return ENOENT;
  }
  for (const struct addrinfo *a = list; a && out->count < TURN_ADDRESSES_MAX; a = a->ai_next) {
    struct turn_address *one = &out->list[out->count];
    if ((a->ai_family == AF_INET || a->ai_family == AF_INET6) && a->ai_addrlen <= sizeof one->addr) {
      memset(one, 0, sizeof *one);
      memcpy(&one->addr, a->ai_addr, a->ai_addrlen);
      one->len = a->ai_addrlen;
      out->count++;
    }
  }
  freeaddrinfo(list);
  if (!out->count) {
    snprintf(error, cap, "%s: no address", target->host);
    return ENOENT;
  }
  return 0;
}
