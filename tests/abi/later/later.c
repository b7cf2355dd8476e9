/*
 * later.c - an example module that answers later, from a thread of its own
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * auth-module-config=delay:50 user:password user2:password2
 *
 * The users are as in instant.c; "delay" is the time to think, in milliseconds.
 */
#include "examples/instant/users.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define QUEUE_MAX 256

struct question {
  struct coturn_auth_handle handle;
  char username[COTURN_AUTH_NAME_MAX + 1];
  char realm[COTURN_AUTH_REALM_MAX + 1];
};

static struct {
  const struct coturn_auth_host *host;
  struct users users;
  useconds_t delay;
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t more;
  struct question queue[QUEUE_MAX];
  size_t head, tail;
  int stopping;
} later = {.mutex = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void answer(const struct question *q) {
  struct coturn_auth_grant grant = {.header = COTURN_AUTH_HEADER(struct coturn_auth_grant)};
  struct coturn_auth_denial denial = {.header = COTURN_AUTH_HEADER(struct coturn_auth_denial)};
  if (users_key(&later.users, q->username, q->realm, &grant) == 0) {
    later.host->complete(&q->handle, COTURN_AUTH_GRANTED, &grant, NULL);
  } else {
    denial.error_code = 401;
    denial.reason = COTURN_AUTH_REASON_UNKNOWN_USER;
    later.host->complete(&q->handle, COTURN_AUTH_DENIED, NULL, &denial);
  }
  explicit_bzero(&grant, sizeof(grant));
}

static void *work(void *arg) {
  (void)arg;
  pthread_mutex_lock(&later.mutex);
  while (!later.stopping) {
    struct question q;
    if (later.head == later.tail) {
      pthread_cond_wait(&later.more, &later.mutex);
      continue;
    }
    q = later.queue[later.head++ % QUEUE_MAX];
    pthread_mutex_unlock(&later.mutex);
    if (later.delay) {
      usleep(later.delay);
    }
    answer(&q);
    pthread_mutex_lock(&later.mutex);
  }
  pthread_mutex_unlock(&later.mutex);
  return NULL;
}

static int init(const struct coturn_auth_host *host, const char *config, void **state) {
  size_t len;
  const char *delay;
  *state = NULL;
  later.host = host;
  if (users_init(&later.users, config) < 0) {
    return -1;
  }
  delay = users_find(&later.users, "delay", &len);
  if (delay) {
    later.delay = (useconds_t)atoi(delay) * 1000;
  }
  return pthread_create(&later.thread, NULL, work, NULL);
}

static enum coturn_auth_verdict authenticate(void *state, const struct coturn_auth_request *request,
                                             struct coturn_auth_grant *grant, struct coturn_auth_denial *denial) {
  enum coturn_auth_verdict verdict = COTURN_AUTH_PENDING;
  (void)state;
  (void)grant;
  pthread_mutex_lock(&later.mutex);
  if (later.tail - later.head < QUEUE_MAX) {
    struct question *q = &later.queue[later.tail++ % QUEUE_MAX];
    q->handle = request->handle;
    snprintf(q->username, sizeof(q->username), "%s", request->username);
    snprintf(q->realm, sizeof(q->realm), "%s", request->realm);
    pthread_cond_signal(&later.more);
  } else {
    denial->error_code = 500;
    denial->reason = COTURN_AUTH_REASON_STORE_UNAVAILABLE;
    verdict = COTURN_AUTH_DENIED;
  }
  pthread_mutex_unlock(&later.mutex);
  return verdict;
}

static void stop(void *state) {
  (void)state;
  pthread_mutex_lock(&later.mutex);
  later.stopping = 1;
  pthread_cond_signal(&later.more);
  pthread_mutex_unlock(&later.mutex);
  pthread_join(later.thread, NULL);
  users_free(&later.users);
}

static const struct coturn_auth_module module = {
    .header = COTURN_AUTH_HEADER(struct coturn_auth_module),
    .name = "later",
    .version = "1.0",
    .init = init,
    .authenticate = authenticate,
    .stop = stop,
};

__attribute__((visibility("default"))) const struct coturn_auth_module *
coturn_auth_module(const struct coturn_auth_host *host);

const struct coturn_auth_module *coturn_auth_module(const struct coturn_auth_host *host) {
  return COTURN_AUTH_HAS(host, struct coturn_auth_host, visit_counters) ? &module : NULL;
}
