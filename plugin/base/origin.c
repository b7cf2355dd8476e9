/*
 * origin.c - origins as browsers and WebRTC clients write them (RFC 6454 section 6.2)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "origin.h"

#include "host.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SCHEME_MAX 32

static int wrong(const char *text, char *err, size_t cap) {
  snprintf(err, cap, "%s", text);
  return -1;
}

/* Copies the scheme in lower case (RFC 3986 section 3.1). False: it is none. */
static bool take_scheme(const char *text, size_t len, char out[SCHEME_MAX + 1]) {
  for (size_t i = 0; i < len && i < SCHEME_MAX; i++) {
    char c = text[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'))) {
      return false;
    }
    out[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    out[i + 1] = '\0';
  }
  return len > 0 && len <= SCHEME_MAX;
}

/* The port that the scheme implies; 0: none. */
static uint16_t usual_port(const char *scheme) {
  static const struct {
    const char *scheme;
    uint16_t port;
  } usual[] = {{"http", 80}, {"https", 443}, {"ws", 80}, {"wss", 443}, {"ftp", 21}};
  for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
    if (!strcmp(scheme, usual[i].scheme)) {
      return usual[i].port;
    }
  }
  return 0;
}

int origin_canonical(const char *text, char out[ORIGIN_TEXT], char *err, size_t cap) {
  char scheme[SCHEME_MAX + 1] = "", host[HOST_TEXT], number[8] = "";
  uint16_t port;
  const char *mark = strstr(text, "://");
  if (strchr(text, '*')) {
    return wrong("patterns are not supported: name each origin", err, cap);
  }
  if (strchr(text, ',')) {
    return wrong("it holds a comma: name each origin by itself", err, cap);
  }
  if (!mark || !take_scheme(text, (size_t)(mark - text), scheme)) {
    return wrong("an origin is SCHEME://HOST or SCHEME://HOST:PORT, such as https://app.example.org", err, cap);
  }
  const char *rest = mark + 3;
  size_t len = strlen(rest);
  if (len && rest[len - 1] == '/') {
    len--;
  }
  if (strcspn(rest, "/?#@") < len) {
    return wrong("an origin has no user, path, query or fragment: SCHEME://HOST or SCHEME://HOST:PORT", err, cap);
  }
  if (host_and_port(rest, len, host, &port, err, cap)) {
    return -1;
  }
  if (port && port != usual_port(scheme)) {
    snprintf(number, sizeof number, ":%u", port);
  }
  snprintf(out, ORIGIN_TEXT, "%s://%s%s", scheme, host, number);
  return 0;
}
