/*
 * rules.c - a module for tests: every grant is written out in its configuration, or in the token
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * auth-module-config is words separated by blanks. A word with "=" before any ":" is a setting:
 *   realm=NAME               the realm that is challenged (else coturn's own)
 *   realm.ORIGIN=NAME        the same, for an ORIGIN
 *   realm.PORT=NAME          the same, for a local port
 *   server=NAME              THIRD-PARTY-AUTHORIZATION: tokens are offered and accepted
 *   tokens=0                 tokens are neither offered nor accepted
 *   challenge=VERDICT        challenge() does nothing but answer with this number
 *   deny-peer=ADDRESS        host->deny_peer()
 *   peers.REALM=TEXT         check_peer() lets sessions of this realm have only the peer with this address
 *   decline=1                unknown users are declined, not denied
 *   drain=CODE               what allocate() answers while the host is drained; 300: to 127.0.0.1, port 9
 *   away=NONCE               allocate() sends the user "away" there with this nonce
 *   known=NONCE              accept_nonce() knows this nonce
 * Any other word is a user, "name:PROPERTY,PROPERTY...". A token's octets are properties, too:
 *   password=TEXT key=HEX    the key of MESSAGE-INTEGRITY
 *   expires=+N policy=strict|grace|allocate grace=N
 *   identity=TEXT quota=TEXT display=TEXT accounting=REALM user-quota=N total-quota=N max-bps=N
 *   deny=CODE/REASON-NUMBER  the verdict
 *   decline=1                the verdict
 *   bound=REASON-NUMBER      the result of session_bound()
 *   pend=MS                  answer after so long, from another thread
 * reload() closes all sessions, stop() logs the counters.
 */
#include "coturn_auth_module.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Not time(), whose clock may be a tick behind the host's. */
static int64_t now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (int64_t)ts.tv_sec;
}

#define SESSIONS_MAX 64

static struct {
  const struct coturn_auth_host *host;
  char config[2048];
  pthread_mutex_t mutex;
  uint64_t sessions[SESSIONS_MAX];
  uint64_t asked;
} rules = {.mutex = PTHREAD_MUTEX_INITIALIZER};

struct answer {
  struct coturn_auth_handle handle;
  enum coturn_auth_verdict verdict;
  unsigned milliseconds;
  struct coturn_auth_grant grant;
  struct coturn_auth_denial denial;
};

/* The value of "name=" in text, up to the separator. 0, or -1 if there is none. */
static int property(const char *text, const char *name, char separator, char *value, size_t size) {
  size_t n = strlen(name);
  const char *p = text;
  while (p && *p) {
    const char *end = strchr(p, separator);
    size_t len = end ? (size_t)(end - p) : strlen(p);
    if (len > n && p[n] == '=' && !memcmp(p, name, n)) {
      snprintf(value, size, "%.*s", (int)(len - n - 1), p + n + 1);
      return 0;
    }
    p = end ? end + 1 : NULL;
  }
  return -1;
}

static int setting(const char *name, char *value, size_t size) {
  return property(rules.config, name, ' ', value, size);
}

static long number(const char *text, const char *name) {
  char value[32];
  return property(text, name, ',', value, sizeof(value)) ? 0 : atol(value);
}

/* The properties of a user. */
static int find_user(const char *name, char *text, size_t size) {
  size_t n = strlen(name);
  const char *p = rules.config;
  while (*p) {
    size_t word = strcspn(p, " ");
    if (word > n && p[n] == ':' && !memcmp(p, name, n)) {
      snprintf(text, size, "%.*s", (int)(word - n - 1), p + n + 1);
      return 0;
    }
    p += word;
    p += strspn(p, " ");
  }
  return -1;
}

static void fill_key(const char *text, const char *username, const char *realm, struct coturn_auth_grant *g) {
  char value[256], all[1024];
  unsigned int len = 0, octet;
  if (!property(text, "key", ',', value, sizeof(value))) {
    while (len < sizeof(g->key) && sscanf(value + 2 * (size_t)len, "%2x", &octet) == 1) {
      g->key[len++] = (uint8_t)octet;
    }
  } else if (!property(text, "password", ',', value, sizeof(value))) {
    snprintf(all, sizeof(all), "%s:%s:%s", username, realm, value);
    EVP_Digest(all, strlen(all), g->key, &len, EVP_md5(), NULL);
  }
  g->key_len = len;
}

