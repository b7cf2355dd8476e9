/*
 * daemon_settings.c - the settings in turncredd.conf
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "daemon_settings.h"

#include "log.h"

#include <string.h>
#include <strings.h>

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
    {"connections", SETTING_NUMBER, FIELD(connections), false, "1000", 4, 100000, "connections at the same time"},
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
    {"caller_rate", SETTING_NUMBER, FIELD(caller_rate), false, "1000", 0, 1000000,
     "requests a second of one caller; 0: no limit"},
    {"subject_rate", SETTING_NUMBER, FIELD(subject_rate), false, "60", 0, 1000000,
     "credentials a minute for one subject; 0: no limit"},
    {"subject_tokens", SETTING_NUMBER, FIELD(subject_tokens), false, "32", 0, 1024,
     "unexpired tokens of one subject; 0: no limit"},
    {"cors_origins", SETTING_TEXT, FIELD(cors_origins), false, NULL, 0, 0,
     "origins whose pages may call, separated by blanks"},
    {"public_url", SETTING_TEXT, FIELD(public_url), false, NULL, 0, 0,
     "https URL by which clients know this service, without a path"},
    {"jwt_issuer", SETTING_TEXT, FIELD(jwt_issuer), false, NULL, 0, 0,
     "iss of the portal's access tokens; without it there is no token exchange"},
    {"jwt_audience", SETTING_TEXT, FIELD(jwt_audience), false, NULL, 0, 0,
     "aud that these tokens must name: this service"},
    {"jwt_jwks", SETTING_TEXT, FIELD(jwt_jwks), false, NULL, 0, 0,
     "the portal's public keys (JWKS): path of a file, or https URL"},
    {"jwt_jwks_ca", SETTING_PATH, FIELD(jwt_jwks_ca), false, NULL, 0, 0,
     "PEM file: authorities that may certify the server of jwt_jwks, instead of the system's"},
    {"jwt_jwks_interval", SETTING_DURATION, FIELD(jwt_jwks_interval), false, "15min", CONF_SECOND, CONF_DAY,
     "how often the URL in jwt_jwks is fetched"},
    {"jwt_algorithms", SETTING_TEXT, FIELD(jwt_algorithms), false, "RS256 ES256", 0, 0,
     "algorithms that the portal's tokens may have: RS256, RS384, RS512, ES256, ES384, ES512"},
    {"jwt_subject", SETTING_TEXT, FIELD(jwt_subject), false, "sub", 0, 0, "claim that names the user"},
    {"jwt_leeway", SETTING_DURATION, FIELD(jwt_leeway), false, "5s", 0, 5 * CONF_MINUTE,
     "how far the portal's clock may differ when exp, nbf and iat are compared"},
    {"public_exchange", SETTING_BOOL, FIELD(public_exchange), false, "no", 0, 0,
     "let clients that are no callers exchange tokens"},
    {NULL, SETTING_TEXT, 0, false, NULL, 0, 0, NULL},
};

static const struct conf conf = {settings_table, "turncredd.conf(5)", "--config"};

static void warn(const char *line, void *arg) {
  (void)arg;
  log_line(LOG_WARNING, "%s", line);
}

static int wrong(char *err, size_t cap, const char *path, const char *text) {
  size_t n = strlen(path);
  if (n + strlen(text) + 3 <= cap) {
    memcpy(err, path, n);
    memcpy(err + n, ": ", 2);
    memcpy(err + n + 2, text, strlen(text) + 1);
  }
  return -1;
}

static bool asymmetric(const char *list) {
  static const char *const known[] = {"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"};
  while (*list) {
    size_t n = strcspn(list, " \t");
    bool found = n == 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
      found |= n == strlen(known[i]) && strncmp(list, known[i], n) == 0;
    }
    if (!found) {
      return false;
    }
    list += n;
    list += strspn(list, " \t");
  }
  return true;
}

bool settings_is_url(const char *text) { return !strncasecmp(text, "https://", 8); }

int settings_read(struct settings *settings, const char *path, char *err, size_t err_cap) {
  memset(settings, 0, sizeof *settings);
  if (conf_read(&conf, settings, path, warn, NULL, err, err_cap)) {
    return -1;
  }
  if (!asymmetric(settings->jwt_algorithms)) {
    return wrong(err, err_cap, path,
                 "jwt_algorithms names something other than RS256, RS384, RS512, ES256, ES384, "
                 "ES512: only asymmetric algorithms are safe here");
  }
  if (*settings->jwt_issuer && (!*settings->jwt_audience || !*settings->jwt_jwks)) {
    return wrong(err, err_cap, path, "jwt_issuer is given: jwt_audience and jwt_jwks must be too");
  }
  if (*settings->public_url && (!settings_is_url(settings->public_url) || !settings->public_url[8] ||
                                strpbrk(settings->public_url + 8, "/?#@"))) {
    return wrong(err, err_cap, path, "public_url must be https://HOST or https://HOST:PORT, without a path");
  }
  if (*settings->jwt_jwks && *settings->jwt_jwks != '/' &&
      (!settings_is_url(settings->jwt_jwks) || !settings->jwt_jwks[8])) {
    return wrong(err, err_cap, path, "jwt_jwks must be the absolute path of a file, or an https URL");
  }
  return 0;
}

const struct setting *settings_need_restart(const struct settings *a, const struct settings *b) {
  const struct setting *s = conf_difference(settings_table, a, b);
  return s && s->offset < FIELD(tls_certificate) ? s : NULL;
}

bool settings_has_word(const char *list, const char *word) {
  size_t n = strlen(word);
  for (list += strspn(list, " \t"); *list;) {
    size_t len = strcspn(list, " \t");
    if (len == n && memcmp(list, word, n) == 0) {
      return true;
    }
    list += len;
    list += strspn(list, " \t");
  }
  return false;
}
