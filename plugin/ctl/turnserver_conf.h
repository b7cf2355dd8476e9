/*
 * turnserver_conf.h - what a turnserver.conf and a command line of coturn's say about credentials
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CTL_TURNSERVER_CONF_H
#define TURNCRED_CTL_TURNSERVER_CONF_H

#include "ctl.h"
#include "turnserver_options.h"

struct turnserver_line {
  char *value; /* of user= or static-auth-secret= */
  size_t len;  /* octets of value, also after turnserver_user_key() */
  unsigned number;
  bool secret;
  bool argument; /* the number counts arguments of the command line, not lines of the file */
};

#define TURNSERVER_STRANGE_MAX 16

struct turnserver_conf {
  bool given;
  /* the last value of each, cut where coturn cuts it; empty: none */
  char realm[TURNCRED_REALM_MAX + 1], server_name[256], database[1025];
  enum turnserver_meaning database_kind; /* TURNSERVER_SQLITE and so on; TURNSERVER_STAYS: the default, SQLite */
  char separator;
  bool use_auth_secret, lt_cred_mech, no_auth, oauth, no_dynamic_realms, no_dynamic_ip_list, secret_key_file, web_admin;
  int64_t user_quota, total_quota, max_bps; /* 0: no limit */
  json_t *allowed_peers;                    /* values of allowed-peer-ip; NULL: none */
  struct turnserver_line *lines;
  size_t count;
  struct {
    unsigned number;
    char name[64];
  } strange[TURNSERVER_STRANGE_MAX]; /* lines that no version of coturn knows */
  size_t strange_count;
};

/* Which credentials coturn takes, tokens aside. */
enum turnserver_mode { TURNSERVER_TAKES_USERS, TURNSERVER_TAKES_SECRETS, TURNSERVER_TAKES_ANYBODY };

/* coturn reads so many octets of the file at a time, with the NUL; a longer line goes on as another one. */
#define TURNSERVER_LINE 1024
/* Splits a line in place into the name of an option and its value; false: the line is blank or a comment. */
bool turnserver_conf_split(char *line, char **name, char **value);
/* Reads the file path, which --turnserver-conf named. CTL_USAGE with a message if that fails. */
enum ctl_exit turnserver_conf_read(const struct ctl *ctl, const char *path, struct turnserver_conf *out);
/* Reads a command line of coturn's from the file path: arguments that end with NUL, as /proc/PID/cmdline has them, or
 * with a newline. The command line overrides what stands in the file that its -c names, which is read first unless
 * conf_path names another one. conf_path may be NULL. */
enum ctl_exit turnserver_conf_command_line(const struct ctl *ctl, const char *path, const char *conf_path,
                                           struct turnserver_conf *out);
/* Cleanses and frees the lines. */
void turnserver_conf_free(struct turnserver_conf *conf);

enum turnserver_mode turnserver_conf_mode(const struct turnserver_conf *conf);

/* The long-term key of a value "name:password" or "name:0xKEY" in realm, in hex, as coturn makes
 * it; ends the value behind the name. NULL, or what is wrong with it: coturn has no such user either. */
const char *turnserver_user_key(char *value, const char *realm, char hex[33]);
/* Whether the value gives the key itself, which is for any realm. */
bool turnserver_user_has_key(const char *value);

#endif
