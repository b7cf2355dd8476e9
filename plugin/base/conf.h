/*
 * conf.h - configuration files with one table of settings
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Lines of "name = value"; lines that begin with # are comments; the value is everything after the
 * first "=" without the blanks around it. The program's table holds every setting with its type,
 * default and help; nothing else is accepted. Values land in a struct of the program.
 */
#ifndef TURNCRED_CONF_H
#define TURNCRED_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONF_VALUE_MAX 1024 /* octets of a text, with the NUL */

/* durations, in milliseconds */
#define CONF_SECOND INT64_C(1000)
#define CONF_MINUTE (60 * CONF_SECOND)
#define CONF_HOUR (60 * CONF_MINUTE)
#define CONF_DAY (24 * CONF_HOUR)

/* What the member at the setting's offset is: */
enum setting_type {
  SETTING_TEXT,     /* char[CONF_VALUE_MAX], as all texts */
  SETTING_CONNINFO, /* text: libpq connection string or URI */
  SETTING_PATH,     /* text: absolute path */
  SETTING_KEK,      /* text: absolute path or credential:NAME */
  SETTING_DURATION, /* int64_t, milliseconds */
  SETTING_BOOL,     /* bool */
  SETTING_LOOPBACK, /* text: loopback address and port */
  SETTING_ADDRESS,  /* text: any address and port */
  SETTING_NUMBER,   /* int64_t */
  SETTING_WORD      /* text: one of the words in help, up to its first colon ("stop|go: ...") */
};

struct setting {
  const char *name;
  enum setting_type type;
  size_t offset; /* in the program's struct */
  bool required;
  const char *value; /* default, NULL: none */
  int64_t min, max;  /* of a duration (milliseconds) or number */
  const char *help;
};

#define CONF_SETTINGS_MAX 64
struct conf {
  const struct setting *settings; /* ends with a NULL name; at most CONF_SETTINGS_MAX */
  const char *manual;             /* "turncred.conf(5)": where they are all listed */
  const char *named_by;           /* what names the file: "auth-module-config", "--config" */
};

/* Told of what is accepted but unwise (a password in the file). */
typedef void (*conf_warn_fn)(const char *line, void *arg);

/* Defaults, then the file, into the struct at values, which the caller has zeroed. 0, or -1 with
 * "FILE:LINE: what is wrong and what to do" in err. No value of a connection string is ever
 * repeated in a message: it may hold a password. */
int conf_read(const struct conf *conf, void *values, const char *path, conf_warn_fn warn, void *arg, char *err,
              size_t err_cap);
/* The first setting in which the two structs differ, from setting first on, or NULL. */
const struct setting *conf_difference(const struct setting *first, const void *a, const void *b);

/* Address and port: "127.0.0.1:9641", "[::1]:9641". 0 or -1. */
struct sockaddr_storage;
int conf_address(const char *text, struct sockaddr_storage *addr);
/* The same, loopback only. */
int conf_loopback(const char *text, struct sockaddr_storage *addr);

#endif
