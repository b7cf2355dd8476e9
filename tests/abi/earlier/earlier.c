/*
 * earlier.c - a module of the first draft of the interface; with TRUSTING it does not look at its host
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * auth-module-config=user:password user2:0x00112233445566778899aabbccddeeff00112233
 */
#include "draft1.h"
#include "examples/instant/users.h"

static struct users users;

static int init(const struct coturn_auth_host *host, const char *config, void **state) {
  (void)host;
  *state = &users;
  return users_init(&users, config);
}

static enum coturn_auth_verdict authenticate(void *state, const struct coturn_auth_request *request,
                                             struct coturn_auth_grant *grant, struct coturn_auth_denial *denial) {
  if (users_key(state, request->username, request->realm, grant) == 0) {
    return COTURN_AUTH_GRANTED;
  }
  denial->error_code = 401;
  denial->reason = COTURN_AUTH_REASON_UNKNOWN_USER;
  return COTURN_AUTH_DENIED;
}

static void stop(void *state) { users_free(state); }

static const struct coturn_auth_module module = {
    .header = COTURN_AUTH_HEADER(struct coturn_auth_module),
    .name = "earlier",
    .version = "1.0",
    .init = init,
    .authenticate = authenticate,
    .stop = stop,
};

__attribute__((visibility("default"))) const struct coturn_auth_module *
coturn_auth_module(const struct coturn_auth_host *host);

const struct coturn_auth_module *coturn_auth_module(const struct coturn_auth_host *host) {
#ifdef TRUSTING
  (void)host;
  return &module;
#else
  return COTURN_AUTH_HAS(host, struct coturn_auth_host, zero) ? &module : NULL;
#endif
}
