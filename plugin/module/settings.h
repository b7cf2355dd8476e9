/*
 * settings.h - the module's configuration file
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Lines of "name = value"; lines that begin with # are comments; the value is everything after the
 * first "=" without the blanks around it. One table (settings.c) holds every setting with its type,
 * default and help; nothing else is accepted.
 */
#ifndef TURNCRED_SETTINGS_H
#define TURNCRED_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_DEFAULT_PATH "/etc/turncred/module.conf"
#define CONFIG_VALUE_MAX    1024

struct config {
  char path[CONFIG_VALUE_MAX];
  char database[CONFIG_VALUE_MAX];
  char database_write[CONFIG_VALUE_MAX];
  char kek[CONFIG_VALUE_MAX];
  char instance[CONFIG_VALUE_MAX];
  char snapshot_file[CONFIG_VALUE_MAX];
  char prometheus[CONFIG_VALUE_MAX];
  int64_t snapshot_max_age; /* milliseconds, as all durations here */
  int64_t poll_interval;
  int64_t wait_at_start;
  bool listen;
};

enum setting_type {
  SETTING_TEXT,
  SETTING_CONNINFO,
  SETTING_PATH,
  SETTING_KEK,
  SETTING_DURATION,
  SETTING_BOOL,
  SETTING_LOOPBACK
};

struct setting {
  const char *name;
  enum setting_type type;
  size_t offset; /* in struct config */
  bool required;
  const char *value; /* default, NULL: none */
  int64_t min, max;  /* of a duration, milliseconds */
  const char *help;
};
/* Ends with a NULL name. */
extern const struct setting config_settings[];

/* Told of what is accepted but unwise (a password in the file). */
typedef void (*config_warn_fn)(const char *line, void *arg);

/* Reads path ("": CONFIG_DEFAULT_PATH). 0, or -1 with "FILE:LINE: what is wrong and what to do" in
 * err. No value of database is ever repeated in a message: it may hold a password. */
int config_read(struct config *config, const char *path, config_warn_fn warn, void *arg, char *err,
                size_t err_cap);
/* Host and port of a loopback address and port: "127.0.0.1:9641", "[::1]:9641". 0 or -1. */
struct sockaddr_storage;
int config_loopback(const char *text, struct sockaddr_storage *addr);
/* The first setting (of those that take effect only at a start) in which the two differ, or NULL.
 */
const struct setting *config_difference(const struct config *a, const struct config *b);

#endif
