/*
 * store_settings.h - the settings of a store, which every program that has one reads from its own file
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A program has a member "struct store_settings store" in its struct of settings, and
 * STORE_SETTINGS(FIELD) among the rows of its table; FIELD(member) is the member's offset.
 */
#ifndef TURNCRED_STORE_SETTINGS_H
#define TURNCRED_STORE_SETTINGS_H

#include "base/conf.h"
#include "store.h"

struct store_settings {
  char database[CONF_VALUE_MAX];
  char database_write[CONF_VALUE_MAX]; /* "": database is written to */
  char kek[CONF_VALUE_MAX];
  char plain_realms[CONF_VALUE_MAX];  /* whose keys and credentials may be unsealed; *: all */
  char instance[CONF_VALUE_MAX];      /* "": the program chooses a name */
  char snapshot_file[CONF_VALUE_MAX]; /* "": no copy is kept */
  int64_t snapshot_max_age;           /* milliseconds */
  int64_t poll_interval;              /* milliseconds */
  bool listen;
};

/* clang-format off */
#define STORE_SETTINGS(FIELD)                                                                      \
    {"database", SETTING_CONNINFO, FIELD(store.database), true, NULL, 0, 0,                        \
     "libpq connection string or URI of the turncred database"},                                   \
    {"database_write", SETTING_CONNINFO, FIELD(store.database_write), false, NULL, 0, 0,           \
     "second, read-write connection, when database names a standby or a pooler"},                  \
    {"kek", SETTING_KEK, FIELD(store.kek), true, NULL, 0, 0,                                       \
     "key encryption key: file of 32 octets, folder of such files, or credential:NAME (systemd)"}, \
    {"plain_realms", SETTING_TEXT, FIELD(store.plain_realms), false, "*", 0, 0,                    \
     "realms whose keys and credentials may be unsealed, separated by blanks; *: all; none: none"},\
    {"instance", SETTING_TEXT, FIELD(store.instance), false, NULL, 0, 0,                           \
     "unique name of this server or issuer in turncred.instance"},                                 \
    {"poll_interval", SETTING_DURATION, FIELD(store.poll_interval), false, "5s", 100, CONF_HOUR,   \
     "how often the database is asked for changes when no notification comes"},                    \
    {"listen", SETTING_BOOL, FIELD(store.listen), false, "yes", 0, 0,                              \
     "use LISTEN for changes within a second; no behind a transaction pooler or on a standby"},    \
    {"snapshot_file", SETTING_PATH, FIELD(store.snapshot_file), false, NULL, 0, 0,                 \
     "sealed copy of the last snapshot, for a start while the database is away"},                  \
    {"snapshot_max_age", SETTING_DURATION, FIELD(store.snapshot_max_age), false, "1d",             \
     CONF_MINUTE, 30 * CONF_DAY, "an older snapshot_file is refused"}
/* clang-format on */

/* Sets the members of config that the settings decide. Texts are not copied: the settings live as
 * long as config is used. */
void store_settings_apply(const struct store_settings *settings, struct store_config *config);

#endif
