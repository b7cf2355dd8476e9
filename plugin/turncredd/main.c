/*
 * main.c - starts the parts of turncredd, serves until a signal comes, and stops them
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/clock.h"
#include "base/fail.h"
#include "base/secret.h"
#include "base/secret_memory.h"
#include "check.h"
#include "daemon.h"
#include "library_memory.h"
#include "log.h"
#include "notify.h"
#include "turncredd/api/routes.h"
#include "turncredd/http/server.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 100
#define WAIT_AT_START 10000 /* milliseconds; later requests get 503 until the database has answered */
#define DELIVER_AT_STOP                                                                                                \
  3000 /* milliseconds for the rest of the journal; entries that are left are delivered after the next start */
#define LIMITS_OCTETS 134217728 /* for rates of callers and subjects, and for the tokens that subjects hold */

static void usage(FILE *out) {
  fputs("usage: turncredd [--config FILE] [--check [--user NAME]]\n\n"
        "Issues TURN credentials over HTTPS. Runs in the foreground; on SIGHUP it reads settings,\n"
        "keys and certificates again, on SIGTERM it answers the requests that have arrived, and ends.\n\n"
        "  --config FILE  read settings from FILE, an absolute path; turncredd.conf(5)\n"
        "                 (default " SETTINGS_DEFAULT_PATH ")\n"
        "  --check        open what a start opens, but no sockets; say what is wrong, and end\n"
        "  --user NAME    with --check, as root: check as the user that the service runs as\n"
        "  --version      print the version\n"
        "  --help         print this\n",
        out);
}

static void from_store(enum store_log_level level, const char *line, void *arg) {
  static const int priorities[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR};
  (void)arg;
  if (level != STORE_LOG_DEBUG) {
    log_line(priorities[level], "%s", line);
  }
}

static void from_journal(bool error, const char *line, void *arg) {
  (void)arg;
  log_line(error ? LOG_ERR : LOG_WARNING, "%s", line);
}

static void on_snapshot(void *arg) {
  static bool said; /* the store's thread alone calls this */
  struct daemon *daemon = arg;
  if (!said && secret_unlocked()) {
    log_line(LOG_WARNING, "%s", secret_unlocked());
    said = true;
  }
  delivery_wake(daemon->delivery);
}

static int open_store(struct daemon *daemon, char *err, size_t cap) {
  struct store_config config = {
      .kind = "issuer",
      .version = PACKAGE_VERSION,
      .log = from_store,
      .changed = on_snapshot,
      .silent_ms = (uint32_t)daemon->reloadable.current->settings.silent_after,
      .arg = daemon,
  };
  store_settings_apply(&daemon->reloadable.current->settings.store, &config);
  config.instance = daemon->instance;
  return store_new(&daemon->store, &config, err, cap) ? -1 : 0;
}

static int open_journal(struct daemon *daemon, char *err, size_t cap) {
  struct journal_config config = {.folder = daemon->state_dir,
                                  .setting = "state_dir",
                                  .entries = (size_t)daemon->reloadable.current->settings.journal_entries,
                                  .log = from_journal};
  return journal_open(&daemon->journal, &config, err, cap);
}

static int open_parts(struct daemon *daemon, char *err, size_t cap) {
  const struct settings *s = &daemon->reloadable.current->settings;
  snprintf(daemon->conninfo, sizeof daemon->conninfo, "%s",
           *s->store.database_write ? s->store.database_write : s->store.database);
  memcpy(daemon->state_dir, s->state_dir, sizeof daemon->state_dir);
  if (open_store(daemon, err, cap) || open_journal(daemon, err, cap)) {
    return -1;
  }
  daemon->reserve = reserve_new((uint64_t)s->token_reserve);
  daemon->limits = limits_new(LIMITS_OCTETS);
  if (!daemon->reserve || !daemon->limits) {
    snprintf(err, cap, "out of memory");
    return -1;
  }
  bool sealing = *s->store.snapshot_file && kek_ring_count(daemon->reloadable.current->keks) > 0;
  struct delivery_config config = {
      .conninfo = daemon->conninfo,
      .instance = daemon->instance,
      .state_dir = daemon->state_dir,
      .journal_entries = (size_t)s->journal_entries,
      .poll_ms = (uint32_t)s->store.poll_interval,
      .listen = s->store.listen,
      .callers_max_age = (uint32_t)(s->store.snapshot_max_age / 1000),
      .token_reserve = (uint64_t)s->token_reserve,
      .store = daemon->store,
      .journal = daemon->journal,
      .reserve = daemon->reserve,
      .metrics = &daemon->metrics,
      .reloadable = &daemon->reloadable,
      .folder = {sealing ? daemon->state_dir : NULL, daemon->instance, &daemon->reloadable}};
  if (delivery_start(&daemon->delivery, &config, err, cap)) {
    return -1;
  }
  if (!(daemon->pusher = pusher_start(daemon->conninfo, daemon->instance, (uint32_t)s->database_timeout)) ||
      !(daemon->fetchers = fetchers_new()) || fetchers_configure(daemon->fetchers, s) || store_start(daemon->store)) {
    snprintf(err, cap, "out of memory, descriptors or threads");
    return -1;
  }
  return 0;
}

