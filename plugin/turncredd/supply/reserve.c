/*
 * reserve.c - tokens that this instance has reserved under each key, in memory
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "reserve.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct key_reserve {
  UT_hash_handle hh;
  uint64_t left;
  bool refused; /* no more can be reserved: nobody waits */
  char name[];  /* REALM/KID; the name of a realm has no slash */
};

struct reserve {
  pthread_mutex_t lock;
  pthread_cond_t added;
  struct key_reserve *keys;
  uint64_t block;
};

struct reserve *reserve_new(uint64_t block) {
  struct reserve *reserve = calloc(1, sizeof *reserve);
  if (reserve) {
    pthread_mutex_init(&reserve->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&reserve->added, &attr);
    pthread_condattr_destroy(&attr);
    reserve->block = block;
  }
  return reserve;
}

void reserve_free(struct reserve *reserve) {
  struct key_reserve *r, *next;
  if (!reserve) {
    return;
  }
  HASH_ITER(hh, reserve->keys, r, next) {
    HASH_DEL(reserve->keys, r);
    free(r);
  }
  pthread_cond_destroy(&reserve->added);
  pthread_mutex_destroy(&reserve->lock);
  free(reserve);
}

static struct key_reserve *find(struct reserve *reserve, const char *realm, const char *kid) {
  char name[1024];
  struct key_reserve *r = NULL;
  snprintf(name, sizeof name, "%s/%s", realm, kid);
  HASH_FIND_STR(reserve->keys, name, r);
  return r;
}

static bool take(struct reserve *reserve, struct key_reserve *r, bool *low) {
  bool ok = r && r->left > 0;
  if (ok) {
    r->left--;
  }
  *low = !r || r->left < reserve->block / 2;
  return ok;
}

bool reserve_take(struct reserve *reserve, const char *realm, const char *kid, bool *low) {
  pthread_mutex_lock(&reserve->lock);
  bool ok = take(reserve, find(reserve, realm, kid), low);
  pthread_mutex_unlock(&reserve->lock);
  return ok;
}

bool reserve_take_within(struct reserve *reserve, const char *realm, const char *kid, uint32_t ms, bool *low) {
  struct timespec until;
  struct key_reserve *r;
  int rc = 0;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += ms / 1000;
  until.tv_nsec += (long)(ms % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock(&reserve->lock);
  while ((!(r = find(reserve, realm, kid)) || (!r->left && !r->refused)) && rc != ETIMEDOUT) {
    rc = pthread_cond_timedwait(&reserve->added, &reserve->lock, &until);
  }
  bool ok = take(reserve, r, low);
  pthread_mutex_unlock(&reserve->lock);
  return ok;
}

void reserve_return(struct reserve *reserve, const char *realm, const char *kid) {
  pthread_mutex_lock(&reserve->lock);
  struct key_reserve *r = find(reserve, realm, kid);
  if (r) {
    r->left++;
  }
  pthread_mutex_unlock(&reserve->lock);
}

uint64_t reserve_wanted(struct reserve *reserve, const char *realm, const char *kid) {
  pthread_mutex_lock(&reserve->lock);
  struct key_reserve *r = find(reserve, realm, kid);
  uint64_t n = !r || r->left == 0 || r->left < reserve->block / 2 ? reserve->block : 0;
  pthread_mutex_unlock(&reserve->lock);
  return n;
}

uint64_t reserve_left(struct reserve *reserve, const char *realm, const char *kid) {
  pthread_mutex_lock(&reserve->lock);
  struct key_reserve *r = find(reserve, realm, kid);
  uint64_t n = r ? r->left : 0;
  pthread_mutex_unlock(&reserve->lock);
  return n;
}

bool reserve_is_refused(struct reserve *reserve, const char *realm, const char *kid) {
  pthread_mutex_lock(&reserve->lock);
  const struct key_reserve *r = find(reserve, realm, kid);
  bool refused = r && r->refused;
  pthread_mutex_unlock(&reserve->lock);
  return refused;
}

bool reserve_add(struct reserve *reserve, const char *realm, const char *kid, uint64_t count) {
  pthread_mutex_lock(&reserve->lock);
  struct key_reserve *r = find(reserve, realm, kid);
  if (!r) {
    size_t n = strlen(realm) + strlen(kid) + 2;
    if ((r = calloc(1, sizeof *r + n))) {
      snprintf(r->name, n, "%s/%s", realm, kid);
      HASH_ADD_STR(reserve->keys, name, r);
      if (!r->hh.tbl) { /* out of memory: uthash has not added it */
        free(r);
        r = NULL;
      }
    }
  }
  if (r) {
    r->left += count;
    r->refused = !count;
  }
  pthread_cond_broadcast(&reserve->added);
  pthread_mutex_unlock(&reserve->lock);
  return r != NULL;
}
