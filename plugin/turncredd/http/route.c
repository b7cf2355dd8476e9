/*
 * route.c - which handler answers which method and path
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "route.h"

#include <stdio.h>
#include <string.h>

/* Copies a part of the path. False: it is empty or too long. */
static bool take(const char *from, size_t len, char *out, size_t cap) {
  if (len == 0 || len >= cap) {
    return false;
  }
  memcpy(out, from, len);
  out[len] = '\0';
  return true;
}

/* Does the path match the pattern? Sets the realm and the username of the request. */
static bool matches(struct request *r, const char *pattern, const char *path) {
  while (*pattern) {
    if (!strncmp(pattern, "{realm}", 7)) {
      size_t n = strcspn(path, "/");
      if (!take(path, n, r->realm, sizeof r->realm)) {
        return false;
      }
      pattern += 7;
      path += n;
    } else if (!strncmp(pattern, "{username}", 10)) {
      return take(path, strlen(path), r->username, sizeof r->username);
    } else if (*pattern++ != *path++) {
      return false;
    }
  }
  return !*path;
}

static bool has_method(const struct route *route, const char *method) {
  /* HEAD is GET without a body, except for a call that issues something */
  return !strcmp(route->method, method) || (!strcmp(method, "HEAD") && !strcmp(route->method, "GET") && route->path[1]);
}

bool route_find(const struct route *routes, struct request *r, const char *path) {
  char allow[64] = "";
  for (const struct route *route = routes; route->method; route++) {
    if (!matches(r, route->path, path)) {
      continue;
    }
    if (has_method(route, r->method) && r->monitor && !route->monitor) {
      request_error(r, 404, "not_found", "the monitor listener does not serve this resource");
      return false;
    }
    if (has_method(route, r->method)) {
      r->route = route;
      return true;
    }
    if (strlen(allow) + strlen(route->method) + 3 < sizeof allow) {
      snprintf(allow + strlen(allow), sizeof allow - strlen(allow), "%s%s", *allow ? ", " : "", route->method);
    }
  }
  if (*allow) {
    memcpy(r->allow, allow, sizeof r->allow);
    request_error(r, 405, "method_not_allowed", "this resource takes %s", allow);
  } else {
    request_error(r, 404, "not_found", "there is no such resource");
  }
  return false;
}
