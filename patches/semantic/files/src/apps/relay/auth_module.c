/*
 * auth_module.c - loads an authentication module, and is its host
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_private.h"

#include <dlfcn.h>
#include <libgen.h>
#include <openssl/crypto.h>
#include <sys/stat.h>

struct auth_module_options auth_module_options = {NULL, NULL, 0, 0};

struct coturn_auth_module auth_module;
void *auth_module_state = NULL;

static int loaded = 0;
static int started = 0;
static int stopping = 0;
static int calls = 0;

#define FAIL(...)                                                                                  \
  do {                                                                                             \
    TURN_LOG_FUNC(TURN_LOG_LEVEL_ERROR, __VA_ARGS__);                                              \
    return -1;                                                                                     \
  } while (0)

/* ------------------------------------------------------------------ clocks and calls */

int64_t auth_now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (int64_t)ts.tv_sec;
}

uint64_t auth_monotonic_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000 + (uint64_t)(ts.tv_nsec / 1000000);
}

int auth_module_enter(void) {
  __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&stopping, __ATOMIC_SEQ_CST)) {
    auth_module_leave();
    return -1;
  }
  return 0;
}

void auth_module_leave(void) { __atomic_fetch_sub(&calls, 1, __ATOMIC_SEQ_CST); }

/* ------------------------------------------------------------------ options */

void auth_module_set_string(char **option, const char *value) {
  free(*option);
  *option = value ? strdup(value) : NULL;
}

int auth_module_check_options(int lt_cred_mech, int no_auth) {
  const struct auth_module_options *o = &auth_module_options;
  if (!o->path) {
    if (o->config)
      FAIL("CONFIG ERROR: auth-module-config is given, but auth-module is not.\n");
    if (o->only)
      FAIL("CONFIG ERROR: auth-module-only is given, but auth-module is not.\n");
    if (o->observe)
      FAIL("CONFIG ERROR: auth-module-observe is given, but auth-module is not.\n");
    return 0;
  }
  if (o->path[0] != '/')
    FAIL("CONFIG ERROR: auth-module: the path is not absolute: %s\n", o->path);
  if (o->only && no_auth)
    FAIL("CONFIG ERROR: auth-module-only and no-auth (-z) cannot be used together.\n");
  if (o->only && o->observe)
    FAIL("CONFIG ERROR: auth-module-only and auth-module-observe cannot be used together: one "
         "leaves every decision to the module, the other none.\n");
  if (no_auth)
    FAIL("CONFIG ERROR: auth-module and no-auth (-z) cannot be used together.\n");
  if (!lt_cred_mech)
    FAIL("CONFIG ERROR: auth-module needs lt-cred-mech (-a) in the same configuration. Without it "
         "a turnserver that does not know auth-module would let everybody in.\n");
  return 0;
}

/* ------------------------------------------------------------------ the host table */

static void host_log(enum coturn_auth_log_level level, const char *line) {
  char clean[901];
  size_t i;
  if (!line)
    return;
  if (level == COTURN_AUTH_LOG_DEBUG && !turn_params.verbose)
    return;
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
    TURN_LOG_FUNC(TURN_LOG_LEVEL_INFO,
                  "session %018llu: user <%s>: closed by the authentication module, reason=%s\n",
                  (unsigned long long)ss->id, (char *)ss->username, auth_reason_name(c->reason));
    auth_count(AUTH_COUNT_SESSIONS_CLOSED);
    shutdown_client_connection(c->server, ss, 1, "closed by the authentication module");
  }
  free(c);
}

static int host_close_session(uint64_t session, enum coturn_auth_reason reason) {
  struct timeval now = {0, 0};
  struct close_arg *c;
  turn_turnserver *server = auth_server_of(session);
  if (!server)
    return -1;
  c = (struct close_arg *)malloc(sizeof(*c));
  if (!c)
    return -1;
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
  if (started)
    return -1;
  return auth_register_counter(counter);
}

static void host_zero(void *p, size_t n) {
  if (p)
    OPENSSL_cleanse(p, n);
}

static const struct coturn_auth_host host = {
    COTURN_AUTH_HEADER(struct coturn_auth_host),
    "coturn-" TURN_SERVER_VERSION,
    host_log,
    auth_now,
    auth_monotonic_ms,
    auth_check_integrity,
    auth_complete,
    host_close_session,
    auth_deny_peer,
    host_register_counter,
    auth_visit_counters,
    host_zero,
};

