/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "reserve.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

struct reserve {
  UT_hash_handle hh;
  uint64_t left;
  char name[]; /* REALM/KID: a realm's name holds no slash */
};

struct budget {
  pthread_mutex_t lock;
  pthread_cond_t added;
  struct reserve *keys;
  uint64_t block;
};

struct budget *budget_new(uint64_t block) {
  struct budget *budget = calloc(1, sizeof *budget);
  if (budget) {
    pthread_mutex_init(&budget->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&budget->added, &attr);
    pthread_condattr_destroy(&attr);
    budget->block = block;
  }
  return budget;
}

void budget_free(struct budget *budget) {
  struct reserve *r, *next;
  if (!budget)
    return;
  HASH_ITER(hh, budget->keys, r, next) {
    HASH_DEL(budget->keys, r);
    free(r);
  }
  pthread_cond_destroy(&budget->added);
  pthread_mutex_destroy(&budget->lock);
  free(budget);
}

static struct reserve *find(struct budget *budget, const char *realm, const char *kid) {
  char name[1024];
  struct reserve *r = NULL;
  snprintf(name, sizeof name, "%s/%s", realm, kid);
  HASH_FIND_STR(budget->keys, name, r);
  return r;
}

static bool take(struct budget *budget, struct reserve *r, bool *low) {
  bool ok = r && r->left > 0;
  if (ok)
    r->left--;
  *low = !r || r->left < budget->block / 2;
  return ok;
}

bool budget_take(struct budget *budget, const char *realm, const char *kid, bool *low) {
  pthread_mutex_lock(&budget->lock);
  bool ok = take(budget, find(budget, realm, kid), low);
  pthread_mutex_unlock(&budget->lock);
  return ok;
}

bool budget_take_within(struct budget *budget, const char *realm, const char *kid, uint32_t ms,
                        bool *low) {
  struct timespec until;
  struct reserve *r;
  int rc = 0;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += ms / 1000;
  until.tv_nsec += (long)(ms % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock(&budget->lock);
  while (!(r = find(budget, realm, kid)) && rc != ETIMEDOUT)
    rc = pthread_cond_timedwait(&budget->added, &budget->lock, &until);
  bool ok = take(budget, r, low);
  pthread_mutex_unlock(&budget->lock);
  return ok;
}

void budget_return(struct budget *budget, const char *realm, const char *kid) {
  pthread_mutex_lock(&budget->lock);
  struct reserve *r = find(budget, realm, kid);
  if (r)
    r->left++;
  pthread_mutex_unlock(&budget->lock);
}

uint64_t budget_wanted(struct budget *budget, const char *realm, const char *kid) {
  pthread_mutex_lock(&budget->lock);
  struct reserve *r = find(budget, realm, kid);
  uint64_t n = !r || r->left == 0 || r->left < budget->block / 2 ? budget->block : 0;
  pthread_mutex_unlock(&budget->lock);
  return n;
}

uint64_t budget_left(struct budget *budget, const char *realm, const char *kid) {
  pthread_mutex_lock(&budget->lock);
  struct reserve *r = find(budget, realm, kid);
  uint64_t n = r ? r->left : 0;
  pthread_mutex_unlock(&budget->lock);
  return n;
}

bool budget_add(struct budget *budget, const char *realm, const char *kid, uint64_t count) {
  pthread_mutex_lock(&budget->lock);
  struct reserve *r = find(budget, realm, kid);
  if (!r) {
    size_t n = strlen(realm) + strlen(kid) + 2;
    if ((r = calloc(1, sizeof *r + n))) {
      snprintf(r->name, n, "%s/%s", realm, kid);
      HASH_ADD_STR(budget->keys, name, r);
    }
  }
  if (r)
    r->left += count;
  pthread_cond_broadcast(&budget->added);
  pthread_mutex_unlock(&budget->lock);
  return r != NULL;
}
