/*
 * import_use.c - which credentials coturn takes, as its turnserver.conf has it: get_user_key() of its userdb.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "import.h"

/* Whoever need not show a credential today may show any. */
static enum import_use use_in(const struct import *im, enum turnserver_mode mode) {
  enum turnserver_mode now = turnserver_conf_mode(&im->conf);
  if (!im->conf.given) {
    return IMPORT_UNKNOWN;
  }
  return now == mode || now == TURNSERVER_TAKES_ANYBODY ? IMPORT_USED : IMPORT_UNUSED;
}

enum import_use import_user_use(const struct import *im) { return use_in(im, TURNSERVER_TAKES_USERS); }
enum import_use import_secret_use(const struct import *im) { return use_in(im, TURNSERVER_TAKES_SECRETS); }

enum import_use import_token_use(const struct import *im) {
  return !im->conf.given ? IMPORT_UNKNOWN : im->conf.oauth ? IMPORT_USED : IMPORT_UNUSED;
}

enum import_use import_row_use(const struct import *im, enum import_use use, const char *realm) {
  return !*realm && im->default_realm && *im->default_realm && im->conf.given ? IMPORT_UNUSED : use;
}
