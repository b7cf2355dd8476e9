/*
 * handlers.h - the handlers that the table of routes names
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each prepares an answer, or waits and prepares it later (request.h).
 */
#ifndef TURNCREDD_HANDLERS_H
#define TURNCREDD_HANDLERS_H

#include "turncredd/http/request.h"

void health_alive(struct request *request);
void health_ready(struct request *request);
void health_metrics(struct request *request);
void credential_issue(struct request *request);
void credential_batch(struct request *request);
void credential_put(struct request *request);
void credential_delete(struct request *request);
void oauth_token(struct request *request);
void oauth_introspect(struct request *request);
void rest_call(struct request *request);
void well_known_server(struct request *request);
void well_known_stun_key(struct request *request);

#endif
