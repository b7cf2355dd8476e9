/*
 * auth_module.c - starts the authentication module, passes it signals, stops it and shows its state
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_module.h"
#include "auth_exchange.h"

#include "dbdrivers/dbdriver.h"

static int started = 0;

/* Adds what the database says about peers of one kind, as it is now, to what the configuration says. */
static void keep_peer_ranges(const char *kind, ip_range_list_t *into) {
  const turn_dbdriver_t *dbd = get_dbdriver();
  ip_range_list_t *list = (ip_range_list_t *)calloc(1, sizeof(ip_range_list_t));
  size_t i;
  if (!dbd || !dbd->get_ip_list || !list || (*dbd->get_ip_list)(kind, list) < 0) {
    TURN_LOG_FUNC(TURN_LOG_LEVEL_ERROR,
                  "auth-module: auth-module-only: %s_peer_ip of the user database cannot be read, so ranges that stand "
                  "there alone are not in force; write them into the configuration: %s-peer-ip\n",
                  kind, kind);
    free(list);
    return;
  }
  for (i = 0; i < list->ranges_number; ++i) {
    add_ip_list_range(list->rs[i].str, list->rs[i].realm[0] ? list->rs[i].realm : NULL, into);
  }
  if (list->ranges_number) {
    TURN_LOG_FUNC(
        TURN_LOG_LEVEL_INFO,
        "auth-module: auth-module-only: %lu ranges of %s_peer_ip of the user database stay in force as they are "
        "now; the table is read again at the next start\n",
        (unsigned long)list->ranges_number, kind);
  }
  ip_list_free(list);
}

/* From now on no database of coturn's own is asked. Says what that leaves out. */
static void leave_database(void) {
  const char *userdb = (const char *)turn_params.default_users_db.persistent_users_db.userdb;
  int there = userdb[0] != 0;
#if !defined(TURN_NO_SQLITE)
  /* the default is a file that need not exist, and that the driver would make */
  there = there && (turn_params.default_users_db.userdb_type != TURN_USERDB_TYPE_SQLITE || access(userdb, R_OK) == 0);
#endif
  if (there) {
    if (!turn_params.no_dynamic_ip_list) {
      keep_peer_ranges("allowed", &turn_params.ip_whitelist);
      keep_peer_ranges("denied", &turn_params.ip_blacklist);
    }
    TURN_LOG_FUNC(TURN_LOG_LEVEL_WARNING,
                  "auth-module: auth-module-only: the user database is not read from now on: its users, secrets, OAuth "
                  "keys, realm options, origins and administrators do not count\n");
  }
  turn_params.default_users_db.userdb_type = TURN_USERDB_TYPE_UNKNOWN;
  if (turn_params.default_users_db.ram_db.users_number) {
    TURN_LOG_FUNC(TURN_LOG_LEVEL_WARNING, "auth-module: auth-module-only: the users given with -u are ignored\n");
  }
}

int auth_module_start(void) {
  int ret;
  if (!auth_module.init) {
    return 0;
  }
  ret = auth_module.init(&auth_host, auth_module_options.config ? auth_module_options.config : "", &auth_module_state);
  if (ret) {
    return auth_fail("auth-module: %s %s did not start: init() returned %d.\n", auth_module.name, auth_module.version,
                     ret);
  }
  started = 1;
  turn_auth_hooks = &auth_session_hooks;
  TURN_LOG_FUNC(TURN_LOG_LEVEL_INFO, "auth-module: %s %s started%s\n", auth_module.name, auth_module.version,
                auth_module_options.observe ? ", observing only"
                : auth_module_options.only  ? ", the only authentication"
                                            : "");
  if (auth_module_options.only) {
    leave_database();
  }
  return 0;
}

#if defined(WINDOWS)

void auth_module_add_signals(struct event_base *base) { UNUSED_ARG(base); }

#else

static void on_reload(evutil_socket_t sock, short events, void *arg) {
  UNUSED_ARG(sock);
  UNUSED_ARG(events);
  UNUSED_ARG(arg);
  if (auth_module.reload && auth_module_enter() == 0) {
    int ret = auth_module.reload(auth_module_state);
    auth_module_leave();
    TURN_LOG_FUNC(ret ? TURN_LOG_LEVEL_ERROR : TURN_LOG_LEVEL_INFO, "auth-module: reload: %s\n",
                  ret ? "failed, the old settings stay" : "done");
  }
}

/* Stops the module, then ends the process as the signal would have ended it. Installed only where the server does
 * not handle the signal itself. */
static void on_terminate(evutil_socket_t sock, short events, void *arg) {
  UNUSED_ARG(events);
  UNUSED_ARG(arg);
  auth_module_stop();
  signal((int)sock, SIG_DFL);
  raise((int)sock);
  _exit(128 + (int)sock); /* process 1 of a container: nothing ends it but a handler */
}

void auth_module_add_signals(struct event_base *base) {
  static const int ends[] = {SIGTERM, SIGINT};
  size_t i;
  if (!started) {
    return;
  }
  event_add(evsignal_new(base, SIGUSR2, on_reload, NULL), NULL);
  for (i = 0; i < sizeof(ends) / sizeof(ends[0]); ++i) {
    struct sigaction old;
    if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL) {
      event_add(evsignal_new(base, ends[i], on_terminate, NULL), NULL);
    }
  }
}

#endif

void auth_module_stop(void) {
  if (!started || auth_module_close() < 0) {
    return;
  }
  if (auth_module.stop) {
    auth_module.stop(auth_module_state);
  }
}

struct emit_arg {
  coturn_auth_status_fn emit;
  void *arg;
};

static void emit_counter(const struct coturn_auth_counter *c, uint64_t value, void *arg) {
  const struct emit_arg *e = (const struct emit_arg *)arg;
  char key[256], number[32];
  if (!value && c->label) {
    return;
  }
  snprintf(key, sizeof(key), "%s%s%s%s%s%s", c->name, c->label ? "{" : "", c->label ? c->label : "",
           c->label ? "=" : "", c->label && c->label_value ? c->label_value : "", c->label ? "}" : "");
  snprintf(number, sizeof(number), "%llu", (unsigned long long)value);
  e->emit(key, number, e->arg);
}

void auth_module_status(coturn_auth_status_fn emit, void *arg) {
  struct emit_arg e;
  char text[64];
  e.emit = emit;
  e.arg = arg;
  if (!started) {
    emit("auth-module", "none", arg);
    return;
  }
  emit("auth-module", auth_module.name, arg);
  emit("version", auth_module.version, arg);
  emit("path", auth_module_options.path, arg);
  snprintf(text, sizeof(text), "%u.%u (turnserver %u.%u)", (unsigned)auth_module.header.abi_major,
           (unsigned)auth_module.header.abi_minor, (unsigned)COTURN_AUTH_ABI_MAJOR, (unsigned)COTURN_AUTH_ABI_MINOR);
  emit("ABI", text, arg);
  emit("mode",
       auth_module_options.observe ? "observe"
       : auth_module_options.only  ? "only"
                                   : "before coturn's own mechanisms",
       arg);
  snprintf(text, sizeof(text), "%llu", (unsigned long long)auth_pending_count());
  emit("requests awaiting an answer", text, arg);
  auth_peers_status(emit, arg);
  if (auth_module.status && auth_module_enter() == 0) {
    auth_module.status(auth_module_state, emit, arg);
    auth_module_leave();
  }
  auth_visit_counters(emit_counter, &e);
}