static void close_parts(struct daemon *daemon) {
  fetchers_stop(daemon->fetchers);
  pusher_stop(daemon->pusher);
  delivery_stop(daemon->delivery, DELIVER_AT_STOP);
  if (daemon->store) {
    store_stop(daemon->store);
  }
  journal_close(daemon->journal);
  delivery_free(daemon->delivery);
  reserve_free(daemon->reserve);
  limits_free(daemon->limits);
  reloadable_unref(daemon->reloadable.current);
}

static void reload(struct daemon *daemon, struct server *server) {
  char err[1200];
  notify_reloading();
  struct reloadable *fresh = reloadable_read(daemon->config_path, err, sizeof err);
  if (!fresh) {
    log_line(LOG_ERR, "%s (the settings in force stay)", err);
  } else if (server_reload(server, fresh, err, sizeof err)) {
    log_line(LOG_ERR, "%s (the settings in force stay)", err);
    reloadable_unref(fresh);
  } else {
    const struct setting *s = settings_need_restart(&daemon->reloadable.current->settings, &fresh->settings);
    if (s) {
      log_line(LOG_WARNING, "%s: the new value takes effect at a restart", s->name);
    }
    reloadable_replace(&daemon->reloadable, fresh);
    store_set_silent(daemon->store, (uint32_t)fresh->settings.silent_after);
    store_reload(daemon->store);
    if (fetchers_configure(daemon->fetchers, &fresh->settings)) {
      log_line(LOG_ERR, "out of threads: keys of some issuers are not fetched; reload once more");
    }
    delivery_replay(daemon->delivery);
    log_line(LOG_INFO, "settings, keys and certificates have been read again");
  }
  notify("READY=1");
}

/* Waits for a signal. 0: none came within a tick. */
static int next_signal(const sigset_t *set) {
  const struct timespec tick = {0, TICK_MS * 1000000};
  int sig = sigtimedwait(set, NULL, &tick);
  return sig > 0 ? sig : 0;
}

static void wait_until_loaded(struct daemon *daemon) {
  int64_t end = clock_ms() + WAIT_AT_START;
  struct directory *directory = NULL;
  store_wait(daemon->store, WAIT_AT_START);
  while (!(directory = delivery_directory(daemon->delivery)) && clock_ms() < end) {
    poll(NULL, 0, 10);
  }
  if (!directory) {
    log_line(LOG_WARNING, "the database has not answered; clients get 503 until it does");
  }
  directory_unref(directory);
}

static void serve(struct daemon *daemon, struct server *server, const sigset_t *set) {
  int64_t watchdog = notify_watchdog_ms(), told = 0;
  for (;;) {
    int sig = next_signal(set);
    if (sig == SIGHUP) {
      reload(daemon, server);
    } else if (sig) {
      return;
    }
    server_tick(server);
    if (watchdog && clock_ms() - told >= watchdog) {
      notify("WATCHDOG=1");
      told = clock_ms();
    }
  }
}

#define ANSWERS_MS 1000 /* on their way when the last handler has ended */

/* Waits until no request is under way, or until the time `end`. */
static void wait_until_quiet(struct server *server, int64_t end) {
  while (!server_quiet(server) && clock_ms() < end) {
    poll(NULL, 0, 10);
  }
}

static void drain(struct daemon *daemon, struct server *server) {
  struct reloadable *reloadable = reloadable_get(&daemon->reloadable);
  int64_t end = clock_ms() + reloadable->settings.drain_timeout;
  reloadable_unref(reloadable);
  notify("STOPPING=1");
  log_line(LOG_INFO, "stopping: requests that have arrived are answered");
  atomic_store(&daemon->draining, true);
  server_quiesce(server);
  wait_until_quiet(server, end);
  /* requests that wait end by themselves, as pushes and the journal have bounds of their own, and no other is begun */
  atomic_store(&daemon->closed, true);
  while (atomic_load(&daemon->pending)) {
    poll(NULL, 0, 10);
  }
  wait_until_quiet(server, clock_ms() + ANSWERS_MS);
}

