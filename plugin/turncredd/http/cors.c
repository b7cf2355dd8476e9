/*
 * cors.c - which origins' pages may call (WHATWG Fetch)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/words.h"
#include "cors.h"

#include <stdlib.h>
#include <string.h>

static const char *allowed(const struct request *r) {
  const char *origin = request_header(r, "Origin");
  return origin && words_have(r->reloadable->settings.cors_origins, origin) ? origin : NULL;
}

bool cors_check(struct request *r) {
  if (!request_header(r, "Origin")) {
    return true;
  }
  if (!allowed(r)) {
    request_error(r, 403, "origin_not_allowed",
                  "Origin: pages of this origin may not call; cors_origins names those that may");
    return false;
  }
  if (strcmp(r->method, "OPTIONS") != 0) {
    return true;
  }
  request_text(r, 204, calloc(1, 1), NULL);
  return false;
}

void cors_headers(const struct request *r, struct MHD_Response *response) {
  const char *origin = r->reloadable ? allowed(r) : NULL;
  MHD_add_response_header(response, "Vary", "Origin");
  if (!origin) {
    return;
  }
  MHD_add_response_header(response, "Access-Control-Allow-Origin", origin);
  MHD_add_response_header(response, "Access-Control-Expose-Headers", "Link, Retry-After, WWW-Authenticate");
  if (strcmp(r->method, "OPTIONS") != 0) {
    return;
  }
  MHD_add_response_header(response, "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE");
  MHD_add_response_header(response, "Access-Control-Allow-Headers", "Authorization, Content-Type");
  MHD_add_response_header(response, "Access-Control-Max-Age", "600");
}
