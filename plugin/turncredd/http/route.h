/*
 * route.h - which handler answers which method and path
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The server is handed a table of routes and knows none of them by name.
 */
#ifndef TURNCREDD_ROUTE_H
#define TURNCREDD_ROUTE_H

#include "request.h"

struct route {
  const char *method; /* NULL: the table ends here */
  const char *path;   /* {realm} stands for one segment, {username} for the rest of the path */
  request_handler run;
  bool monitor; /* the monitor listener serves it too, without TLS and without a caller */
};

/* Finds the route of a request by its method and its path, and sets the request's route, realm and
 * username. A request of the monitor listener finds only routes of that listener. False: an answer
 * with 404 or 405 has been prepared. */
bool route_find(const struct route *routes, struct request *request, const char *path);

#endif
