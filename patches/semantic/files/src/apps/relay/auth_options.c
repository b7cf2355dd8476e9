/*
 * auth_options.c - the options of the authentication module
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_private.h"

struct auth_module_options auth_module_options = {NULL, NULL, 0, 0};

void auth_module_set_string(char **option, const char *value) {
  char *copy = value ? strdup(value) : NULL;
  if (value && !copy) { /* without the option the server would run as if there were no module */
    fprintf(stderr, "auth-module: out of memory\n");
    exit(-1);
  }
  free(*option);
  *option = copy;
}

int auth_module_check_options(int lt_cred_mech, int no_auth) {
  const struct auth_module_options *o = &auth_module_options;
  if (!o->path) {
    if (o->config) {
      return auth_fail("CONFIG ERROR: auth-module-config is given, but auth-module is not.\n");
    }
    if (o->only) {
      return auth_fail("CONFIG ERROR: auth-module-only is given, but auth-module is not.\n");
    }
    if (o->observe) {
      return auth_fail("CONFIG ERROR: auth-module-observe is given, but auth-module is not.\n");
    }
    return 0;
  }
  if (o->observe && !AUTH_CAN_OBSERVE) {
    return auth_fail("CONFIG ERROR: this turnserver is built without auth-module-observe.\n");
  }
  if (o->path[0] != '/') {
    return auth_fail("CONFIG ERROR: auth-module: the path is not absolute: %s\n", o->path);
  }
  if (o->only && no_auth) {
    return auth_fail("CONFIG ERROR: auth-module-only and no-auth (-z) cannot be used together.\n");
  }
  if (o->only && o->observe) {
    return auth_fail("CONFIG ERROR: auth-module-only and auth-module-observe cannot be used together: one "
                     "leaves every decision to the module, the other none.\n");
  }
  if (no_auth) {
    return auth_fail("CONFIG ERROR: auth-module and no-auth (-z) cannot be used together.\n");
  }
  if (!lt_cred_mech) {
    return auth_fail("CONFIG ERROR: auth-module needs lt-cred-mech (-a) in the same configuration. Without it "
                     "a turnserver that does not know auth-module would let everybody in.\n");
  }
  return 0;
}
