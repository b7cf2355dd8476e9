/* array.h - PostgreSQL array literals, for statements over many rows at once
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_PG_ARRAY_H
#define TURNCRED_PG_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pg_array {
  char *text; /* "{...}" after pg_array_end */
  size_t len, cap;
  bool failed; /* out of memory; pg_array_end tells */
};

void pg_array_text(struct pg_array *array, const char *text);                    /* NULL: null */
void pg_array_octets(struct pg_array *array, const uint8_t *octets, size_t len); /* bytea */
/* The whole literal, valid until pg_array_clear. NULL: out of memory. */
const char *pg_array_end(struct pg_array *array);
void pg_array_clear(struct pg_array *array);

#endif
