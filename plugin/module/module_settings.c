/*
 * module_settings.c - the table of settings in the module's configuration file
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "module_settings.h"

#include <stdio.h>
#include <string.h>

#define FIELD(m) offsetof(struct config, m)

const struct setting config_settings[] = {
    STORE_SETTINGS(FIELD),
    {"wait_at_start", SETTING_DURATION, FIELD(wait_at_start), false, "10s", 0, 10 * CONF_MINUTE,
     "how long a start waits for the first snapshot; then requests get 500 until it is there"},
    {"prometheus", SETTING_LOOPBACK, FIELD(prometheus), false, NULL, 0, 0,
     "loopback address and port of a metrics endpoint, for a coturn that has none"},
    {NULL, SETTING_TEXT, 0, false, NULL, 0, 0, NULL},
};

static const struct conf conf = {config_settings, "turncred.conf(5)", "auth-module-config"};

int config_read(struct config *config, const char *path, config_warn_fn warn, void *arg, char *err, size_t err_cap) {
  memset(config, 0, sizeof *config);
  if (!path || !*path) {
    path = CONFIG_DEFAULT_PATH;
  }
  if (strlen(path) >= sizeof config->path) {
    snprintf(err, err_cap, "%s: the path is too long", path);
    return -1;
  }
  memcpy(config->path, path, strlen(path) + 1);
  return conf_read(&conf, config, path, warn, arg, err, err_cap);
}

const struct setting *config_difference(const struct config *a, const struct config *b) {
  return conf_difference(config_settings, a, b);
}
