/*
 * conf.h - configuration files with one table of settings
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Lines of "name = value"; lines that begin with # are comments; the value is everything after the
 * first "=" without the blanks around it. The program's table holds every setting with its type,
 * default and help; nothing else is accepted. Values land in a struct of the program. A line "[KIND NAME]"
 * begins a section, which ends with the file or the next section, and has a table and a struct of its own.
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
#define CONF_NAME_MAX 64 /* octets of a section's name, with the NUL */

/* The sections of a file. */
struct conf_sections {
  const char *kind;               /* "issuer": a section begins with "[issuer NAME]" */
  const struct setting *settings; /* as in struct conf */
  /* The struct, zeroed, into which the values of a new section go; values: the file's own. NULL: there is room for no
   * more sections, of which max are allowed. name: letters, digits, dots, dashes and underscores. */
  void *(*begin)(void *values, const char *name);
  int max;
};

/* A setting of earlier versions. */
struct conf_gone {
  const char *name;   /* or, with a * at the end, how names begin; NULL ends the list */
  const char *remedy; /* what to write instead */
};

struct conf {
  const struct setting *settings;       /* ends with a NULL name; at most CONF_SETTINGS_MAX */
  const char *manual;                   /* "turncred.conf(5)": where they are all listed */
  const char *named_by;                 /* what names the file: "auth-module-config", "--config" */
  const struct conf_sections *sections; /* NULL: the file has none */
  const struct conf_gone *gone;         /* NULL: there are none */
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

/* Whether libpq can read this connection string; *password: whether it holds one. 0, or -1 with
 * "is not ..." in err, which repeats no part of it. */
int conf_conninfo(const char *text, bool *password, char *err, size_t err_cap);
/* Does this look like a setting's name? Messages repeat nothing else: it may be part of a connection string. */
bool conf_is_name(const char *text);
/* A file's first line without the byte order mark that some editors put in front of it. */
char *conf_behind_mark(char *line);

/* Address and port: "127.0.0.1:9641", "[::1]:9641". An IPv4-mapped address becomes IPv4. 0 or -1. */
struct sockaddr_storage;
int conf_address(const char *text, struct sockaddr_storage *addr);
/* The same, loopback only. */
int conf_loopback(const char *text, struct sockaddr_storage *addr);

#endif
