/*
 * daemon_settings.h - turncredd.conf
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * As conf.h reads it; the table is in daemon_settings.c. Durations are milliseconds.
 */
#ifndef TURNCREDD_DAEMON_SETTINGS_H
#define TURNCREDD_DAEMON_SETTINGS_H

#include "store/store_settings.h"

#define SETTINGS_DEFAULT_PATH "/etc/turncred/turncredd.conf"

struct settings {
  /* taken at a start only */
  struct store_settings store;
  char state_dir[CONF_VALUE_MAX];
  char https[CONF_VALUE_MAX];
  char monitor[CONF_VALUE_MAX];
  int64_t threads;
  int64_t journal_entries;
  int64_t token_reserve;
  int64_t database_timeout;
  /* also by a reload */
  char tls_certificate[CONF_VALUE_MAX];
  char tls_key[CONF_VALUE_MAX];
  char tls_client_ca[CONF_VALUE_MAX];
  int64_t connections;
  int64_t request_timeout;
  int64_t idle_timeout;
  int64_t drain_timeout;
  int64_t body_octets;
  char journal_full[CONF_VALUE_MAX];
  int64_t push_wait;
  int64_t caller_rate;
  int64_t subject_rate;
  int64_t subject_tokens;
  char cors_origins[CONF_VALUE_MAX];
  char public_url[CONF_VALUE_MAX];
  char jwt_issuer[CONF_VALUE_MAX];
  char jwt_audience[CONF_VALUE_MAX];
  char jwt_jwks[CONF_VALUE_MAX];
  char jwt_jwks_ca[CONF_VALUE_MAX];
  int64_t jwt_jwks_interval;
  char jwt_algorithms[CONF_VALUE_MAX];
  char jwt_subject[CONF_VALUE_MAX];
  int64_t jwt_leeway;
  bool public_exchange;
};

/* Ends with a NULL name. */
extern const struct setting settings_table[];

/* 0, or -1 with a message in err. */
int settings_read(struct settings *settings, const char *path, char *err, size_t err_cap);
/* The first setting that differs and that a reload does not change, or NULL. */
const struct setting *settings_need_restart(const struct settings *a, const struct settings *b);
/* Is it an https URL, not a path? */
bool settings_is_url(const char *text);
/* True if word stands in a list of words separated by blanks. */
bool settings_has_word(const char *list, const char *word);

#endif
