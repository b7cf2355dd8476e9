/*
 * allocations.h - counts what OpenSSL and libturncred allocate, and lets one of them fail
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
static long allocations_left = -1; /* so many work, the next one fails, and all after it work; -1: all work */

static int allocation_fails(void) {
  allocations++;
  return allocations_left >= 0 && allocations_left-- == 0;
}

static void *counting_malloc(size_t n, const char *file, int line) {
  (void)file;
  (void)line;
  return allocation_fails() ? NULL : malloc(n);
}

static void *counting_realloc(void *p, size_t n, const char *file, int line) {
  (void)file;
  (void)line;
  return allocation_fails() ? NULL : realloc(p, n);
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
