/*
 * fork_apart.c - keeps the OpenSSL state of Kamailio's processes apart; a library to preload
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Kamailio's tls module lets OpenSSL allocate in shared memory, and initialises OpenSSL before the
 * processes fork. So all processes share the state that OpenSSL keeps for each thread (the queue of
 * errors, the random number generator). When one process queues an error, such as a broken handshake
 * or a time-out of http_client, another process finds that error, and closes the connection of a
 * client that did nothing wrong; at worst two processes free the same memory. Kamailio 5.8 and later
 * clear the pointers to this state in each new process (tls_threads_mode); this library does the same
 * for Kamailio before 5.8: it notes the thread keys that libcrypto makes, and clears their values after fork.
 *
 *   LD_PRELOAD=.../epcscf_fork_apart.so kamailio -f kamailio.cfg
 */
#include "config.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define KEYS_MAX 64

typedef int create_fn(pthread_key_t *key, void (*destructor)(void *));

static pthread_key_t keys[KEYS_MAX];
static atomic_int count;

/* Runs in each new process: clears the values of all thread keys of libcrypto. */
static void forget(void) {
  int n = atomic_load(&count);
  for (int i = 0; i < n && i < KEYS_MAX; i++) {
    pthread_setspecific(keys[i], NULL);
  }
}

__attribute__((constructor)) static void start(void) { pthread_atfork(NULL, NULL, forget); }

/* Says whether an address lies in libcrypto. address: a return address. */
static int is_libcrypto(const void *address) {
  Dl_info info;
  return dladdr(address, &info) && info.dli_fname && strstr(info.dli_fname, "/libcrypto.so");
}

/* Takes the place of glibc's function, calls it, and notes the key if libcrypto made it. Parameters and result
   are those of glibc's function. */
__attribute__((visibility("default"))) int pthread_key_create(pthread_key_t *key, void (*destructor)(void *)) {
  static _Atomic(create_fn *) next;
  create_fn *create = atomic_load(&next);
  if (!create) {
    *(void **)&create = dlsym(RTLD_NEXT, "pthread_key_create");
    atomic_store(&next, create);
  }
  int rc = create(key, destructor);
  if (!rc && is_libcrypto(__builtin_return_address(0))) {
    int i = atomic_fetch_add(&count, 1);
    if (i < KEYS_MAX) {
      keys[i] = *key;
    }
  }
  return rc;
}
