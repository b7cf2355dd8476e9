/* pgarray.h - PostgreSQL array literals, for statements over many rows at once
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_PGARRAY_H
#define TURNCRED_PGARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pgarray {
  char *text; /* "{...}" after pgarray_end */
  size_t len, cap;
  bool failed; /* no memory: looked at once, at the end */
};

void pgarray_text(struct pgarray *array, const char *text);                    /* NULL: null */
void pgarray_octets(struct pgarray *array, const uint8_t *octets, size_t len); /* bytea */
/* NULL when there was no memory. Valid until pgarray_clear. */
const char *pgarray_end(struct pgarray *array);
void pgarray_clear(struct pgarray *array);

#endif
