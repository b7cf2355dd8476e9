/*
 * daemon_settings.h - the settings in turncredd.conf
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * base/conf.h reads the file; the tables of settings are in daemon_settings.c and issuer_settings.c. Durations are
 * milliseconds.
 */
#ifndef TURNCREDD_DAEMON_SETTINGS_H
#define TURNCREDD_DAEMON_SETTINGS_H

#include "issuer_settings.h"
#include "store/store_settings.h"

#define SETTINGS_DEFAULT_PATH "/etc/turncred/turncredd.conf"

struct settings {
  /* read at a start; a reload does not change them */
  struct store_settings store;
  char state_dir[CONF_VALUE_MAX];
  char https[CONF_VALUE_MAX];
  char monitor[CONF_VALUE_MAX];
  int64_t threads;
  int64_t journal_entries;
  int64_t token_reserve;
  int64_t database_timeout;
  /* a reload changes these too */
  char tls_certificate[CONF_VALUE_MAX];
  char tls_key[CONF_VALUE_MAX];
  char tls_client_ca[CONF_VALUE_MAX];
  char tls_client_crl[CONF_VALUE_MAX];
  int64_t connections;
  int64_t connections_per_address;
  int64_t first_request_timeout;
  int64_t request_timeout;
  int64_t idle_timeout;
  int64_t drain_timeout;
  int64_t body_octets;
  char journal_full[CONF_VALUE_MAX];
  int64_t push_wait;
  int64_t silent_after;
  char region[CONF_VALUE_MAX];
  int64_t caller_rate;
  int64_t subject_rate;
  int64_t subject_tokens;
  char cors_origins[CONF_VALUE_MAX];
  char public_url[CONF_VALUE_MAX];
  int64_t subject_credentials;
  size_t issuer_count;
  struct issuer issuers[ISSUERS_MAX];
};

/* 0, or -1 with a sentence in err. */
int settings_read(struct settings *settings, const char *path, char *err, size_t err_cap);
/* The first setting that differs between a and b and that a reload does not change, or NULL. */
const struct setting *settings_need_restart(const struct settings *a, const struct settings *b);
/* The issuer whose url this is, letter by letter. NULL: there is none. */
const struct issuer *settings_issuer(const struct settings *settings, const char *url);

#endif
