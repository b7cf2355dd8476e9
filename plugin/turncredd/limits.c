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

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#define LOOKED_AT 16       /* names of a group that are looked at for one to forget */
#define FULL_WAIT_MS 10000 /* for whom there is no room */
#define OVERHEAD 64        /* octets of the allocator and of the hash, about, for one name */
#define NAME_OCTETS_MAX 1200

struct group;

struct entry {
  UT_hash_handle hh;
  struct entry *prev, *next; /* in the group; those that were not used for long stand in front */
  struct group *group;
  double level;      /* uses that are allowed at once */
  int64_t at;        /* when the level was this, milliseconds; -1: the name is new */
  int64_t full_at;   /* when the bucket is full again, milliseconds */
  int64_t *expiry;   /* of the things that the name holds */
  int64_t held_till; /* the last of them, UTC seconds */
  size_t held, room;
  char name[];
};

struct group {
  UT_hash_handle hh;
  struct entry *entries;
  size_t octets;
  char name[];
};

struct limits {
  pthread_mutex_t lock;
  struct entry *entries;
  struct group *groups;
  size_t octets, max;
  int64_t now_ms, now; /* the newest times that a caller has told: each kind of name has a clock of its own */
};

struct limits *limits_new(size_t octets) {
  struct limits *limits = calloc(1, sizeof *limits);
  if (limits) {
    pthread_mutex_init(&limits->lock, NULL);
    limits->max = octets;
  }
  return limits;
}

static size_t octets_of(const struct entry *e) {
  return sizeof *e + OVERHEAD + strlen(e->name) + 1 + e->room * sizeof *e->expiry;
}

static void account(struct limits *limits, struct group *group, size_t more, size_t less) {
  limits->octets += more - less;
  group->octets += more - less;
}

