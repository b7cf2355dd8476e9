/*
 * secret_memory.c - memory for keys: not in a core, not in swap where limits allow, overwritten when it is freed
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Each pool has blocks of pages, and a list of free pieces for each size (a multiple of 32). Pieces are not joined
 * again: what is freed here is soon needed again in the same size. A large piece has pages of its own.
 */
#include "config.h"

#include "secret_memory.h"

#include "core/turncred.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STEP 32
#define CLASSES 64 /* sizes up to STEP * CLASSES come out of blocks */
#define BLOCK 65536

struct piece {
  struct piece *next;
};

static struct {
  pthread_mutex_t lock;
  struct piece *free[CLASSES + 1];
  char *block;
  size_t left;
} pools[2] = {{.lock = PTHREAD_MUTEX_INITIALIZER}, {.lock = PTHREAD_MUTEX_INITIALIZER}};

static atomic_bool unlocked;

static size_t rounded(size_t size) { return (size + STEP - 1) / STEP * STEP; }

static size_t pages(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return (size + page - 1) / page * page;
}

static void *map(enum secret_pool pool, size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return NULL;
  }
  madvise(memory, size, MADV_DONTDUMP);
  if (pool == SECRET_LOCKED && mlock(memory, size)) {
    atomic_store(&unlocked, true);
  }
  return memory;
}

/* Under the lock. */
static void *piece_of(enum secret_pool pool, size_t size) {
  struct piece **list = &pools[pool].free[size / STEP], *found = *list;
  if (found) {
    *list = found->next;
    found->next = NULL; /* the rest of it is zero */
    return found;
  }
  if (pools[pool].left < size) {
    char *block = map(pool, BLOCK);
    if (!block) {
      return NULL;
    }
    pools[pool].block = block; /* the rest of the block before stays unused */
    pools[pool].left = BLOCK;
  }
  void *memory = pools[pool].block;
  pools[pool].block += size;
  pools[pool].left -= size;
  return memory;
}

void *secret_new(enum secret_pool pool, size_t size) {
  if (size == 0 || size > SIZE_MAX / 2) {
    return NULL;
  }
  size = rounded(size);
  if (size > STEP * CLASSES) {
    return map(pool, pages(size));
  }
  pthread_mutex_lock(&pools[pool].lock);
  void *memory = piece_of(pool, size);
  pthread_mutex_unlock(&pools[pool].lock);
  return memory;
}

void secret_free(enum secret_pool pool, void *memory, size_t size) {
  if (!memory) {
    return;
  }
  size = rounded(size);
  turncred_cleanse(memory, size);
  if (size > STEP * CLASSES) {
    munmap(memory, pages(size));
    return;
  }
  struct piece *piece = memory;
  pthread_mutex_lock(&pools[pool].lock);
  piece->next = pools[pool].free[size / STEP];
  pools[pool].free[size / STEP] = piece;
  pthread_mutex_unlock(&pools[pool].lock);
}

const char *secret_unlocked(void) {
  return atomic_load(&unlocked) ? "keys are in memory that may be swapped: give this program a larger limit of locked "
                                  "memory (LimitMEMLOCK= in its unit, or ulimit -l), or encrypt the swap"
                                : NULL;
}

#define ARENA ((uintptr_t)64 << 20)      /* glibc's arenas begin at multiples of this */
#define MAPPED_ALONE ((uintptr_t)131072) /* malloc() maps pieces of this size and more by themselves */

/* Anonymous memory of malloc(). Stacks (which have the default size, and may count the page without rights in front of
 * them) are left, and so is what the dynamic linker has mapped: a debugger finds the libraries there. */
static bool is_heap(uintptr_t begin, uintptr_t end) {
  pthread_attr_t attr;
  size_t size = 0, guard = 0;
  uintptr_t here = (uintptr_t)&attr;
  if (!pthread_getattr_default_np(&attr)) {
    pthread_attr_getstacksize(&attr, &size);
    pthread_attr_getguardsize(&attr, &guard);
    pthread_attr_destroy(&attr);
  }
  bool stack = (here >= begin && here < end) || end - begin == size || end - begin == size - guard;
  return !stack && (begin % ARENA == 0 || end - begin >= MAPPED_ALONE);
}

void secret_hide_heap(void) {
  char line[512], rights[8], name[256];
  FILE *maps = fopen("/proc/self/maps", "re");
  uintptr_t begin, end, heap_end = 0;
  while (maps && fgets(line, sizeof line, maps)) {
    *name = '\0';
    int n = sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s %*s %*s %*s %255s", &begin, &end, rights, name);
    if (n < 3 || strncmp(rights, "rw", 2) != 0) {
      continue;
    }
    /* what has grown since the last call is a mapping of its own behind */
    if (!strcmp(name, "[heap]") || (!*name && (begin == heap_end || is_heap(begin, end)))) {
      madvise((void *)begin, end - begin, MADV_DONTDUMP); // NOLINT(performance-no-int-to-ptr)
      heap_end = end;
    }
  }
  if (maps) {
    fclose(maps);
  }
}