/* ------------------------------------------------------------------ loading */

static int check_mode(const char *path, const struct stat *st, uid_t owner, const char *what) {
  if (st->st_mode & (S_IWGRP | S_IWOTH))
    FAIL("auth-module: the %s %s is writable by %s (mode %04o). Take that right away.\n", what,
         path, (st->st_mode & S_IWOTH) ? "others" : "its group", (unsigned)(st->st_mode & 07777));
  if (st->st_uid != 0 && st->st_uid != owner)
    FAIL("auth-module: the %s %s belongs to user %lu, who is neither root nor the server's user "
         "(%lu).\n",
         what, path, (unsigned long)st->st_uid, (unsigned long)owner);
  return 0;
}

static int check_file(const char *path, uid_t owner) {
  struct stat st;
  char folder[PATH_MAX];
  if (stat(path, &st) < 0)
    FAIL("auth-module: cannot read %s: %s\n", path, strerror(errno));
  if (!S_ISREG(st.st_mode))
    FAIL("auth-module: %s is not a regular file.\n", path);
  if (check_mode(path, &st, owner, "file") < 0)
    return -1;
  snprintf(folder, sizeof(folder), "%s", path);
  dirname(folder);
  if (stat(folder, &st) < 0)
    FAIL("auth-module: cannot read %s: %s\n", folder, strerror(errno));
  return check_mode(folder, &st, owner, "folder");
}

static int check_table(const char *path, const struct coturn_auth_module *m) {
  const struct coturn_auth_header *h = &m->header;
  if (h->magic != COTURN_AUTH_MAGIC)
    FAIL("auth-module: %s: wrong magic: the module says 0x%08x, this turnserver 0x%08x.\n", path,
         (unsigned)h->magic, (unsigned)COTURN_AUTH_MAGIC);
  if (h->abi_major != COTURN_AUTH_ABI_MAJOR)
    FAIL("auth-module: %s: wrong ABI: the module is made for %u.%u, this turnserver for %u.%u. "
         "Install the module that belongs to this turnserver.\n",
         path, (unsigned)h->abi_major, (unsigned)h->abi_minor, (unsigned)COTURN_AUTH_ABI_MAJOR,
         (unsigned)COTURN_AUTH_ABI_MINOR);
  if (!COTURN_AUTH_HAS(m, struct coturn_auth_module, authenticate))
    FAIL("auth-module: %s: the module's table has %llu octets, this turnserver needs at least "
         "%llu.\n",
         path, (unsigned long long)h->struct_size,
         (unsigned long long)(offsetof(struct coturn_auth_module, authenticate) +
                              sizeof(m->authenticate)));
  if (!m->name || !m->name[0])
    FAIL("auth-module: %s: the module has no name.\n", path);
  if (!m->version)
    FAIL("auth-module: %s: the module has no version.\n", path);
  if (!m->init)
    FAIL("auth-module: %s: the module %s has no init().\n", path, m->name);
  if (!m->authenticate)
    FAIL("auth-module: %s: the module %s has no authenticate().\n", path, m->name);
  return 0;
}

