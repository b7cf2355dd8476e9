/*
 * main.c - starts the parts of turncredd, serves until a signal comes, and stops them
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/clock.h"
#include "base/secret.h"
#include "daemon.h"
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
#define NAMES_MAX 200000 /* callers and subjects whose rates are remembered */

static void usage(FILE *out) {
  fputs("usage: turncredd [--config FILE] [--check]\n\n"
        "Issues TURN credentials over HTTPS. Runs in the foreground; on SIGHUP it reads settings,\n"
        "keys and certificates again, on SIGTERM it answers what has arrived, and ends.\n\n"
        "  --config FILE  read settings from FILE (default " SETTINGS_DEFAULT_PATH "); turncredd.conf(5)\n"
        "  --check        read settings, keys and certificates, say what is wrong, end\n"
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
  struct daemon *daemon = arg;
  delivery_wake(daemon->delivery);
}

static int open_store(struct daemon *daemon, char *err, size_t cap) {
  struct store_config config = {
      .kind = "issuer",
      .version = PACKAGE_VERSION,
      .log = from_store,
      .changed = on_snapshot,
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
  daemon->limits = limits_new(NAMES_MAX);
  if (!daemon->reserve || !daemon->limits) {
    snprintf(err, cap, "out of memory");
    return -1;
  }
  bool sealing = *s->store.snapshot_file && kek_ring_count(daemon->reloadable.current->keks) > 0;
  struct delivery_config config = {
      .conninfo = daemon->conninfo,
      .instance = daemon->instance,
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
      !(daemon->fetcher = fetcher_start()) || store_start(daemon->store)) {
    snprintf(err, cap, "out of memory, descriptors or threads");
    return -1;
  }
  fetcher_configure(daemon->fetcher, s);
  return 0;
}

static void close_parts(struct daemon *daemon) {
  fetcher_stop(daemon->fetcher);
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
    store_reload(daemon->store);
    fetcher_configure(daemon->fetcher, &fresh->settings);
    delivery_wake(daemon->delivery);
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

static void drain(struct daemon *daemon, struct server *server) {
  struct reloadable *reloadable = reloadable_get(&daemon->reloadable);
  int64_t end = clock_ms() + reloadable->settings.drain_timeout;
  reloadable_unref(reloadable);
  notify("STOPPING=1");
  log_line(LOG_INFO, "stopping: requests that have arrived are answered");
  atomic_store(&daemon->draining, true);
  server_quiesce(server);
  while (!server_quiet(server) && clock_ms() < end) {
    poll(NULL, 0, 10);
  }
  /* requests that wait end by themselves: pushes and the journal have bounds of their own */
  while (atomic_load(&daemon->pending)) {
    poll(NULL, 0, 10);
  }
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

int main(int argc, char **argv) {
  static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                          {"check", no_argument, NULL, 't'},
                                          {"version", no_argument, NULL, 'V'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  static struct daemon daemon;
  char err[1200];
  bool check = false;
  secret_harden();
  daemon.config_path = SETTINGS_DEFAULT_PATH;
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (c) {
    case 'c':
      daemon.config_path = optarg;
      break;
    case 't':
      check = true;
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
  struct reloadable *first = reloadable_read(daemon.config_path, err, sizeof err);
  if (!first) {
    log_line(LOG_ERR, "%s", err);
    return 2;
  }
  reloadable_slot_init(&daemon.reloadable, first);
  name_instance(&daemon);
  daemon.started_at = (int64_t)time(NULL);
  if (check) {
    printf("%s: ok\n", daemon.config_path);
    reloadable_unref(first);
    return EXIT_SUCCESS;
  }
  if (thread_keys_init() || fetcher_init()) {
    log_line(LOG_ERR, "out of memory or thread keys");
    return EXIT_FAILURE;
  }
  return run(&daemon);
}