static void fill_answer(const char *text, const struct coturn_auth_request *request, struct answer *a) {
  struct coturn_auth_grant *g = &a->grant;
  char value[256];
  a->milliseconds = (unsigned)number(text, "pend");
  if (!property(text, "deny", ',', value, sizeof(value))) {
    const char *reason = strchr(value, '/');
    a->verdict = COTURN_AUTH_DENIED;
    a->denial.error_code = (uint16_t)atoi(value);
    a->denial.reason = (uint16_t)(reason ? atoi(reason + 1) : 0);
    return;
  }
  if (number(text, "decline")) {
    a->verdict = COTURN_AUTH_DECLINED;
    return;
  }
  a->verdict = COTURN_AUTH_GRANTED;
  fill_key(text, request->username, request->realm, g);
  if (number(text, "expires")) {
    g->expires = now() + number(text, "expires");
  }
  if (!property(text, "policy", ',', value, sizeof(value))) {
    g->expiry_policy = !strcmp(value, "grace")      ? COTURN_AUTH_EXPIRY_GRACE
                       : !strcmp(value, "allocate") ? COTURN_AUTH_EXPIRY_ALLOCATE
                                                    : COTURN_AUTH_EXPIRY_STRICT;
  }
  g->grace_seconds = (uint32_t)number(text, "grace");
  g->user_quota = (uint32_t)number(text, "user-quota");
  g->total_quota = (uint32_t)number(text, "total-quota");
  g->max_bps = (uint64_t)number(text, "max-bps");
  g->ref = (uint64_t)number(text, "bound") << 32 | ++rules.asked;
  if (!property(text, "identity", ',', value, sizeof(value))) {
    g->identity_len = (uint32_t)strnlen(value, sizeof(g->identity));
    memcpy(g->identity, value, g->identity_len);
  }
  property(text, "quota", ',', g->quota_name, sizeof(g->quota_name));
  property(text, "display", ',', g->display_name, sizeof(g->display_name));
  property(text, "accounting", ',', g->accounting_realm, sizeof(g->accounting_realm));
}

static void *answer_later(void *arg) {
  struct answer *a = arg;
  usleep(a->milliseconds * 1000);
  rules.host->complete(&a->handle, a->verdict, &a->grant, &a->denial);
  free(a);
  return NULL;
}

static int init(const struct coturn_auth_host *host, const char *config, void **state) {
  char value[64];
  struct sockaddr_in peer = {.sin_family = AF_INET};
  static const struct coturn_auth_counter asked = {
      .header = COTURN_AUTH_HEADER(asked), .name = "rules_asked", .help = "questions", .value = &rules.asked};
  rules.host = host;
  *state = &rules;
  snprintf(rules.config, sizeof(rules.config), "%s", config);
  if (!setting("deny-peer", value, sizeof(value)) &&
      (inet_pton(AF_INET, value, &peer.sin_addr) != 1 || host->deny_peer((const struct sockaddr *)&peer))) {
    return -1;
  }
  if (!setting("reports", value, sizeof(value)) && host->report_sessions((uint32_t)strtoul(value, NULL, 10))) {
    return -1;
  }
  return host->register_counter(&asked);
}

static enum coturn_auth_verdict challenge(void *state, const struct coturn_auth_challenge_request *request,
                                          struct coturn_auth_challenge *c) {
  char name[300], value[300];
  int port = 0;
  (void)state;
  if (!setting("challenge", value, sizeof(value))) {
    return (enum coturn_auth_verdict)atoi(value);
  }
  if (request->local_addr && request->local_addr->sa_family == AF_INET) {
    port = ntohs(((const struct sockaddr_in *)request->local_addr)->sin_port);
  }
  snprintf(name, sizeof(name), "realm.%s", request->origin);
  if (!*request->origin || setting(name, value, sizeof(value))) {
    snprintf(name, sizeof(name), "realm.%d", port);
    if (setting(name, value, sizeof(value)) && setting("realm", value, sizeof(value))) {
      snprintf(value, sizeof(value), "%s", request->realm);
    }
  }
  snprintf(c->realm, sizeof(c->realm), "%.127s", value);
  c->offers_tokens = !setting("server", value, sizeof(value));
  if (c->offers_tokens) {
    snprintf(c->server_name, sizeof(c->server_name), "%.255s", value);
  }
  c->accepts_tokens = setting("tokens", value, sizeof(value)) || strcmp(value, "0") != 0;
  return COTURN_AUTH_GRANTED;
}

