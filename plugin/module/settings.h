/*
 * settings.h - the module's configuration file
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * As conf.h reads it; the table of settings is in settings.c.
 */
#ifndef TURNCRED_SETTINGS_H
#define TURNCRED_SETTINGS_H

#include "store/store_settings.h"

#define CONFIG_DEFAULT_PATH "/etc/turncred/module.conf"
#define CONFIG_VALUE_MAX    CONF_VALUE_MAX

struct config {
  char path[CONFIG_VALUE_MAX];
  struct store_settings store;
  char prometheus[CONFIG_VALUE_MAX];
  int64_t wait_at_start; /* milliseconds */
};

/* Ends with a NULL name. */
extern const struct setting config_settings[];

typedef conf_warn_fn config_warn_fn;

/* Reads path ("": CONFIG_DEFAULT_PATH). 0, or -1 with "FILE:LINE: what is wrong and what to do" in
 * err. No value of database is ever repeated in a message: it may hold a password. */
int config_read(struct config *config, const char *path, config_warn_fn warn, void *arg, char *err,
                size_t err_cap);
/* The first setting (of those that take effect only at a start) in which the two differ, or NULL.
 */
const struct setting *config_difference(const struct config *a, const struct config *b);

#endif
