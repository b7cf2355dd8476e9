/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "route.h"

#include <stdio.h>
#include <string.h>

const struct route routes[] = {
    {"GET", "/healthz", health_alive},
    {"GET", "/readyz", health_ready},
    {"GET", "/metrics", health_metrics},
    {"POST", "/v1/realms/{realm}/credentials", credential_issue},
    {"PUT", "/v1/realms/{realm}/credentials/{username}", credential_put},
    {"DELETE", "/v1/realms/{realm}/credentials/{username}", credential_delete},
    {"POST", "/v1/realms/{realm}/credentials/{username}", credential_delete},
    {"POST", "/oauth2/token", oauth_token},
    {"GET", "/.well-known/oauth-authorization-server", well_known_server},
    {"GET", "/.well-known/stun-key", well_known_stun_key},
    {"GET", "/", rest_call},
    {"POST", "/", rest_call},
    {NULL, NULL, NULL},
};

static bool take(const char *from, size_t len, char *out, size_t cap) {
  if (len == 0 || len >= cap)
    return false;
  memcpy(out, from, len);
  out[len] = '\0';
  return true;
}

static bool matches(struct request *r, const char *pattern, const char *path) {
  while (*pattern) {
    if (!strncmp(pattern, "{realm}", 7)) {
      size_t n = strcspn(path, "/");
      if (!take(path, n, r->realm, sizeof r->realm))
        return false;
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

bool route_find(struct request *r, const char *path) {
  char allow[64] = "";
  for (const struct route *route = routes; route->method; route++) {
    if (!matches(r, route->path, path))
      continue;
    if (!strcmp(route->method, r->method) ||
        (!strcmp(r->method, "HEAD") && !strcmp(route->method, "GET") && route->path[1])) {
      r->route = route;
      return true;
    }
    if (strlen(allow) + strlen(route->method) + 3 < sizeof allow)
      snprintf(allow + strlen(allow), sizeof allow - strlen(allow), "%s%s", *allow ? ", " : "",
               route->method);
  }
  if (*allow) {
    memcpy(r->allow, allow, sizeof r->allow);
    request_error(r, 405, "method_not_allowed", "this resource has %s", allow);
  } else {
    request_error(r, 404, "not_found", "there is no such resource");
  }
  return false;
}
