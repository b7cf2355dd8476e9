/*
 * library_memory.c - what jansson and OpenSSL allocate: a want of it does not pass unseen
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "library_memory.h"

#include "core/turncred.h"

#include <jansson.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>

static _Thread_local bool was_short;

static void *allocate(size_t size) {
  void *memory = malloc(size);
  was_short |= !memory;
  return memory;
}

static void cleanse_and_free(void *memory) {
  if (memory) {
    turncred_cleanse(memory, malloc_usable_size(memory));
    free(memory);
  }
}

static void *openssl_allocate(size_t size, const char *file, int line) {
  (void)file;
  (void)line;
  return allocate(size);
}

static void *openssl_reallocate(void *memory, size_t size, const char *file, int line) {
  void *more = realloc(memory, size);
  (void)file;
  (void)line;
  was_short |= !more && size;
  return more;
}

static void openssl_free(void *memory, const char *file, int line) {
  (void)file;
  (void)line;
  free(memory);
}

bool library_memory_init(void) {
  json_set_alloc_funcs(allocate, cleanse_and_free);
  CRYPTO_set_mem_functions(openssl_allocate, openssl_reallocate, openssl_free);
  return OSSL_LIB_CTX_get0_global_default() != NULL;
}

bool library_memory_was_short(void) {
  bool before = was_short;
  was_short = false;
  return before;
}
