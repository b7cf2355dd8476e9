/*
 * entry.c - the table that coturn loads; starts, reloads and stops the module
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "alternate.h"
#include "base/clock.h"
#include "fleet_quota.h"
#include "module.h"
#include "module_settings.h"
#include "usage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_log(enum store_log_level level, const char *line, void *arg) {
  static const enum coturn_auth_log_level levels[] = {
      [STORE_LOG_DEBUG] = COTURN_AUTH_LOG_DEBUG,
      [STORE_LOG_INFO] = COTURN_AUTH_LOG_INFO,
      [STORE_LOG_WARNING] = COTURN_AUTH_LOG_WARNING,
      [STORE_LOG_ERROR] = COTURN_AUTH_LOG_ERROR,
  };
  module_log(arg, levels[level], "%s", line);
}

/* The store's thread calls this after it has published a snapshot. */
static void on_changed(void *arg) {
  struct module *module = arg;
  pthread_mutex_lock(&module->stop_lock);
  struct thread *thread = module->stopping ? NULL : thread_get(module);
  const struct store_snapshot *snapshot = thread ? store_acquire(thread->reader) : NULL;
  if (snapshot) {
    counter_add(COUNTER_SNAPSHOTS);
    atomic_store(&module->counts_fleet, store_snapshot_quota_fleet(snapshot));
    if (store_snapshot_subjects(snapshot) != module->swept) {
      sessions_sweep(module->sessions, module, snapshot);
    }
    module->swept = store_snapshot_subjects(snapshot);
    store_release(thread->reader);
  }
  pthread_mutex_unlock(&module->stop_lock);
}

static void on_peer(const struct sockaddr *addr, void *arg) {
  const struct module *module = arg;
  if (module->host->deny_peer(addr)) {
    module_log(module, COTURN_AUTH_LOG_WARNING,
               "the address of the database cannot be denied as a relay peer: use denied-peer-ip");
  }
}

/* The store's thread calls this for a session that an operator has ended: INSTANCE/LIFE/NUMBER. */
static void on_session_end(const char *name, void *arg) {
  struct module *module = arg;
  const char *instance = store_instance(module->store);
  size_t len = strlen(instance);
  char life[32];
  /* this too runs on the store's thread, which lives longer than module->usage */
  pthread_mutex_lock(&module->stop_lock);
  if (!module->stopping && module->usage && strncmp(name, instance, len) == 0) {
    int n = snprintf(life, sizeof life, "/%lld/", (long long)module->usage->life_us);
    if (strncmp(name + len, life, (size_t)n) == 0) {
      module->host->close_session(strtoull(name + len + n, NULL, 10), COTURN_AUTH_REASON_OPERATOR);
    }
  }
  pthread_mutex_unlock(&module->stop_lock);
}

static uint64_t count_sessions(void *arg) {
  (void)arg;
  return gauge_get(GAUGE_ALLOCATIONS);
}

static void on_servers(struct store_servers *servers, bool draining, void *arg) {
  struct module *module = arg;
  if (atomic_exchange(&module->draining, draining) != draining) {
    module_log(module, COTURN_AUTH_LOG_WARNING, "%s",
               draining ? "this server is drained: new clients are sent to others, calls go on"
                        : "this server is no longer drained: new clients are let in");
  }
  alternates_put(module->alternates, servers);
}

static void on_warning(const char *line, void *arg) { module_log(arg, COTURN_AUTH_LOG_WARNING, "%s", line); }

/* The four letters of the interface's magic, such as CAU0. */
static void magic_text(uint32_t magic, char out[5]) {
  for (int i = 0; i < 4; i++) {
    out[i] = (char)(magic >> (24 - 8 * i));
  }
  out[4] = '\0';
}

static int open_store(struct module *module) {
  const struct config *config = module->config;
  char err[512] = "";
  char abi[5];
  magic_text(module->host->header.magic, abi);
  struct store_config store = {
      .kind = "server",
      .version = PACKAGE_VERSION,
      .host = module->host->software,
      .series = module->host->series,
      .abi = abi,
      .log = on_log,
      .changed = on_changed,
      .peer = on_peer,
      .session_end = on_session_end,
      .uris = *config->uris ? config->uris : NULL,
      .region = *config->region ? config->region : NULL,
      .weight = (uint32_t)config->weight,
      .sessions = count_sessions,
      .servers = on_servers,
      .arg = module,
  };
  store_settings_apply(&config->store, &store);
  int error = store_new(&module->store, &store, err, sizeof err);
  if (error) {
    module_log(module, COTURN_AUTH_LOG_ERROR, "%s: %s", config->path, err[0] ? err : strerror(error));
  }
  return error ? -1 : 0;
}

static void module_free(struct module *module) {
  metrics_stop(module->metrics);
  core_dump_stop(module->core_dump);
  if (module->store) {
    /* on_changed() runs on the store's thread and has a reader, too: it is over before the readers
     * are freed, and does nothing from now on */
    pthread_mutex_lock(&module->stop_lock);
    module->stopping = true;
    pthread_mutex_unlock(&module->stop_lock);
    threads_free(module);
    sessions_stop_usage(module->sessions, module->usage, atomic_load(&module->draining) ? "drained" : "stopped");
    usage_stop(module->usage);
    store_stop(module->store);
    alternates_stop(module->alternates);
  }
  pthread_mutex_destroy(&module->stop_lock);
  sessions_free(module->sessions);
  fleet_quota_free(module->fleet_quota);
  if (module->config) {
    explicit_bzero(module->config, sizeof *module->config);
  }
  free(module->config);
  free(module);
}

