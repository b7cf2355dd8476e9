/* fork_apart.c - keeps the OpenSSL state of Kamailio's processes apart; to be preloaded
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Kamailio's tls module makes OpenSSL allocate in shared memory, and initialises it before the
 * processes are forked. What OpenSSL keeps for each thread (the queue of errors, the random number
 * generator) is then one for all processes: an error in one of them, such as a handshake that was
 * broken off, or a time-out of http_client, is found by another, which closes the connection of a
 * client that did nothing wrong; at worst memory is freed twice. Kamailio 5.8 and later forget
 * these pointers in a new process themselves (tls_threads_mode); this does the same for 5.6.
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

static void forget(void) {
  int n = atomic_load(&count);
  for (int i = 0; i < n && i < KEYS_MAX; i++)
    pthread_setspecific(keys[i], NULL);
}

__attribute__((constructor)) static void start(void) { pthread_atfork(NULL, NULL, forget); }

static int is_libcrypto(const void *address) {
  Dl_info info;
  return dladdr(address, &info) && info.dli_fname && strstr(info.dli_fname, "/libcrypto.so");
}

/* Stands before glibc's: notes the keys that libcrypto makes. */
__attribute__((visibility("default"))) int pthread_key_create(pthread_key_t *key,
                                                              void (*destructor)(void *)) {
  static _Atomic(create_fn *) next;
  create_fn *create = atomic_load(&next);
  if (!create) {
    *(void **)&create = dlsym(RTLD_NEXT, "pthread_key_create");
    atomic_store(&next, create);
  }
  int rc = create(key, destructor);
  if (!rc && is_libcrypto(__builtin_return_address(0))) {
    int i = atomic_fetch_add(&count, 1);
    if (i < KEYS_MAX)
      keys[i] = *key;
  }
  return rc;
}
