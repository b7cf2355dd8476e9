/*
 * unresolved.c - a module that needs a function that no library has; only for tests
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "coturn_auth_module.h"

extern int nobody_has_this_function(void);

__attribute__((visibility("default"))) const struct coturn_auth_module *
coturn_auth_module(const struct coturn_auth_host *host);

const struct coturn_auth_module *coturn_auth_module(const struct coturn_auth_host *host) {
  (void)host;
  return nobody_has_this_function() ? (const void *)"" : NULL;
}
