/*
 * module_settings.c - the table of settings in the module's configuration file
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "module_settings.h"

#include "base/region.h"
#include "base/turn_uri.h"

#include <stdio.h>
#include <string.h>

#define FIELD(m) offsetof(struct config, m)

const struct setting config_settings[] = {
    STORE_SETTINGS(FIELD),
    {"wait_at_start", SETTING_DURATION, FIELD(wait_at_start), false, "10s", 0, 10 * CONF_MINUTE,
     "how long a start waits for the first snapshot; then requests get 500 until it is there"},
    {"prometheus", SETTING_LOOPBACK, FIELD(prometheus), false, NULL, 0, 0,
     "loopback address and port of a metrics endpoint, for a coturn that has none"},
    {"usage_dir", SETTING_PATH, FIELD(usage_dir), false, "/var/lib/turncred/usage", 0, 0,
     "folder of the journal of sessions; it is made when a realm first has sessions recorded"},
    {"usage_interval", SETTING_DURATION, FIELD(usage_interval), false, "60s", 200, CONF_HOUR,
     "how often the database is told what a living session has used so far"},
    {"usage_entries", SETTING_NUMBER, FIELD(usage_entries), false, "500000", 1000, 100000000,
     "how many starts and ends of sessions the journal keeps while the database is away"},
    {"uris", SETTING_TEXT, FIELD(uris), false, NULL, 0, 0,
     "TURN URIs by which clients reach this server, separated by blanks; issuers name it while it lives"},
    {"region", SETTING_TEXT, FIELD(region), false, NULL, 0, 0,
     "where this server is; issuers prefer servers of a region"},
    {"weight", SETTING_NUMBER, FIELD(weight), false, "100", 1, 1000,
     "how often this server is named, relative to others"},
    {NULL, SETTING_TEXT, 0, false, NULL, 0, 0, NULL},
};

static const struct conf conf = {config_settings, "turncred.conf(5)", "auth-module-config", NULL, NULL};

#define URIS_MAX 16 /* as in the database */

/* Brings the URIs of the list into their one spelling. */
static int read_uris(struct config *config, char *err, size_t cap) {
  char out[CONFIG_VALUE_MAX] = "", uri[TURN_URI_TEXT], why[200], *save = NULL;
  size_t n = 0, count = 0;
  for (char *word = strtok_r(config->uris, " ,\t", &save); word; word = strtok_r(NULL, " ,\t", &save)) {
    if (turn_uri_canonical(word, uri, why, sizeof why)) {
      snprintf(err, cap, "%.255s: uris: \"%.255s\": %s", config->path, word, why);
      return -1;
    }
    if (++count > URIS_MAX || n + strlen(uri) + 2 > sizeof out) {
      snprintf(err, cap, "%.255s: uris: at most %d URIs and %d octets", config->path, URIS_MAX, CONFIG_VALUE_MAX - 1);
      return -1;
    }
    n += (size_t)snprintf(out + n, sizeof out - n, "%s%s", n ? " " : "", uri);
  }
  memcpy(config->uris, out, sizeof out);
  return 0;
}

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
  if (conf_read(&conf, config, path, warn, arg, err, err_cap) || read_uris(config, err, err_cap)) {
    return -1;
  }
  if (!region_is_name(config->region)) {
    snprintf(err, err_cap, "%.255s: region: " REGION_RULE, config->path);
    return -1;
  }
  return 0;
}

const struct setting *config_difference(const struct config *a, const struct config *b) {
  return conf_difference(config_settings, a, b);
}
