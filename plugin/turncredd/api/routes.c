/*
 * routes.c - the table of routes
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "routes.h"

#include "handlers.h"

const struct route routes[] = {
    {"GET", "/healthz", health_alive, true},
    {"GET", "/readyz", health_ready, true},
    {"GET", "/metrics", health_metrics, true},
    {"POST", "/v1/realms/{realm}/credentials", credential_issue, false},
    {"POST", "/v1/realms/{realm}/batch", credential_batch, false},
    {"PUT", "/v1/realms/{realm}/credentials/{username}", credential_put, false},
    {"DELETE", "/v1/realms/{realm}/credentials/{username}", credential_delete, false},
    {"POST", "/v1/realms/{realm}/credentials/{username}", credential_delete, false},
    {"POST", "/oauth2/token", oauth_token, false},
    {"POST", "/oauth2/introspect", oauth_introspect, false},
    {"GET", "/.well-known/oauth-authorization-server", well_known_server, false},
    {"GET", "/.well-known/stun-key", well_known_stun_key, false},
    {"GET", "/", rest_call, false},
    {"POST", "/", rest_call, false},
    {NULL, NULL, NULL, false},
};