static enum coturn_auth_verdict authenticate(void *state, const struct coturn_auth_request *request,
                                             struct coturn_auth_grant *grant, struct coturn_auth_denial *denial) {
  struct answer a = {.grant.header = COTURN_AUTH_HEADER(struct coturn_auth_grant),
                     .denial.header = COTURN_AUTH_HEADER(struct coturn_auth_denial)};
  char text[1024], line[256], value[8];
  (void)state;
  snprintf(line, sizeof(line), "rules: asked about %.100s why=0x%x flags=0x%x method=%d token=%d", request->username,
           request->why, request->flags, request->method, request->access_token != NULL);
  rules.host->log(COTURN_AUTH_LOG_INFO, line);
  if (request->access_token) {
    snprintf(text, sizeof(text), "%.*s", (int)request->access_token_len, (const char *)request->access_token);
  } else if (find_user(request->username, text, sizeof(text))) {
    if (!setting("decline", value, sizeof(value))) {
      return COTURN_AUTH_DECLINED;
    }
    denial->reason = COTURN_AUTH_REASON_UNKNOWN_USER;
    return COTURN_AUTH_DENIED;
  }
  fill_answer(text, request, &a);
  if (a.milliseconds) {
    struct answer *later = malloc(sizeof(*later));
    pthread_t thread;
    *later = a;
    later->handle = request->handle;
    if (pthread_create(&thread, NULL, answer_later, later)) {
      free(later);
      denial->error_code = 500;
      denial->reason = COTURN_AUTH_REASON_STORE_UNAVAILABLE;
      return COTURN_AUTH_DENIED;
    }
    pthread_detach(thread);
    return COTURN_AUTH_PENDING;
  }
  *grant = a.grant;
  *denial = a.denial;
  return a.verdict;
}

static int session_bound(void *state, const struct coturn_auth_session *session) {
  char line[300];
  size_t i;
  (void)state;
  if (session->ref >> 32) {
    return (int)(session->ref >> 32);
  }
  snprintf(line, sizeof(line), "rules: bound %.100s quota=%.60s realm=%s previous=%llu", session->username,
           session->quota_name, session->realm, (unsigned long long)session->previous_ref);
  rules.host->log(COTURN_AUTH_LOG_INFO, line);
  pthread_mutex_lock(&rules.mutex);
  for (i = 0; i < SESSIONS_MAX && rules.sessions[i] && rules.sessions[i] != session->session; ++i)
    ;
  if (i < SESSIONS_MAX) {
    rules.sessions[i] = session->session;
  }
  pthread_mutex_unlock(&rules.mutex);
  return 0;
}

static int check_peer(void *state, const struct coturn_auth_peer *peer) {
  char name[300], value[64], text[INET6_ADDRSTRLEN] = "?", line[300];
  const void *octets = peer->addr->sa_family == AF_INET
                           ? (const void *)&((const struct sockaddr_in *)peer->addr)->sin_addr
                           : (const void *)&((const struct sockaddr_in6 *)peer->addr)->sin6_addr;
  (void)state;
  inet_ntop(peer->addr->sa_family, octets, text, sizeof(text));
  snprintf(line, sizeof(line), "rules: asked for peer %s of realm %.127s", text, peer->realm);
  rules.host->log(COTURN_AUTH_LOG_INFO, line);
  snprintf(name, sizeof(name), "peers.%s", peer->realm);
  return setting(name, value, sizeof(value)) || !strcmp(value, text);
}

static void log_traffic(const char *what, const struct coturn_auth_traffic *t) {
  char line[300];
  snprintf(line, sizeof(line), "rules: %s %llu %llu %llu %llu %llu %llu %llu %llu", what,
           (unsigned long long)t->received_bytes, (unsigned long long)t->sent_bytes,
           (unsigned long long)t->received_packets, (unsigned long long)t->sent_packets,
           (unsigned long long)t->peer_received_bytes, (unsigned long long)t->peer_sent_bytes,
           (unsigned long long)t->peer_received_packets, (unsigned long long)t->peer_sent_packets);
  rules.host->log(COTURN_AUTH_LOG_INFO, line);
}

static int allocate(void *state, const struct coturn_auth_allocate *request, struct coturn_auth_denial *denial) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  char value[8];
  (void)state;
  if (!strcmp(request->username, "away") &&
      !setting("away", denial->alternate_nonce, sizeof(denial->alternate_nonce))) {
    snprintf(value, sizeof(value), "300");
  } else if (!(request->flags & COTURN_AUTH_REQ_DRAINING) || setting("drain", value, sizeof(value))) {
    return 1;
  }
  denial->error_code = (uint16_t)atoi(value);
  denial->reason = COTURN_AUTH_REASON_DRAINING;
  if (denial->error_code == 300) {
    memcpy(&denial->alternate, &to, sizeof(to));
  }
  return 0;
}

