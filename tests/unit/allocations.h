/*
 * allocations.h - counts what OpenSSL and libturncred allocate
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * All memory of both comes through CRYPTO_malloc. Nothing may have been allocated before count_allocations().
 */
#ifndef TESTS_UNIT_ALLOCATIONS_H
#define TESTS_UNIT_ALLOCATIONS_H

#include <openssl/crypto.h>
#include <stdlib.h>

static long allocations;

static void *counting_malloc(size_t n, const char *file, int line) {
  (void)file;
  (void)line;
  allocations++;
  return malloc(n);
}

static void *counting_realloc(void *p, size_t n, const char *file, int line) {
  (void)file;
  (void)line;
  allocations++;
  return realloc(p, n);
}

static void counting_free(void *p, const char *file, int line) {
  (void)file;
  (void)line;
  free(p);
}

/* 1 if allocations are counted from now on, 0 if it is too late for that */
static int count_allocations(void) {
  return CRYPTO_set_mem_functions(counting_malloc, counting_realloc, counting_free);
}

#endif
