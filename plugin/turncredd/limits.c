/*
 * limits.c - how often a caller may call, and how many tokens a subject may hold
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "limits.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct entry {
  UT_hash_handle hh;
  double level;    /* uses that are allowed at once */
  int64_t at;      /* when the level was this, milliseconds; -1: the name is new */
  int64_t *expiry; /* of the things that the name holds */
  size_t held, room;
  char name[];
};

struct limits {
  pthread_mutex_t lock;
  struct entry *entries; /* in the order of their last use: uthash keeps the order of insertion */
  size_t max;
};

struct limits *limits_new(size_t names) {
  struct limits *limits = calloc(1, sizeof *limits);
  if (limits) {
    pthread_mutex_init(&limits->lock, NULL);
    limits->max = names;
  }
  return limits;
}

static void drop(struct limits *limits, struct entry *e) {
  HASH_DEL(limits->entries, e);
  free(e->expiry);
  free(e);
}

void limits_free(struct limits *limits) {
  struct entry *e, *next;
  if (!limits) {
    return;
  }
  HASH_ITER(hh, limits->entries, e, next) drop(limits, e);
  pthread_mutex_destroy(&limits->lock);
  free(limits);
}

static struct entry *find(struct limits *limits, const char *kind, const char *name, bool make) {
  char full[1200];
  struct entry *e = NULL;
  snprintf(full, sizeof full, "%s %s", kind, name);
  HASH_FIND_STR(limits->entries, full, e);
  if (e && make) { /* the name is moved to the end of the order */
    HASH_DEL(limits->entries, e);
    HASH_ADD_STR(limits->entries, name, e);
  }
  if (e || !make) {
    return e;
  }
  if (HASH_COUNT(limits->entries) >= limits->max) {
    drop(limits, limits->entries);
  }
  if ((e = calloc(1, sizeof *e + strlen(full) + 1))) {
    memcpy(e->name, full, strlen(full) + 1);
    e->at = -1;
    HASH_ADD_STR(limits->entries, name, e);
  }
  return e;
}

bool limits_rate(struct limits *limits, const char *kind, const char *name, int64_t count, int64_t period_ms,
                 int64_t now_ms, int64_t *wait_ms) {
  if (count <= 0) {
    return true;
  }
  pthread_mutex_lock(&limits->lock);
  struct entry *e = find(limits, kind, name, true);
  bool ok = e != NULL;
  if (e) {
    if (e->at < 0) {
      e->level = (double)count;
    } else {
      e->level += (double)(now_ms - e->at) * (double)count / (double)period_ms;
    }
    if (e->level > (double)count) {
      e->level = (double)count;
    }
    e->at = now_ms;
    ok = e->level >= 1;
    if (ok) {
      e->level -= 1;
    } else {
      *wait_ms = (int64_t)((1 - e->level) * (double)period_ms / (double)count) + 1;
    }
  }
  pthread_mutex_unlock(&limits->lock);
  return ok;
}

static void forget_expired(struct entry *e, int64_t now) {
  size_t kept = 0;
  for (size_t i = 0; i < e->held; i++) {
    if (e->expiry[i] > now) {
      e->expiry[kept++] = e->expiry[i];
    }
  }
  e->held = kept;
}

bool limits_hold(struct limits *limits, const char *kind, const char *name, int64_t max, int64_t expiry, int64_t now,
                 int64_t *wait_ms) {
  if (max <= 0) {
    return true;
  }
  pthread_mutex_lock(&limits->lock);
  struct entry *e = find(limits, kind, name, true);
  bool ok = e != NULL;
  if (e) {
    forget_expired(e, now);
    ok = e->held < (size_t)max;
    if (ok && e->held == e->room) {
      size_t room = e->room ? 2 * e->room : 4;
      int64_t *more = realloc(e->expiry, room * sizeof *more);
      ok = more != NULL;
      if (ok) {
        e->expiry = more;
        e->room = room;
      }
    }
    if (ok) {
      e->expiry[e->held++] = expiry;
    } else if (e->held) {
      int64_t first = e->expiry[0];
      for (size_t i = 1; i < e->held; i++) {
        if (e->expiry[i] < first) {
          first = e->expiry[i];
        }
      }
      *wait_ms = (first - now) * 1000;
    }
  }
  pthread_mutex_unlock(&limits->lock);
  return ok;
}

void limits_release(struct limits *limits, const char *kind, const char *name, int64_t expiry) {
  pthread_mutex_lock(&limits->lock);
  struct entry *e = find(limits, kind, name, false);
  for (size_t i = 0; e && i < e->held; i++) {
    if (e->expiry[i] == expiry) {
      e->expiry[i] = e->expiry[--e->held];
      break;
    }
  }
  pthread_mutex_unlock(&limits->lock);
}
