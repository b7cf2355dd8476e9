/*
 * auth_pending.c - requests that the authentication module is asked about, until they are answered
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A request is entered before the module is asked, because its answer may come from another thread
 * before authenticate() has returned. Whoever removes an entry from the table owns it, so that each
 * is answered once, whatever the module does.
 */

#include "auth_private.h"

enum pending_state { ASKED = 0, WAITING, ANSWERED };

struct pending {
  enum pending_state state;
  uint64_t session;
  turn_turnserver *server;
  stun_tid tid;
  ioa_net_data in_buffer;
  struct auth_answer *answer;
};

static auth_resume_fn resume = NULL;
static ur_map *table = NULL;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last_request = 0;
static uint64_t waiting = 0;

void auth_pending_init(auth_resume_fn then) {
  resume = then;
  table = ur_map_create();
}

uint64_t auth_pending_count(void) { return __atomic_load_n(&waiting, __ATOMIC_RELAXED); }

/* ---- under the mutex */

static struct pending *find(uint64_t request) {
  ur_map_value_type value = 0;
  if (!ur_map_get(table, (ur_map_key_type)request, &value)) {
    return NULL;
  }
  return (struct pending *)value;
}

static struct pending *take(uint64_t request) {
  struct pending *p = find(request);
  if (p) {
    ur_map_del(table, (ur_map_key_type)request, NULL);
    if (p->server) {
      --waiting;
    }
  }
  return p;
}

/* ---- */

static void pending_free(struct pending *p) {
  if (p) {
    if (p->answer) {
      OPENSSL_cleanse(p->answer, sizeof(*p->answer));
      free(p->answer);
    }
    free(p);
  }
}

uint64_t auth_pending_ask(uint64_t session) {
  struct pending *p = (struct pending *)calloc(1, sizeof(*p));
  uint64_t request;
  if (!p) {
    return 0;
  }
  p->session = session;
  pthread_mutex_lock(&mutex);
  request = ++last_request;
  ur_map_put(table, (ur_map_key_type)request, (ur_map_value_type)p);
  pthread_mutex_unlock(&mutex);
  return request;
}

void auth_pending_forget(uint64_t request) {
  struct pending *p;
  pthread_mutex_lock(&mutex);
  p = take(request);
  pthread_mutex_unlock(&mutex);
  if (p && p->state == ANSWERED) {
    auth_count(AUTH_COUNT_LATE);
  }
  pending_free(p);
}

void auth_pending_drop(uint64_t request, turn_turnserver *server) {
  struct pending *p;
  pthread_mutex_lock(&mutex);
  p = take(request);
  pthread_mutex_unlock(&mutex);
  if (p && p->in_buffer.nbh) {
    ioa_network_buffer_delete(server->e, p->in_buffer.nbh);
  }
  pending_free(p);
}

/* On the relay thread: the answer has come, or the time is up. */
static void on_event(evutil_socket_t fd, short what, void *arg) {
  uint64_t request = *(uint64_t *)arg;
  struct pending *p;
  UNUSED_ARG(fd);
  UNUSED_ARG(what);
  free(arg);

  pthread_mutex_lock(&mutex);
  p = take(request);
  pthread_mutex_unlock(&mutex);
  if (!p) {
    return; /* answered before, or its session is gone */
  }

  if (!p->answer) {
    struct auth_answer timeout;
    memset(&timeout, 0, sizeof(timeout));
    timeout.verdict = COTURN_AUTH_DENIED;
    timeout.denial.error_code = 500;
    timeout.denial.reason = COTURN_AUTH_REASON_TIMEOUT;
    resume(p->server, p->session, &p->tid, &p->in_buffer, &timeout);
  } else {
    resume(p->server, p->session, &p->tid, &p->in_buffer, p->answer);
  }
  if (p->in_buffer.nbh) {
    ioa_network_buffer_delete(p->server->e, p->in_buffer.nbh);
  }
  pending_free(p);
}

static int post(turn_turnserver *server, uint64_t request, int seconds) {
  struct timeval tv = {seconds, 0};
  uint64_t *arg = (uint64_t *)malloc(sizeof(*arg));
  if (!arg) {
    return -1;
  }
  *arg = request;
  if (event_base_once(server->e->event_base, -1, EV_TIMEOUT, on_event, arg, &tv) < 0) {
    free(arg);
    return -1;
  }
  return 0;
}

int auth_pending_wait(uint64_t request, turn_turnserver *server, const stun_tid *tid, ioa_net_data *in_buffer,
                      struct auth_answer *answer) {
  struct pending *p;
  int ret = -1;

  pthread_mutex_lock(&mutex);
  p = find(request);
  if (p && p->state == ANSWERED) {
    take(request);
    pthread_mutex_unlock(&mutex);
    *answer = *p->answer;
    pending_free(p);
    return 0;
  }
  if (p && waiting < AUTH_PENDING_MAX && in_buffer && post(server, request, AUTH_PENDING_TIMEOUT) == 0) {
    p->state = WAITING;
    p->server = server;
    ++waiting;
    stun_tid_cpy(&p->tid, tid);
    p->in_buffer = *in_buffer;
    in_buffer->nbh = NULL;
    ret = 1;
  } else {
    take(request);
  }
  pthread_mutex_unlock(&mutex);
  if (ret < 0) {
    pending_free(p);
  }
  return ret;
}

/* The maker of a struct may be older or newer than this host. */
static void copy_struct(void *dst, size_t dst_size, const struct coturn_auth_header *src) {
  size_t size = dst_size;
  memset(dst, 0, dst_size);
  if (!src) {
    return;
  }
  if (src->struct_size < size) {
    size = (size_t)src->struct_size;
  }
  memcpy(dst, src, size);
}

int auth_complete(const struct coturn_auth_handle *handle, enum coturn_auth_verdict verdict,
                  const struct coturn_auth_grant *grant, const struct coturn_auth_denial *denial) {
  struct pending *p;
  struct auth_answer *answer;
  int ret = -1;

  if (!handle || (verdict != COTURN_AUTH_DECLINED && verdict != COTURN_AUTH_GRANTED && verdict != COTURN_AUTH_DENIED) ||
      (verdict == COTURN_AUTH_GRANTED && !grant) || !(answer = (struct auth_answer *)calloc(1, sizeof(*answer)))) {
    auth_count(AUTH_COUNT_LATE);
    return -1;
  }
  answer->verdict = verdict;
  if (verdict == COTURN_AUTH_GRANTED) {
    copy_struct(&answer->grant, sizeof(answer->grant), &grant->header);
  } else if (verdict == COTURN_AUTH_DENIED && denial) {
    copy_struct(&answer->denial, sizeof(answer->denial), &denial->header);
  }

  pthread_mutex_lock(&mutex);
  p = find(handle->request);
  if (p && p->session == handle->session && p->state != ANSWERED &&
      (p->state == ASKED || post(p->server, handle->request, 0) == 0)) {
    p->state = ANSWERED;
    p->answer = answer;
    ret = 0;
  }
  pthread_mutex_unlock(&mutex);

  if (ret < 0) {
    OPENSSL_cleanse(answer, sizeof(*answer));
    free(answer);
    auth_count(AUTH_COUNT_LATE);
  }
  return ret;
}
