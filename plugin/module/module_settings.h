/*
 * module_settings.h - the module's configuration file
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * conf.h reads the file and says what its lines look like; the table of settings is in
 * module_settings.c.
 */
#ifndef TURNCRED_MODULE_SETTINGS_H
#define TURNCRED_MODULE_SETTINGS_H

#include "store/store_settings.h"

#define CONFIG_DEFAULT_PATH "/etc/turncred/module.conf"
#define CONFIG_VALUE_MAX CONF_VALUE_MAX

struct config {
  char path[CONFIG_VALUE_MAX];
  struct store_settings store;
  char prometheus[CONFIG_VALUE_MAX];
  int64_t wait_at_start; /* milliseconds */
  char usage_dir[CONFIG_VALUE_MAX];
  int64_t usage_interval; /* milliseconds */
  int64_t usage_entries;
  char uris[CONFIG_VALUE_MAX]; /* canonical, separated by blanks; "": nothing is advertised */
  char region[CONFIG_VALUE_MAX];
  int64_t weight;
};

/* The table; its last row has the name NULL. */
extern const struct setting config_settings[];

typedef conf_warn_fn config_warn_fn;

/* Reads the file path (NULL or "": CONFIG_DEFAULT_PATH). 0, or -1 with "FILE:LINE: what is wrong and what to do" in
 * err. A message never repeats a value of database, which may hold a password. */
int config_read(struct config *config, const char *path, config_warn_fn warn, void *arg, char *err, size_t err_cap);
/* The first setting in which the two differ; NULL: they are the same. */
const struct setting *config_difference(const struct config *a, const struct config *b);

#endif
