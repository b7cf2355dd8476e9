/*
 * turnserver_conf.h - realm, static users and static secrets of a turnserver.conf
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CTL_TURNSERVER_CONF_H
#define TURNCRED_CTL_TURNSERVER_CONF_H

#include "ctl.h"

struct turnserver_line {
  char *value; /* of user= or static-auth-secret= */
  size_t len;  /* octets of value, also after turnserver_user_key() */
  unsigned number;
  bool secret;
};

struct turnserver_conf {
  char realm[256]; /* the last realm=; empty: none */
  struct turnserver_line *lines;
  size_t count;
};

/* Reads the file path, which --turnserver-conf named. CTL_USAGE with a message if that fails. */
enum ctl_exit turnserver_conf_read(const struct ctl *ctl, const char *path, struct turnserver_conf *out);
/* Cleanses and frees the lines. */
void turnserver_conf_free(struct turnserver_conf *conf);

/* The long-term key of a value "name:password" or "name:0xKEY" in realm, in hex, as coturn makes
 * it; ends the value behind the name. NULL, or what is wrong with it. */
const char *turnserver_user_key(char *value, const char *realm, char hex[33]);

#endif