static void drop(struct limits *limits, struct entry *e) {
  struct group *group = e->group;
  account(limits, group, 0, octets_of(e));
  HASH_DEL(limits->entries, e);
  // a group with an entry has a list
  DL_DELETE(group->entries, e); // NOLINT(clang-analyzer-core.NullDereference)
  free(e->expiry);
  free(e);
  if (!group->entries) {
    limits->octets -= sizeof *group + OVERHEAD;
    HASH_DEL(limits->groups, group);
    free(group);
  }
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

static bool matters(const struct limits *limits, const struct entry *e) {
  return (e->held && e->held_till > limits->now) || (e->at >= 0 && e->full_at > limits->now_ms);
}

/* Forgets names of the group that do not matter, among those that it has not used for long, until there is room. */
static bool forget(struct limits *limits, struct group *group, size_t needed) {
  struct entry *e = group->entries, *next;
  for (int i = 0; e && i < LOOKED_AT && limits->octets + needed > limits->max; i++, e = next) {
    next = e->next;
    bool last = !next;
    if (!matters(limits, e)) {
      drop(limits, e);  /* the group goes with its last name */
    } else if (!last) { /* the next search finds others in front */
      DL_DELETE(group->entries, e);
      DL_APPEND(group->entries, e);
    }
    if (last) {
      break;
    }
  }
  return limits->octets + needed <= limits->max;
}

static bool make_room(struct limits *limits, const char *name, size_t needed) {
  struct group *largest = NULL, *own = NULL;
  if (limits->octets + needed <= limits->max) {
    return true;
  }
  for (struct group *g = limits->groups; g; g = g->hh.next) {
    largest = !largest || g->octets > largest->octets ? g : largest;
  }
  if (largest && forget(limits, largest, needed)) {
    return true;
  }
  HASH_FIND_STR(limits->groups, name, own);
  if (own && forget(limits, own, needed)) {
    return true;
  }
  HASH_FIND_STR(limits->groups, name, own);
  /* The share of each group is kept for it, although others have taken all: so all together have twice the memory. */
  size_t share = limits->max / (HASH_COUNT(limits->groups) + !own);
  return (own ? own->octets : 0) + needed <= share;
}

static struct group *group_of(struct limits *limits, const char *name) {
  struct group *group = NULL;
  HASH_FIND_STR(limits->groups, name, group);
  if (!group && (group = calloc(1, sizeof *group + strlen(name) + 1))) {
    memcpy(group->name, name, strlen(name) + 1);
    HASH_ADD_STR(limits->groups, name, group);
    if (!group->hh.tbl) { /* out of memory: uthash has not added it */
      free(group);
      return NULL;
    }
    limits->octets += sizeof *group + OVERHEAD;
  }
  return group;
}

static struct entry *add(struct limits *limits, const char *group_name, const char *full) {
  struct entry *e = NULL;
  if (make_room(limits, group_name, sizeof *e + OVERHEAD + strlen(full) + 1)) {
    e = calloc(1, sizeof *e + strlen(full) + 1);
  }
  if (!e) {
    return NULL;
  }
  memcpy(e->name, full, strlen(full) + 1);
  HASH_ADD_STR(limits->entries, name, e);
  struct group *group = e->hh.tbl ? group_of(limits, group_name) : NULL;
  if (!group) {
    if (e->hh.tbl) {
      HASH_DEL(limits->entries, e);
    }
    free(e);
    return NULL;
  }
  e->at = -1;
  e->group = group;
  DL_APPEND(group->entries, e);
  account(limits, group, octets_of(e), 0);
  return e;
}

/* The entry of a name, in its group's order the last one used. make: a name that is new is added. NULL: there is none,
 * or no room for it. */
static struct entry *find(struct limits *limits, const struct limit_name *name, bool make) {
  char full[NAME_OCTETS_MAX];
  struct entry *e = NULL;
  snprintf(full, sizeof full, "%s %s", name->kind, name->name);
  HASH_FIND_STR(limits->entries, full, e);
  if (e && make) {
    DL_DELETE(e->group->entries, e);
    DL_APPEND(e->group->entries, e);
  }
  return e || !make ? e : add(limits, name->group, full);
}

bool limits_rate(struct limits *limits, const struct limit_name *name, int64_t count, int64_t period_ms, int64_t now_ms,
                 int64_t *wait_ms) {
  if (count <= 0) {
    return true;
  }
  pthread_mutex_lock(&limits->lock);
  limits->now_ms = now_ms;
  struct entry *e = find(limits, name, true);
  bool ok = e != NULL;
  *wait_ms = FULL_WAIT_MS;
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
    e->full_at = now_ms + (int64_t)(((double)count - e->level) * (double)period_ms / (double)count);
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

/* Room for one more thing in an entry that is full. What it holds is unexpired, so make_room does not forget it; one
 * that has held nothing yet has been counted with its name. */
static bool grow(struct limits *limits, struct entry *e) {
  size_t room = e->room ? 2 * e->room : 4;
  if (e->room && !make_room(limits, e->group->name, (room - e->room) * sizeof *e->expiry)) {
    return false;
  }
  int64_t *more = realloc(e->expiry, room * sizeof *more);
  if (more) {
    account(limits, e->group, (room - e->room) * sizeof *more, 0);
    e->expiry = more;
    e->room = room;
  }
  return more != NULL;
}

bool limits_hold(struct limits *limits, const struct limit_name *name, int64_t max, int64_t expiry, int64_t now,
                 int64_t *wait_ms) {
  if (max <= 0) {
    return true;
  }
  pthread_mutex_lock(&limits->lock);
  limits->now = now;
  struct entry *e = find(limits, name, true);
  bool ok = e != NULL;
  *wait_ms = FULL_WAIT_MS;
  if (e) {
    forget_expired(e, now);
    ok = e->held < (size_t)max && (e->held < e->room || grow(limits, e));
    if (ok) {
      e->expiry[e->held++] = expiry;
      e->held_till = e->held_till > expiry ? e->held_till : expiry;
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

void limits_release(struct limits *limits, const struct limit_name *name, int64_t expiry) {
  pthread_mutex_lock(&limits->lock);
  struct entry *e = find(limits, name, false);
  for (size_t i = 0; e && i < e->held; i++) {
    if (e->expiry[i] == expiry) {
      e->expiry[i] = e->expiry[--e->held];
      break;
    }
  }
  pthread_mutex_unlock(&limits->lock);
}

size_t limits_octets(struct limits *limits) {
  pthread_mutex_lock(&limits->lock);
  size_t octets = limits->octets;
  pthread_mutex_unlock(&limits->lock);
  return octets;
}
