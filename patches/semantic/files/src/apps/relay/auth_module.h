/*
 * auth_module.h - the authentication module as turnserver sees it: start, signals, stop, state
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The interface that a module implements is coturn_auth_module.h.
 */

#ifndef __AUTH_MODULE__
#define __AUTH_MODULE__

#include <event2/event.h>
#include <sys/types.h>

#include "auth_options.h"
#include "coturn_auth_module.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Loads the module; owner may own the module's file beside root. 0, or -1 after logging why. Does
 * nothing without the option. */
int auth_module_load(uid_t owner);

/* Starts it: after daemonising, before the first packet. 0, or -1 after logging why. */
int auth_module_start(void);

/* SIGUSR2 reloads the module too; SIGTERM and SIGINT stop it first. */
void auth_module_add_signals(struct event_base *base);

void auth_module_stop(void);

/* The module's and the host's state, line by line. */
void auth_module_status(coturn_auth_status_fn emit, void *arg);

#ifdef __cplusplus
}
#endif

#endif /* __AUTH_MODULE__ */