static int accept_nonce(void *state, const struct coturn_auth_nonce *request) {
  char value[COTURN_AUTH_NONCE_MAX + 1];
  (void)state;
  return !setting("known", value, sizeof(value)) && !strcmp(value, request->nonce);
}

static int session_allocated(void *state, const struct coturn_auth_allocation *a) {
  char line[300], address[INET6_ADDRSTRLEN] = "", address6[INET6_ADDRSTRLEN] = "";
  unsigned port = 0;
  (void)state;
  if (a->relayed_addr) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)a->relayed_addr;
    inet_ntop(AF_INET, &in->sin_addr, address, sizeof(address));
    port = ntohs(in->sin_port);
  }
  if (a->relayed_addr6) {
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)a->relayed_addr6;
    inet_ntop(AF_INET6, &in6->sin6_addr, address6, sizeof(address6));
  }
  snprintf(line, sizeof(line), "rules: allocated %.100s realm=%s transport=%u relayed=%s:%u relayed6=%s client=%d",
           a->display_name, a->realm, a->transport, address, port, address6, a->client_addr != NULL);
  rules.host->log(COTURN_AUTH_LOG_INFO, line);
  return 1;
}

static void session_report(void *state, const struct coturn_auth_session_report *report) {
  (void)state;
  log_traffic("report", &report->traffic);
}

static void session_end(void *state, const struct coturn_auth_session_end *end) {
  char line[300];
  size_t i;
  (void)state;
  snprintf(line, sizeof(line), "rules: ended %.100s realm=%s received=%llu sent=%llu", end->display_name, end->realm,
           (unsigned long long)end->traffic.received_bytes, (unsigned long long)end->traffic.sent_bytes);
  rules.host->log(COTURN_AUTH_LOG_INFO, line);
  log_traffic("end", &end->traffic);
  snprintf(line, sizeof(line), "rules: why allocation=%u ended=%u reason=%u", end->had_allocation, end->ended,
           end->reason);
  rules.host->log(COTURN_AUTH_LOG_INFO, line);
  pthread_mutex_lock(&rules.mutex);
  for (i = 0; i < SESSIONS_MAX; ++i) {
    if (rules.sessions[i] == end->session) {
      rules.sessions[i] = 0;
    }
  }
  pthread_mutex_unlock(&rules.mutex);
}

static int reload(void *state) {
  size_t i;
  (void)state;
  pthread_mutex_lock(&rules.mutex);
  for (i = 0; i < SESSIONS_MAX; ++i) {
    if (rules.sessions[i]) {
      rules.host->close_session(rules.sessions[i], COTURN_AUTH_REASON_REVOKED);
    }
  }
  pthread_mutex_unlock(&rules.mutex);
  return 0;
}

static void status(void *state, coturn_auth_status_fn emit, void *arg) {
  (void)state;
  emit("rules", "in force", arg);
}

static void log_counter(const struct coturn_auth_counter *counter, uint64_t value, void *arg) {
  char line[200];
  (void)arg;
  if (!value) {
    return;
  }
  snprintf(line, sizeof(line), "rules: counted %s %s %llu", counter->name,
           counter->label_value ? counter->label_value : "", (unsigned long long)value);
  rules.host->log(COTURN_AUTH_LOG_INFO, line);
}

static void stop(void *state) {
  (void)state;
  rules.host->visit_counters(log_counter, NULL);
  rules.host->log(COTURN_AUTH_LOG_INFO, "rules: stopped");
}

static const struct coturn_auth_module module = {
    .header = COTURN_AUTH_HEADER(struct coturn_auth_module),
    .name = "rules",
    .version = "1.0",
    .init = init,
    .authenticate = authenticate,
    .challenge = challenge,
    .session_bound = session_bound,
    .check_peer = check_peer,
    .allocate = allocate,
    .accept_nonce = accept_nonce,
    .session_allocated = session_allocated,
    .session_report = session_report,
    .session_end = session_end,
    .reload = reload,
    .status = status,
    .stop = stop,
};

__attribute__((visibility("default"))) const struct coturn_auth_module *
coturn_auth_module(const struct coturn_auth_host *host);

const struct coturn_auth_module *coturn_auth_module(const struct coturn_auth_host *host) {
  return COTURN_AUTH_HAS(host, struct coturn_auth_host, visit_counters) ? &module : NULL;
}
