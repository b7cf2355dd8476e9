/*
 * core_dump.c - keeps keys out of a core of the host, and says if keys may be swapped
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The module's own keys are in memory of base/secret_memory.c. Copies that nobody else can place (key schedules of
 * OpenSSL, rows in libpq's buffers, the keys of sessions in coturn) are on the heap, which a thread leaves out of cores
 * every second as it grows. Stacks, registers and globals stay: a core still shows where each thread was.
 */
#include "config.h"

#include "base/secret_memory.h"
#include "module.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

struct core_dump {
  const struct module *module;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  bool stop;
};

static void *run(void *arg) {
  struct core_dump *core = arg;
  bool said = false;
  pthread_mutex_lock(&core->lock);
  while (!core->stop) {
    struct timespec until;
    secret_hide_heap();
    if (!said && secret_unlocked()) {
      module_log(core->module, COTURN_AUTH_LOG_WARNING, "%s", secret_unlocked());
      said = true;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    while (!core->stop && pthread_cond_timedwait(&core->wake, &core->lock, &until) != ETIMEDOUT) {
    }
  }
  pthread_mutex_unlock(&core->lock);
  return NULL;
}

struct core_dump *core_dump_start(const struct module *module) {
  struct core_dump *core = calloc(1, sizeof *core);
  pthread_condattr_t attr;
  if (!core) {
    return NULL;
  }
  core->module = module;
  pthread_mutex_init(&core->lock, NULL);
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&core->wake, &attr);
  pthread_condattr_destroy(&attr);
  secret_hide_heap();
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  int error = pthread_create(&core->thread, NULL, run, core);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!error) {
    return core;
  }
  pthread_cond_destroy(&core->wake);
  pthread_mutex_destroy(&core->lock);
  free(core);
  return NULL;
}

void core_dump_stop(struct core_dump *core) {
  if (!core) {
    return;
  }
  pthread_mutex_lock(&core->lock);
  core->stop = true;
  pthread_cond_signal(&core->wake);
  pthread_mutex_unlock(&core->lock);
  pthread_join(core->thread, NULL);
  pthread_cond_destroy(&core->wake);
  pthread_mutex_destroy(&core->lock);
  free(core);
}
