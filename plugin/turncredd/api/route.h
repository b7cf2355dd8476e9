/*
 * route.h - which handler a request goes to: one table
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_ROUTE_H
#define TURNCREDD_ROUTE_H

#include "turncredd/http/request.h"

struct route {
  const char *method;
  const char *path; /* {realm} is one segment, {username} the rest */
  request_handler run;
};
extern const struct route routes[]; /* ends with a NULL method */

/* Sets route, realm and username. false: 404 or 405 has been prepared. */
bool route_find(struct request *request, const char *path);

/* --- the handlers --- */
void health_alive(struct request *request);
void health_ready(struct request *request);
void health_metrics(struct request *request);
void credential_issue(struct request *request);
void credential_put(struct request *request);
void credential_delete(struct request *request);
void oauth_token(struct request *request);
void rest_call(struct request *request);
void well_known_server(struct request *request);
void well_known_stun_key(struct request *request);

#endif
