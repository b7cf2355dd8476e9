/*
 * daemon_settings.c - the settings in turncredd.conf
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "daemon_settings.h"

#include "base/fail.h"
#include "base/origin.h"
#include "base/region.h"
#include "base/words.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FIELD(m) offsetof(struct settings, m)

static const struct setting settings_table[] = {
    STORE_SETTINGS(FIELD),
    {"state_dir", SETTING_PATH, FIELD(state_dir), true, NULL, 0, 0,
     "folder of the journal of issues, for this instance alone, on a disk that keeps what is synced"},
    {"https", SETTING_ADDRESS, FIELD(https), true, NULL, 0, 0, "address and port of the service"},
    {"monitor", SETTING_LOOPBACK, FIELD(monitor), false, NULL, 0, 0,
     "loopback address and port of /healthz, /readyz and /metrics without TLS"},
    {"threads", SETTING_NUMBER, FIELD(threads), false, "4", 1, 64, "threads that answer requests"},
    {"journal_entries", SETTING_NUMBER, FIELD(journal_entries), false, "100000", 16, 10000000,
     "issues that the journal holds while the database is away"},
    {"token_reserve", SETTING_NUMBER, FIELD(token_reserve), false, "65536", 1, 16777216,
     "tokens that are reserved at a time under each key, of the 2^32 that a key may sign"},
    {"database_timeout", SETTING_DURATION, FIELD(database_timeout), false, "3s", 100, CONF_MINUTE,
     "how long a push waits for the database to answer"},
    {"tls_certificate", SETTING_PATH, FIELD(tls_certificate), true, NULL, 0, 0, "PEM file: certificate and its chain"},
    {"tls_key", SETTING_PATH, FIELD(tls_key), true, NULL, 0, 0, "PEM file: private key of the certificate"},
    {"tls_client_ca", SETTING_PATH, FIELD(tls_client_ca), false, NULL, 0, 0,
     "PEM file: authorities whose client certificates callers may show"},
    {"tls_client_crl", SETTING_PATH, FIELD(tls_client_crl), false, NULL, 0, 0,
     "PEM file: revocation lists of these authorities, one of each"},
    {"connections", SETTING_NUMBER, FIELD(connections), false, "1000", 4, 100000, "connections at the same time"},
    {"connections_per_address", SETTING_NUMBER, FIELD(connections_per_address), false, "256", 1, 100000,
     "connections of one address (of one /64 of IPv6) on which no caller has authenticated"},
    {"first_request_timeout", SETTING_DURATION, FIELD(first_request_timeout), false, "3s", 100, 10 * CONF_MINUTE,
     "a new connection that begins no request within this time is closed"},
    {"request_timeout", SETTING_DURATION, FIELD(request_timeout), false, "10s", 100, 10 * CONF_MINUTE,
     "a connection whose request takes longer to arrive is closed"},
    {"idle_timeout", SETTING_DURATION, FIELD(idle_timeout), false, "1min", CONF_SECOND, CONF_HOUR,
     "a connection that brings no request for this time is closed"},
    {"drain_timeout", SETTING_DURATION, FIELD(drain_timeout), false, "20s", 0, 10 * CONF_MINUTE,
     "how long a stop waits for requests that are being answered"},
    {"body_octets", SETTING_NUMBER, FIELD(body_octets), false, "16384", 1024, 1048576,
     "a longer request body is refused"},
    {"journal_full", SETTING_WORD, FIELD(journal_full), false, "stop", 0, 0,
     "stop|continue: stop refuses to issue while the journal is full, continue issues without a record"},
    {"push_wait", SETTING_DURATION, FIELD(push_wait), false, "3s", 0, CONF_MINUTE,
     "how long a push waits for the live TURN servers before it is answered with 202"},
    {"silent_after", SETTING_DURATION, FIELD(silent_after), false, "1min", 15 * CONF_SECOND, CONF_DAY,
     "a TURN server that has not reported for so long is no live one; servers report every 10 s"},
    {"region", SETTING_TEXT, FIELD(region), false, NULL, 0, 0,
     "whose TURN servers come first for requests that name no region"},
    {"caller_rate", SETTING_NUMBER, FIELD(caller_rate), false, "1000", 0, 1000000,
     "requests a second of one caller; 0: no limit"},
    {"subject_rate", SETTING_NUMBER, FIELD(subject_rate), false, "60", 0, 1000000,
     "credentials a minute for one subject; 0: no limit"},
    {"subject_tokens", SETTING_NUMBER, FIELD(subject_tokens), false, "32", 0, 1024,
     "unexpired tokens of one subject; 0: no limit"},
    {"subject_credentials", SETTING_NUMBER, FIELD(subject_credentials), false, "256", 0, 4096,
     "unexpired derived or REST credentials that a user has got with access tokens; 0: no limit"},
    {"cors_origins", SETTING_TEXT, FIELD(cors_origins), false, NULL, 0, 0,
     "origins whose pages may call, separated by blanks"},
    {"public_url", SETTING_TEXT, FIELD(public_url), false, NULL, 0, 0,
     "https URL by which clients know this service, without a path"},
    {NULL, SETTING_TEXT, 0, false, NULL, 0, 0, NULL},
};

static void *begin_issuer(void *values, const char *name) {
  struct settings *s = values;
  for (size_t i = 0; i < s->issuer_count; i++) {
    if (!strcmp(s->issuers[i].name, name)) {
      return NULL;
    }
  }
  if (s->issuer_count == ISSUERS_MAX) {
    return NULL;
  }
  struct issuer *issuer = &s->issuers[s->issuer_count++];
  snprintf(issuer->name, sizeof issuer->name, "%s", name);
  return issuer;
}

static const struct conf_sections sections = {"issuer", issuer_settings, begin_issuer, ISSUERS_MAX};

#define IN_SECTIONS                                                                                                    \
  "issuers have sections [issuer NAME] with url, audience, jwks and realms: ISSUERS in turncredd.conf(5)"
static const struct conf_gone gone[] = {{"jwt_*", IN_SECTIONS}, {"public_exchange", IN_SECTIONS}, {NULL, NULL}};

static const struct conf conf = {settings_table, "turncredd.conf(5)", "--config", &sections, gone};

static void warn(const char *line, void *arg) {
  (void)arg;
  log_line(LOG_WARNING, "%s", line);
}

static int wrong(char *err, size_t cap, const char *path, const char *text) {
  fail_with(EINVAL, err, cap, "%s: %s", path, text);
  return -1;
}

/* Brings the origins of a list into the spelling in which browsers send them. */
static int read_origins(char list[CONF_VALUE_MAX], const char *path, char *err, size_t cap) {
  char out[CONF_VALUE_MAX] = "", origin[ORIGIN_TEXT], why[200], text[CONF_VALUE_MAX + 300], *save = NULL;
  size_t n = 0;
  for (char *word = strtok_r(list, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
    if (origin_canonical(word, origin, why, sizeof why)) {
      snprintf(text, sizeof text, "cors_origins: \"%.200s\": %s", word, why);
      return wrong(err, cap, path, text);
    }
    if (n + strlen(origin) + 2 > sizeof out) { /* [::1:2] becomes [::0.1.0.2] */
      snprintf(text, sizeof text, "cors_origins: longer than %d octets, as browsers spell them", CONF_VALUE_MAX - 1);
      return wrong(err, cap, path, text);
    }
    n += (size_t)snprintf(out + n, sizeof out - n, "%s%s", n ? " " : "", origin);
  }
  memcpy(list, out, sizeof out);
  return 0;
}

/* Takes an https URL without a path, as an origin is spelled. */
static int read_public_url(char url[CONF_VALUE_MAX], const char *path, char *err, size_t cap) {
  char origin[ORIGIN_TEXT], why[200];
  if (!*url) {
    return 0;
  }
  if (!words_are_url(url) || origin_canonical(url, origin, why, sizeof why)) {
    return wrong(err, cap, path, "public_url must be https://HOST or https://HOST:PORT, without a path");
  }
  snprintf(url, CONF_VALUE_MAX, "%s", origin);
  return 0;
}

/* Two sections with one url would be one issuer with two sets of rules. */
static int check_issuers(struct settings *s, const char *path, char *err, size_t cap) {
  char text[900];
  for (size_t i = 0; i < s->issuer_count; i++) {
    if (issuer_check(&s->issuers[i], text, sizeof text)) {
      return wrong(err, cap, path, text);
    }
    if (settings_issuer(s, s->issuers[i].url) != &s->issuers[i]) {
      snprintf(text, sizeof text, "[issuer %s]: another section has this url already", s->issuers[i].name);
      return wrong(err, cap, path, text);
    }
  }
  return 0;
}

int settings_read(struct settings *settings, const char *path, char *err, size_t err_cap) {
  memset(settings, 0, sizeof *settings);
  if (conf_read(&conf, settings, path, warn, NULL, err, err_cap)) {
    return -1;
  }
  if (!region_is_name(settings->region)) {
    return wrong(err, err_cap, path, "region: " REGION_RULE);
  }
  if (*settings->tls_client_crl && !*settings->tls_client_ca) {
    return wrong(err, err_cap, path, "tls_client_crl is given: tls_client_ca must be too");
  }
  if (read_public_url(settings->public_url, path, err, err_cap) ||
      read_origins(settings->cors_origins, path, err, err_cap)) {
    return -1;
  }
  return check_issuers(settings, path, err, err_cap);
}

const struct issuer *settings_issuer(const struct settings *s, const char *url) {
  for (size_t i = 0; i < s->issuer_count; i++) {
    if (!strcmp(s->issuers[i].url, url)) {
      return &s->issuers[i];
    }
  }
  return NULL;
}

const struct setting *settings_need_restart(const struct settings *a, const struct settings *b) {
  const struct setting *s = conf_difference(settings_table, a, b);
  return s && s->offset < FIELD(tls_certificate) ? s : NULL;
}