static int start(struct module *module) {
  const struct config *config = module->config;
  if (counters_register(module)) {
    /* a newer host may have got a counter of this name: nobody is kept out for that */
    module_log(module, COTURN_AUTH_LOG_WARNING,
               "the host does not show every counter of the module: it has one of that name, or no room");
  }
  if (!(module->alternates = alternates_start())) {
    module_log(module, COTURN_AUTH_LOG_ERROR, "out of memory or threads");
    return -1;
  }
  if (!(module->fleet_quota = fleet_quota_new())) {
    module_log(module, COTURN_AUTH_LOG_ERROR, "out of memory");
    return -1;
  }
  if (!(module->usage = usage_start(module))) {
    module_log(module, COTURN_AUTH_LOG_ERROR, "out of memory or threads");
    return -1;
  }
  if (COTURN_AUTH_HAS(module->host, struct coturn_auth_host, report_sessions) && module->host->report_sessions &&
      module->host->report_sessions((uint32_t)config->usage_interval)) {
    module_log(module, COTURN_AUTH_LOG_WARNING, "the host reports no living sessions");
  }
  int error = store_start(module->store);
  if (error) {
    module_log(module, COTURN_AUTH_LOG_ERROR, "the store's thread does not start: %s", strerror(error));
    return -1;
  }
  if (config->wait_at_start > 0 && !store_wait(module->store, (uint32_t)config->wait_at_start)) {
    module_log(module, COTURN_AUTH_LOG_WARNING,
               "nothing is loaded after wait_at_start: clients get 500 until the database answers");
  }
  if (!(module->core_dump = core_dump_start(module))) {
    module_log(module, COTURN_AUTH_LOG_ERROR, "out of memory or threads");
    return -1;
  }
  char err[256];
  if (config->prometheus[0]) {
    module->metrics = metrics_start(module, config->prometheus, err, sizeof err);
    if (!module->metrics) {
      module_log(module, COTURN_AUTH_LOG_ERROR, "prometheus = %s: %s", config->prometheus, err);
      return -1;
    }
  }
  return 0;
}

static int module_init(const struct coturn_auth_host *host, const char *path, void **state) {
  struct module *module = calloc(1, sizeof *module);
  if (!module) {
    return -1;
  }
  module->host = host;
  pthread_mutex_init(&module->stop_lock, NULL);
  module->started_at = clock_now();
  module->config = calloc(1, sizeof *module->config);
  module->sessions = sessions_new();
  char err[1024] = "";
  if (!module->config || !module->sessions) {
    module_log(module, COTURN_AUTH_LOG_ERROR, "out of memory");
  } else if (config_read(module->config, path, on_warning, module, err, sizeof err)) {
    module_log(module, COTURN_AUTH_LOG_ERROR, "%s", err);
  } else if (threads_init(module)) {
    module_log(module, COTURN_AUTH_LOG_ERROR, "no thread key is left");
  } else if (open_store(module)) {
    threads_free(module);
  } else if (start(module) == 0) {
    *state = module;
    return 0;
  }
  module_free(module);
  return -1;
}

/* Has key encryption keys and the whole database read again. Settings are only compared: the log names
 * one that differs, because it takes effect at a restart. */
static int module_reload(void *state) {
  struct module *module = state;
  struct config config;
  char err[1024] = "";
  int result = 0;
  if (config_read(&config, module->config->path, on_warning, module, err, sizeof err)) {
    module_log(module, COTURN_AUTH_LOG_ERROR, "%s (the settings in force stay)", err);
    result = -1;
  } else {
    const struct setting *changed = config_difference(module->config, &config);
    if (changed) {
      module_log(module, COTURN_AUTH_LOG_WARNING, "%s: the new %s takes effect at a restart", config.path,
                 changed->name);
    }
    store_reload(module->store);
    module_log(module, COTURN_AUTH_LOG_INFO, "reading keys and the database again");
  }
  explicit_bzero(&config, sizeof config);
  return result;
}

static void module_stop(void *state) { module_free(state); }

static const struct coturn_auth_module the_module = {
    .header = COTURN_AUTH_HEADER(struct coturn_auth_module),
    .name = "turncred",
    .version = PACKAGE_VERSION,
    .init = module_init,
    .authenticate = module_authenticate,
    .challenge = module_challenge,
    .session_bound = module_session_bound,
    .check_peer = module_check_peer,
    .session_allocated = module_session_allocated,
    .session_report = module_session_report,
    .session_end = module_session_end,
    .reload = module_reload,
    .status = module_status,
    .stop = module_stop,
    .allocate = module_allocate,
    .accept_nonce = module_accept_nonce,
};

const struct coturn_auth_module *coturn_auth_module(const struct coturn_auth_host *host);

__attribute__((visibility("default"))) const struct coturn_auth_module *
coturn_auth_module(const struct coturn_auth_host *host) {
  if (!host || host->header.magic != COTURN_AUTH_MAGIC) {
    return NULL;
  }
  if (!COTURN_AUTH_HAS(host, struct coturn_auth_host, visit_counters) ||
      host->header.abi_major != COTURN_AUTH_ABI_MAJOR) {
    if (COTURN_AUTH_HAS(host, struct coturn_auth_host, log)) {
      char line[160];
      snprintf(line, sizeof line, "turncred " PACKAGE_VERSION " speaks module ABI %d.%d, this server %u.%u",
               COTURN_AUTH_ABI_MAJOR, COTURN_AUTH_ABI_MINOR, host->header.abi_major, host->header.abi_minor);
      host->log(COTURN_AUTH_LOG_ERROR, line);
    }
    return NULL;
  }
  return &the_module;
}
