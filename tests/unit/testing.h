/*
 * testing.h - what core's tests share
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_TESTING_H
#define TURNCRED_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/turncred.h"

struct octets {
  uint8_t data[1024];
  size_t len;
};

/* Does not use the library: it is what is tested. */
static inline struct octets octets_of_hex(const char *hex) {
  struct octets o = {{0}, 0};
  unsigned v;

  for (; hex[0] != '\0'; hex += 2) {
    assert_true(o.len < sizeof(o.data));
    assert_int_equal(sscanf(hex, "%2x", &v), 1);
    o.data[o.len++] = (uint8_t)v;
  }
  return o;
}

static inline void assert_octets(const uint8_t *got, size_t got_len, const struct octets *want) {
  assert_int_equal(got_len, want->len);
  assert_memory_equal(got, want->data, want->len);
}

static inline int is_zero(const void *p, size_t n) {
  const uint8_t *b = p;
  size_t i;

  for (i = 0; i < n; i++) {
    if (b[i] != 0) {
      return 0;
    }
  }
  return 1;
}

/* xorshift: tests repeat themselves exactly */
static inline uint32_t next_random(uint32_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

static inline struct turncred_key a_key(enum turncred_use use, enum turncred_alg alg,
                                        enum turncred_derivation derivation, uint8_t fill) {
  struct turncred_key key;
  uint8_t k[TURNCRED_KEY_MAX];
  size_t len = turncred_key_length(use, alg, derivation);
  size_t i;

  for (i = 0; i < sizeof(k); i++) {
    k[i] = (uint8_t)(fill + 7 * i);
  }
  assert_int_equal(turncred_key_init(&key, use, alg, derivation, k, len > 0 ? len : 20), TURNCRED_OK);
  return key;
}

#endif
