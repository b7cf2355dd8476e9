/*
 * store_settings.c - the settings of a store
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "store_settings.h"

static const char *text_or_null(const char *text) { return *text ? text : NULL; }

void store_settings_apply(const struct store_settings *settings, struct store_config *config) {
  config->conninfo = settings->database;
  config->conninfo_write = text_or_null(settings->database_write);
  config->kek_path = settings->kek;
  config->plain_realms = settings->plain_realms;
  config->instance = text_or_null(settings->instance);
  config->snapshot_path = text_or_null(settings->snapshot_file);
  config->snapshot_max_age = (uint32_t)(settings->snapshot_max_age / 1000);
  config->poll_ms = (uint32_t)settings->poll_interval;
  config->listen = settings->listen;
}