static int run(struct daemon *daemon) {
  char err[1200];
  struct server *server = NULL;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, NULL); /* threads inherit the mask: this one alone takes signals */
  signal(SIGPIPE, SIG_IGN);
  int rc = open_parts(daemon, err, sizeof err);
  if (!rc) {
    wait_until_loaded(daemon);
    rc = server_start(&server, daemon, routes, daemon->reloadable.current, err, sizeof err);
  }
  if (rc) {
    log_line(LOG_ERR, "%s", err);
  } else {
    log_line(LOG_INFO, "version " PACKAGE_VERSION " serves https://%s as %s",
             daemon->reloadable.current->settings.https, daemon->instance);
    notify("READY=1");
    serve(daemon, server, &set);
    drain(daemon, server);
  }
  server_stop(server);
  close_parts(daemon);
  return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void name_instance(struct daemon *daemon) {
  char host[200] = "localhost";
  gethostname(host, sizeof host - 1);
  if (*daemon->reloadable.current->settings.store.instance) {
    snprintf(daemon->instance, sizeof daemon->instance, "%.255s", daemon->reloadable.current->settings.store.instance);
  } else {
    snprintf(daemon->instance, sizeof daemon->instance, "%s-issuer", host);
  }
}

static int finish_check(const struct daemon *daemon) {
  char err[1200], name[PROGRAM_USER_MAX];
  if (check_files(&daemon->reloadable.current->settings, err, sizeof err)) {
    log_line(LOG_ERR, "%s", err);
    return 2;
  }
  printf("%s: ok for user %s\n", daemon->config_path, program_user(name));
  if (geteuid() == 0) {
    puts("checked as root, who may read everything: --user turncredd checks as the packaged unit runs");
  }
  return EXIT_SUCCESS;
}

struct options {
  const char *user;
  bool check;
};

/* -1: the program runs; otherwise it ends with this exit code. */
static int read_options(int argc, char **argv, struct daemon *daemon, struct options *out) {
  static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 't'},
                                          {"user", required_argument, NULL, 'u'},   {"version", no_argument, NULL, 'V'},
                                          {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
  daemon->config_path = SETTINGS_DEFAULT_PATH;
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (c) {
    case 'c':
      daemon->config_path = optarg;
      break;
    case 't':
      out->check = true;
      break;
    case 'u':
      out->user = optarg;
      break;
    case 'V':
      puts("turncredd " PACKAGE_VERSION);
      return EXIT_SUCCESS;
    case 'h':
      usage(stdout);
      return EXIT_SUCCESS;
    default:
      usage(stderr);
      return 2;
    }
  }
  if (optind < argc) {
    fprintf(stderr, "turncredd: unexpected \"%s\"\n", argv[optind]);
    usage(stderr);
    return 2;
  }
  if (out->user && !out->check) {
    fputs("turncredd: --user goes with --check; the unit's User= says as whom turncredd runs\n", stderr);
    return 2;
  }
  return -1;
}

int main(int argc, char **argv) {
  static struct daemon daemon;
  struct options options = {0};
  char err[1200];
  secret_harden();
  if (!library_memory_init()) {
    log_line(LOG_ERR, "out of memory");
    return EXIT_FAILURE;
  }
  int rc = read_options(argc, argv, &daemon, &options);
  if (rc >= 0) {
    return rc;
  }
  struct reloadable *first = NULL;
  if (!options.user || !check_become(options.user, err, sizeof err)) {
    first = reloadable_read(daemon.config_path, err, sizeof err);
  }
  if (!first) {
    log_line(LOG_ERR, "%s", err);
    return 2;
  }
  reloadable_slot_init(&daemon.reloadable, first);
  name_instance(&daemon);
  daemon.started_at = (int64_t)time(NULL);
  if (options.check) {
    rc = finish_check(&daemon);
    reloadable_unref(first);
    return rc;
  }
  if (thread_keys_init() || fetchers_init()) {
    log_line(LOG_ERR, "out of memory or thread keys");
    return EXIT_FAILURE;
  }
  return run(&daemon);
}
