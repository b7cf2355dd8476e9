/*
 * auth_options.h - the options of the authentication module
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#ifndef __AUTH_OPTIONS__
#define __AUTH_OPTIONS__

struct auth_module_options {
  char *path;   /* auth-module */
  char *config; /* auth-module-config */
  int only;     /* auth-module-only */
  int observe;  /* auth-module-observe */
};

extern struct auth_module_options auth_module_options;

void auth_module_set_string(char **option, const char *value);

/* 0 if the options fit together, -1 after logging why they do not. */
int auth_module_check_options(int lt_cred_mech, int no_auth);

#endif /* __AUTH_OPTIONS__ */