int auth_module_load(uid_t owner) {
  const char *given = auth_module_options.path;
  const struct coturn_auth_module *table;
  coturn_auth_module_entry_fn entry;
  char path[PATH_MAX];
  void *library;

  if (!given)
    return 0;
  if (check_file(given, owner) < 0)
    return -1;
  if (!realpath(given, path))
    FAIL("auth-module: cannot read %s: %s\n", given, strerror(errno));
  if (strcmp(path, given) && check_file(path, owner) < 0)
    return -1;

  library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    FAIL("auth-module: cannot load: %s\n", dlerror());
  *(void **)&entry = dlsym(library, COTURN_AUTH_MODULE_ENTRY);
  if (!entry)
    FAIL("auth-module: %s does not export %s: it is not an authentication module.\n", path,
         COTURN_AUTH_MODULE_ENTRY);

  auth_pending_init();
  auth_report_init();
  table = entry(&host);
  if (!table)
    FAIL("auth-module: %s refuses this turnserver (%s, ABI %u.%u).\n", path, host.software,
         (unsigned)COTURN_AUTH_ABI_MAJOR, (unsigned)COTURN_AUTH_ABI_MINOR);
  if (check_table(path, table) < 0)
    return -1;

  memset(&auth_module, 0, sizeof(auth_module));
  memcpy(&auth_module, table,
         table->header.struct_size < sizeof(auth_module) ? (size_t)table->header.struct_size
                                                         : sizeof(auth_module));
  loaded = 1;
  TURN_LOG_FUNC(TURN_LOG_LEVEL_INFO,
                "auth-module: %s %s (ABI %u.%u) loaded from %s by %s (ABI %u.%u)\n",
                auth_module.name, auth_module.version, (unsigned)auth_module.header.abi_major,
                (unsigned)auth_module.header.abi_minor, path, host.software,
                (unsigned)COTURN_AUTH_ABI_MAJOR, (unsigned)COTURN_AUTH_ABI_MINOR);
  return 0;
}

/* ------------------------------------------------------------------ life */

int auth_module_start(void) {
  int ret;
  if (!loaded)
    return 0;
  ret = auth_module.init(&host, auth_module_options.config ? auth_module_options.config : "",
                         &auth_module_state);
  if (ret)
    FAIL("auth-module: %s %s did not start: init() returned %d.\n", auth_module.name,
         auth_module.version, ret);
  started = 1;
  turn_auth_hooks = &auth_session_hooks;
  TURN_LOG_FUNC(TURN_LOG_LEVEL_INFO, "auth-module: %s %s started%s\n", auth_module.name,
                auth_module.version,
                auth_module_options.observe ? ", observing only"
                : auth_module_options.only  ? ", the only authentication"
                                            : "");
  if (auth_module_options.only) {
    /* no database of coturn's own */
    turn_params.default_users_db.userdb_type = TURN_USERDB_TYPE_UNKNOWN;
    if (turn_params.default_users_db.ram_db.users_number)
      TURN_LOG_FUNC(TURN_LOG_LEVEL_WARNING,
                    "auth-module: auth-module-only: the users given with -u are ignored\n");
  }
  return 0;
}

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

/* Ends the process as the signal would have, when the module is stopped. Only where the server does
 * not handle the signal itself. */
static void on_terminate(evutil_socket_t sock, short events, void *arg) {
  UNUSED_ARG(events);
  UNUSED_ARG(arg);
  auth_module_stop();
  signal((int)sock, SIG_DFL);
  raise((int)sock);
}

void auth_module_add_signals(struct event_base *base) {
  static const int ends[] = {SIGTERM, SIGINT};
  size_t i;
  if (!started)
    return;
  event_add(evsignal_new(base, SIGUSR2, on_reload, NULL), NULL);
  for (i = 0; i < sizeof(ends) / sizeof(ends[0]); ++i) {
    struct sigaction old;
    if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
      event_add(evsignal_new(base, ends[i], on_terminate, NULL), NULL);
  }
}

void auth_module_stop(void) {
  uint64_t until;
  if (!started || __atomic_exchange_n(&stopping, 1, __ATOMIC_SEQ_CST))
    return;
  for (until = auth_monotonic_ms() + 2000;
       __atomic_load_n(&calls, __ATOMIC_SEQ_CST) && auth_monotonic_ms() < until;)
    usleep(1000);
  if (auth_module.stop)
    auth_module.stop(auth_module_state);
}

/* ------------------------------------------------------------------ state */

struct emit_arg {
  coturn_auth_status_fn emit;
  void *arg;
};

static void emit_counter(const struct coturn_auth_counter *c, uint64_t value, void *arg) {
  const struct emit_arg *e = (const struct emit_arg *)arg;
  char key[256], number[32];
  if (!value && c->label)
    return;
  snprintf(key, sizeof(key), "%s%s%s%s%s%s", c->name, c->label ? "{" : "", c->label ? c->label : "",
           c->label ? "=" : "", c->label && c->label_value ? c->label_value : "",
           c->label ? "}" : "");
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
           (unsigned)auth_module.header.abi_minor, (unsigned)COTURN_AUTH_ABI_MAJOR,
           (unsigned)COTURN_AUTH_ABI_MINOR);
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
