/*
 * sessions.c - which live session belongs to which subject, so that a revocation can end it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "module.h"
#include "usage.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Sessions are spread over many small tables, so that a sweep holds each lock for microseconds only. */
#define SHARDS 256
#define BATCH 64

struct session {
  UT_hash_handle hh;
  uint64_t id;
  struct usage_record *usage; /* of its allocation; NULL: nothing is recorded */
  bool allocated;
  uint64_t closed_in;     /* the number of the last sweep that had the host close this session */
  struct subject subject; /* points into text */
  char text[];
};

struct shard {
  pthread_mutex_t lock;
  struct session *table;
};

struct sessions {
  struct shard shards[SHARDS];
  uint64_t sweeps; /* counts sweeps; only the store's thread uses it */
};

static struct shard *shard_of(struct sessions *sessions, uint64_t id) {
  return &sessions->shards[(id * UINT64_C(0x9E3779B97F4A7C15)) >> 56];
}

struct sessions *sessions_new(void) {
  struct sessions *sessions = calloc(1, sizeof *sessions);
  if (!sessions) {
    return NULL;
  }
  for (size_t i = 0; i < SHARDS; i++) {
    pthread_mutex_init(&sessions->shards[i].lock, NULL);
  }
  return sessions;
}

void sessions_free(struct sessions *sessions) {
  if (!sessions) {
    return;
  }
  for (size_t i = 0; i < SHARDS; i++) {
    struct session *next = sessions->shards[i].table;
    HASH_CLEAR(hh, sessions->shards[i].table); /* frees the table; the items stay linked in a list */
    while (next) {
      struct session *session = next;
      next = session->hh.next;
      free(session);
    }
    pthread_mutex_destroy(&sessions->shards[i].lock);
  }
  free(sessions);
}

/* Copies a text to *at, behind which the next one goes. Returns the copy. */
static const char *pack(char **at, const char *text) {
  size_t size = strlen(text) + 1;
  char *start = *at;
  memcpy(start, text, size);
  *at += size;
  return start;
}

static struct session *session_new(uint64_t id, const struct subject *subject) {
  size_t size = strlen(subject->realm) + strlen(subject->key_realm) + strlen(subject->kid) + strlen(subject->user) +
                strlen(subject->fingerprint) + 5;
  struct session *session = calloc(1, sizeof *session + size);
  if (!session) {
    return NULL;
  }
  char *at = session->text;
  session->id = id;
  session->subject = *subject;
  session->subject.realm = pack(&at, subject->realm);
  session->subject.key_realm = pack(&at, subject->key_realm);
  session->subject.kid = pack(&at, subject->kid);
  session->subject.user = pack(&at, subject->user);
  session->subject.fingerprint = pack(&at, subject->fingerprint);
  return session;
}

/* The newest snapshot is asked under the shard's lock. If a newer one is published afterwards, its sweep
 * finds the session; if it was published before, it is the one that is asked. So a grant that races a
 * revocation always loses. */
enum coturn_auth_reason sessions_bind(struct sessions *sessions, struct thread *thread, uint64_t id,
                                      const struct last_grant *grant) {
  struct session *session = session_new(id, &grant->subject);
  if (!session) {
    return COTURN_AUTH_REASON_MODULE_ERROR;
  }
  struct shard *shard = shard_of(sessions, id);
  struct session *old;
  pthread_mutex_lock(&shard->lock);
  const struct store_snapshot *snapshot = store_acquire(thread->reader);
  enum coturn_auth_reason reason =
      snapshot ? subject_refused(snapshot, &session->subject) : COTURN_AUTH_REASON_STORE_UNAVAILABLE;
  if (snapshot) {
    store_release(thread->reader);
  }
  HASH_FIND(hh, shard->table, &id, sizeof id, old);
  if (!reason) {
    HASH_ADD(hh, shard->table, id, sizeof id, session);
    if (!session->hh.tbl) { /* out of memory: uthash has not added it */
      reason = COTURN_AUTH_REASON_MODULE_ERROR;
    } else if (old) {
      HASH_DEL(shard->table, old);
      session->usage = old->usage;
      session->allocated = old->allocated;
    }
  }
  pthread_mutex_unlock(&shard->lock);
  if (reason) {
    free(session);
    return reason;
  }
  if (old) {
    free(old);
  } else {
    gauge_add(GAUGE_SESSIONS, 1);
  }
  return COTURN_AUTH_REASON_NONE;
}

struct usage_record *sessions_end(struct sessions *sessions, uint64_t id) {
  struct shard *shard = shard_of(sessions, id);
  struct session *session;
  pthread_mutex_lock(&shard->lock);
  HASH_FIND(hh, shard->table, &id, sizeof id, session);
  if (session) {
    HASH_DEL(shard->table, session);
  }
  pthread_mutex_unlock(&shard->lock);
  if (session) {
    gauge_add(GAUGE_SESSIONS, -1);
    gauge_add(GAUGE_ALLOCATIONS, -(int64_t)session->allocated);
  }
  struct usage_record *usage = session ? session->usage : NULL;
  free(session);
  return usage;
}

