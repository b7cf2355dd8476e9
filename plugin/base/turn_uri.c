/*
 * turn_uri.c - TURN and STUN URIs as RFC 7065 and RFC 7064 define them, and browsers take them
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "turn_uri.h"

#include "host.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static int wrong(const char *text, char *err, size_t cap) {
  snprintf(err, cap, "%s", text);
  return -1;
}

/* The scheme in lower case, or NULL. */
static const char *scheme_of(const char *text, size_t len) {
  static const char *const schemes[] = {"turn", "turns", "stun", "stuns"};
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
    if (strlen(schemes[i]) == len && !strncasecmp(schemes[i], text, len)) {
      return schemes[i];
    }
  }
  return NULL;
}

int turn_uri_canonical(const char *text, char out[TURN_URI_TEXT], char *err, size_t cap) {
  char host[HOST_TEXT], number[8] = "";
  uint16_t port;
  const char *colon = strchr(text, ':'), *scheme = colon ? scheme_of(text, (size_t)(colon - text)) : NULL;
  if (!scheme) {
    return wrong("a TURN URI begins with turn:, turns:, stun: or stuns:", err, cap);
  }
  const char *rest = colon + 1, *query = strchr(rest, '?');
  if (strpbrk(rest, ", \t")) {
    return wrong("there is a comma or a blank in it: one URI stands here, give each of a list by itself", err, cap);
  }
  if (!strncmp(rest, "//", 2)) {
    return wrong("a TURN URI has no // behind its scheme: turn:HOST", err, cap);
  }
  if (strpbrk(rest, "@#/")) {
    return wrong("a TURN URI has no user, path or fragment: turn:HOST:PORT?transport=tcp", err, cap);
  }
  const char *transport = "";
  if (query && *scheme == 's') {
    return wrong("a STUN URI has no query", err, cap);
  }
  if (query) {
    bool udp = !strcasecmp(query, "?transport=udp"), tcp = !strcasecmp(query, "?transport=tcp");
    if (!udp && !tcp) {
      return wrong("nothing but ?transport=udp or ?transport=tcp may stand behind the host", err, cap);
    }
    transport = udp ? "?transport=udp" : "?transport=tcp";
  }
  if (host_and_port(rest, query ? (size_t)(query - rest) : strlen(rest), host, &port, err, cap)) {
    return -1;
  }
  if (port) {
    snprintf(number, sizeof number, ":%u", port);
  }
  snprintf(out, TURN_URI_TEXT, "%s:%s%s%s", scheme, host, number, transport);
  return 0;
}

int turn_uri_split(const char *uri, struct turn_uri *out) {
  char host[HOST_TEXT], err[200];
  uint16_t port = 0;
  const char *rest = strchr(uri, ':'), *query = strchr(uri, '?');
  memset(out, 0, sizeof *out);
  if (!rest || *uri != 't' ||
      host_and_port(rest + 1, query ? (size_t)(query - rest) - 1 : strlen(rest + 1), host, &port, err, sizeof err)) {
    return -1;
  }
  size_t bracket = *host == '[', len = strlen(host) - 2 * bracket;
  memcpy(out->host, host + bracket, len);
  out->tls = !strncmp(uri, "turns:", 6);
  out->udp = !query || !strcmp(query, "?transport=udp");
  out->tcp = !query || !strcmp(query, "?transport=tcp");
  snprintf(out->port, sizeof out->port, "%u", port ? port : out->tls ? 5349u : 3478u);
  return 0;
}
