/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "settings.h"

#include <stdio.h>
#include <string.h>

#define SECOND   INT64_C(1000)
#define MINUTE   (60 * SECOND)
#define HOUR     (60 * MINUTE)
#define DAY      (24 * HOUR)
#define FIELD(m) offsetof(struct config, m)

const struct setting config_settings[] = {
    {"database", SETTING_CONNINFO, FIELD(database), true, NULL, 0, 0,
     "libpq connection string or URI of the turncred database"},
    {"database_write", SETTING_CONNINFO, FIELD(database_write), false, NULL, 0, 0,
     "second, read-write connection for progress reports, when database names a standby or a "
     "pooler"},
    {"kek", SETTING_KEK, FIELD(kek), true, NULL, 0, 0,
     "key encryption key: file of 32 octets, folder of such files, or credential:NAME (systemd)"},
    {"instance", SETTING_TEXT, FIELD(instance), false, NULL, 0, 0,
     "unique name of this server in turncred.instance"},
    {"poll_interval", SETTING_DURATION, FIELD(poll_interval), false, "5s", 100, HOUR,
     "how often the change feed is read when no notification comes"},
    {"listen", SETTING_BOOL, FIELD(listen), false, "yes", 0, 0,
     "use LISTEN for changes within a second; no behind a transaction pooler or on a standby"},
    {"snapshot_file", SETTING_PATH, FIELD(snapshot_file), false, NULL, 0, 0,
     "sealed copy of the last snapshot, for a start while the database is away"},
    {"snapshot_max_age", SETTING_DURATION, FIELD(snapshot_max_age), false, "1d", MINUTE, 30 * DAY,
     "an older snapshot_file is refused"},
    {"wait_at_start", SETTING_DURATION, FIELD(wait_at_start), false, "10s", 0, 10 * MINUTE,
     "how long a start waits for the first snapshot; then requests get 500 until it is there"},
    {"prometheus", SETTING_LOOPBACK, FIELD(prometheus), false, NULL, 0, 0,
     "loopback address and port of a metrics endpoint, for a coturn that has none"},
    {NULL, SETTING_TEXT, 0, false, NULL, 0, 0, NULL},
};

static const struct conf conf = {config_settings, "turncred.conf(5)", "auth-module-config"};

int config_read(struct config *config, const char *path, config_warn_fn warn, void *arg, char *err,
                size_t err_cap) {
  memset(config, 0, sizeof *config);
  if (!path || !*path)
    path = CONFIG_DEFAULT_PATH;
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
