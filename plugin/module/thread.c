/*
 * thread.c - what each thread of the host keeps: a reader, a workspace, its last grant
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/secret_memory.h"
#include "module.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#define WS_SLOTS 32 /* keys whose OpenSSL contexts stay keyed, per thread */

static void thread_destroy(struct thread *thread) {
  store_reader_free(thread->reader);
  turncred_ws_free(thread->ws);
  OPENSSL_cleanse(thread, sizeof *thread);
  free(thread);
}

/* The destructor of thread_key: runs when a thread of the host ends. */
static void thread_free(void *arg) {
  struct thread *thread = arg;
  if (!thread) {
    return;
  }
  struct module *module = thread->module;
  pthread_mutex_lock(&module->threads_lock);
  if (thread->next) {
    thread->next->link = thread->link;
  }
  *thread->link = thread->next;
  pthread_mutex_unlock(&module->threads_lock);
  thread_destroy(thread);
}

int threads_init(struct module *module) {
  int error = pthread_mutex_init(&module->threads_lock, NULL);
  if (error) {
    return error;
  }
  return pthread_key_create(&module->thread_key, thread_free);
}

/* Deletes the key first, so that no destructor runs any more: the host may end its threads only after
 * stop(). */
void threads_free(struct module *module) {
  pthread_key_delete(module->thread_key);
  struct thread *next = module->threads;
  module->threads = NULL;
  while (next) {
    struct thread *thread = next;
    next = thread->next;
    thread_destroy(thread);
  }
  pthread_mutex_destroy(&module->threads_lock);
}

struct thread *thread_get(struct module *module) {
  struct thread *thread = pthread_getspecific(module->thread_key);
  if (thread) {
    return thread;
  }
  thread = calloc(1, sizeof *thread);
  if (!thread) {
    return NULL;
  }
  thread->module = module;
  thread->reader = store_reader_new(module->store);
  thread->ws = turncred_ws_new(WS_SLOTS);
  secret_hide_heap(); /* the contexts that will have keys */
  pthread_mutex_lock(&module->threads_lock);
  thread->next = module->threads;
  thread->link = &module->threads;
  if (thread->next) {
    thread->next->link = &thread->next;
  }
  module->threads = thread;
  pthread_mutex_unlock(&module->threads_lock);
  if (!thread->reader || !thread->ws || pthread_setspecific(module->thread_key, thread) != 0) {
    thread_free(thread);
    return NULL;
  }
  return thread;
}
