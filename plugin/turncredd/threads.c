/*
 * threads.c - what each thread that answers requests has of its own
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "threads.h"

#include <pthread.h>

static pthread_key_t reader_key, ws_key;

static void drop_reader(void *p) { store_reader_free(p); }
static void drop_ws(void *p) { turncred_ws_free(p); }

int thread_keys_init(void) {
  int rc = pthread_key_create(&reader_key, drop_reader);
  return rc ? rc : pthread_key_create(&ws_key, drop_ws);
}

struct store_reader *thread_reader(struct store *store) {
  struct store_reader *reader = pthread_getspecific(reader_key);
  if (!reader && (reader = store_reader_new(store)) && pthread_setspecific(reader_key, reader)) {
    store_reader_free(reader);
    reader = NULL;
  }
  return reader;
}

struct turncred_ws *thread_ws(void) {
  struct turncred_ws *ws = pthread_getspecific(ws_key);
  if (!ws && (ws = turncred_ws_new(16)) && pthread_setspecific(ws_key, ws)) {
    turncred_ws_free(ws);
    ws = NULL;
  }
  return ws;
}
