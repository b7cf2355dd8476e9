/*
 * auth_host.c - the host table: what turnserver does for the authentication module
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_exchange.h"

static void host_log(enum coturn_auth_log_level level, const char *line) {
  char clean[901];
  size_t i;
  if (!line) {
    return;
  }
  if (level == COTURN_AUTH_LOG_DEBUG && !turn_params.verbose) {
    return;
  }
  for (i = 0; line[i] && i + 1 < sizeof(clean); ++i) {
    unsigned char c = (unsigned char)line[i];
    clean[i] = (c < ' ' || c == 0x7f) ? '?' : (char)c;
  }
  clean[i] = 0;
  TURN_LOG_FUNC(level == COTURN_AUTH_LOG_ERROR     ? TURN_LOG_LEVEL_ERROR
                : level == COTURN_AUTH_LOG_WARNING ? TURN_LOG_LEVEL_WARNING
                                                   : TURN_LOG_LEVEL_INFO,
                "auth-module: %s\n", clean);
}

struct close_arg {
  turn_turnserver *server;
  uint64_t session;
  unsigned reason;
};

/* On the relay thread. Forced, or a mobile allocation would survive. */
static void on_close(evutil_socket_t fd, short what, void *arg) {
  struct close_arg *c = (struct close_arg *)arg;
  ts_ur_super_session *ss = turn_auth_services.session(c->server, c->session);
  UNUSED_ARG(fd);
  UNUSED_ARG(what);
  if (ss) {
    TURN_LOG_FUNC(TURN_LOG_LEVEL_INFO, "session %018llu: user <%s>: closed by the authentication module, reason=%s\n",
                  (unsigned long long)ss->id, (char *)ss->username, auth_reason_name(c->reason));
    auth_count(AUTH_COUNT_SESSIONS_CLOSED);
    if (ss->auth_session) {
      ss->auth_session->closed = 1;
      ss->auth_session->closed_reason = c->reason;
    }
    shutdown_client_connection(c->server, ss, 1, "closed by the authentication module");
  }
  free(c);
}

static int host_close_session(uint64_t session, enum coturn_auth_reason reason) {
  struct timeval now = {0, 0};
  struct close_arg *c;
  turn_turnserver *server = auth_server_of(session);
  if (!server) {
    return -1;
  }
  c = (struct close_arg *)malloc(sizeof(*c));
  if (!c) {
    return -1;
  }
  c->server = server;
  c->session = session;
  c->reason = (unsigned)reason;
  if (event_base_once(server->e->event_base, -1, EV_TIMEOUT, on_close, c, &now) < 0) {
    free(c);
    return -1;
  }
  return 0;
}

static int host_register_counter(const struct coturn_auth_counter *counter) {
  if (turn_auth_hooks) { /* init() is over */
    return -1;
  }
  return auth_register_counter(counter);
}

const struct coturn_auth_host auth_host = {
    COTURN_AUTH_HEADER(struct coturn_auth_host),
    "coturn-" TURN_SERVER_VERSION,
    "@TURNCRED_VERSION@",
    host_log,
    auth_check_integrity,
    auth_complete,
    host_close_session,
    auth_deny_peer,
    host_register_counter,
    auth_visit_counters,
    auth_usage_report_every,
};
