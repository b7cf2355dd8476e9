/*
 * vectors.h - tests/conformance/vectors.json for tests
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_TEST_VECTORS_H
#define TURNCRED_TEST_VECTORS_H

#include "testing.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* The file's root; the test fails if it cannot be read. */
static inline json_t *vectors_load(void) {
  const char *top = getenv("top_srcdir");
  char path[4096];
  json_error_t error;
  json_t *root;

  snprintf(path, sizeof(path), "%s/tests/conformance/vectors.json", top != NULL ? top : ".");
  root = json_load_file(path, JSON_ALLOW_NUL, &error);
  if (root == NULL) {
    fail_msg("%s: %s (run by make check, or set top_srcdir)", path, error.text);
  }
  return root;
}

static inline const char *vec_string(const json_t *o, const char *name) {
  const char *s = json_string_value(json_object_get(o, name));

  if (s == NULL) {
    fail_msg("vectors.json: an entry lacks %s", name);
  }
  return s;
}

static inline int64_t vec_int(const json_t *o, const char *name) {
  const json_t *v = json_object_get(o, name);

  if (!json_is_integer(v)) {
    fail_msg("vectors.json: an entry lacks %s", name);
  }
  return json_integer_value(v);
}

static inline struct octets vec_hex(const json_t *o, const char *name) { return octets_of_hex(vec_string(o, name)); }

#endif
