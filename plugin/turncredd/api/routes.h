/*
 * routes.h - the table of routes and their handlers
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_ROUTES_H
#define TURNCREDD_ROUTES_H

#include "turncredd/http/route.h"

extern const struct route routes[]; /* ends with a NULL method */

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
