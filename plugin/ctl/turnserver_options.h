/*
 * turnserver_options.h - every option that a turnserver.conf may have, and what the import makes of it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CTL_TURNSERVER_OPTIONS_H
#define TURNCRED_CTL_TURNSERVER_OPTIONS_H

#include <stddef.h>

/* What an option means to the import. */
enum turnserver_meaning {
  TURNSERVER_STAYS = 0, /* nothing: the server goes on to read the option, with the module too */
  TURNSERVER_REALM,
  TURNSERVER_SERVER_NAME,
  TURNSERVER_USER,
  TURNSERVER_SECRET,
  TURNSERVER_SEPARATOR,
  /* which credentials coturn takes */
  TURNSERVER_USE_AUTH_SECRET,
  TURNSERVER_LT_CRED_MECH,
  TURNSERVER_NO_AUTH,
  TURNSERVER_OAUTH,
  /* where coturn's database is, and what coturn reads of it */
  TURNSERVER_SQLITE,
  TURNSERVER_POSTGRES,
  TURNSERVER_MYSQL,
  TURNSERVER_MONGO,
  TURNSERVER_REDIS,
  TURNSERVER_NO_DYNAMIC_REALMS,
  TURNSERVER_NO_DYNAMIC_IP_LIST,
  TURNSERVER_SECRET_KEY_FILE,
  /* limits, which the server goes on to read, and which a realm of coturn's database may lift */
  TURNSERVER_USER_QUOTA,
  TURNSERVER_TOTAL_QUOTA,
  TURNSERVER_MAX_BPS,
  /* exceptions from denied peers, which the server goes on to read */
  TURNSERVER_ALLOWED_PEER,
  /* who else adds users to coturn's database */
  TURNSERVER_WEB_ADMIN
};

enum turnserver_argument { TURNSERVER_NO_VALUE = 0, TURNSERVER_VALUE, TURNSERVER_MAY_HAVE_VALUE };

struct turnserver_option {
  const char *name;
  char letter; /* its short form on the command line; 0: none */
  enum turnserver_argument argument;
  enum turnserver_meaning meaning;
};

/* All options of coturn 4.5.2 to 4.17.1, and those of the patched server. */
extern const struct turnserver_option turnserver_options[];
extern const size_t turnserver_options_count;
/* The short options of coturn's command line, as getopt takes them. */
extern const char turnserver_short_options[];

/* NULL: no version of coturn has the option. */
const struct turnserver_option *turnserver_option_find(const char *name);

#endif