/* The session, which only its own relay thread changes: so it stays as it is while a call of that thread lasts. */
static struct session *find(struct sessions *sessions, uint64_t id) {
  struct shard *shard = shard_of(sessions, id);
  struct session *session;
  pthread_mutex_lock(&shard->lock);
  HASH_FIND(hh, shard->table, &id, sizeof id, session);
  pthread_mutex_unlock(&shard->lock);
  return session;
}

const struct subject *sessions_subject(struct sessions *sessions, uint64_t id) {
  const struct session *session = find(sessions, id);
  return session ? &session->subject : NULL;
}

void sessions_stop_usage(struct sessions *sessions, struct usage *usage, const char *why) {
  for (size_t i = 0; usage && i < SHARDS; i++) {
    for (struct session *s = sessions->shards[i].table; s; s = s->hh.next) {
      if (s->usage) {
        usage_end(usage, s->usage, why, NULL);
        s->usage = NULL;
      }
    }
  }
}

struct closing {
  uint64_t id;
  enum coturn_auth_reason reason;
};

/* Fills batch with sessions to close. True: the batch is full, so there may be more. */
static bool sweep_shard(struct shard *shard, uint64_t sweep, const struct store_snapshot *snapshot,
                        struct closing batch[BATCH], size_t *count) {
  *count = 0;
  pthread_mutex_lock(&shard->lock);
  for (struct session *s = shard->table; s && *count < BATCH; s = s->hh.next) {
    if (s->closed_in == sweep) {
      continue;
    }
    enum coturn_auth_reason reason = subject_refused(snapshot, &s->subject);
    if (!reason) {
      continue;
    }
    s->closed_in = sweep;
    batch[(*count)++] = (struct closing){s->id, COTURN_AUTH_REASON_REVOKED};
  }
  pthread_mutex_unlock(&shard->lock);
  return *count == BATCH;
}

void sessions_sweep(struct sessions *sessions, const struct module *module, const struct store_snapshot *snapshot) {
  sessions->sweeps++; /* a session that is still there at the next sweep is closed again */
  for (size_t i = 0; i < SHARDS; i++) {
    struct closing batch[BATCH];
    size_t count;
    bool more;
    do {
      more = sweep_shard(&sessions->shards[i], sessions->sweeps, snapshot, batch, &count);
      for (size_t j = 0; j < count; j++) {
        module->host->close_session(batch[j].id, batch[j].reason);
        counter_add(COUNTER_SESSIONS_REVOKED);
      }
    } while (more);
  }
}

int module_session_bound(void *state, const struct coturn_auth_session *session) {
  struct module *module = state;
  struct thread *thread = thread_get(module);
  if (!thread || thread->last.ref == 0 || thread->last.ref != session->ref) {
    module_log(module, COTURN_AUTH_LOG_ERROR, "session %llu is bound to a grant that this thread did not give last",
               (unsigned long long)session->session);
    return COTURN_AUTH_REASON_MODULE_ERROR;
  }
  enum coturn_auth_reason reason = sessions_bind(module->sessions, thread, session->session, &thread->last);
  if (reason == COTURN_AUTH_REASON_REVOKED || reason == COTURN_AUTH_REASON_UNKNOWN_KEY) {
    counter_add(COUNTER_GRANTS_REVOKED);
  }
  thread->last.ref = 0;
  return (int)reason;
}

int module_session_allocated(void *state, const struct coturn_auth_allocation *allocation) {
  struct module *module = state;
  struct thread *thread = thread_get(module);
  struct session *session = thread ? find(module->sessions, allocation->session) : NULL;
  if (session && !session->allocated) {
    session->allocated = true;
    gauge_add(GAUGE_ALLOCATIONS, 1);
  }
  if (!session || session->usage) {
    return 0;
  }
  session->usage = usage_begin(module->usage, thread, &session->subject, allocation);
  return session->usage != NULL;
}

void module_session_report(void *state, const struct coturn_auth_session_report *report) {
  struct module *module = state;
  struct session *session = find(module->sessions, report->session);
  if (session && session->usage) {
    usage_report(module->usage, session->usage, report);
  }
}

static const char *why(const struct coturn_auth_session_end *end) {
  switch (end->ended) {
  case COTURN_AUTH_ENDED_EXPIRED:
    return "expired";
  case COTURN_AUTH_ENDED_CLOSED:
    return end->reason == COTURN_AUTH_REASON_OPERATOR ? "operator" : "revoked";
  default:
    return "client";
  }
}

void module_session_end(void *state, const struct coturn_auth_session_end *end) {
  struct module *module = state;
  struct usage_record *usage = sessions_end(module->sessions, end->session);
  if (usage) {
    usage_end(module->usage, usage, why(end), &end->traffic);
  }
}
