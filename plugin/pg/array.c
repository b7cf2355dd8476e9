/* array.c - PostgreSQL array literals, for statements over many rows at once
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "array.h"

#include "core/turncred.h"

#include <stdlib.h>
#include <string.h>

static char *room(struct pg_array *array, size_t more) {
  if (array->failed) {
    return NULL;
  }
  if (array->cap - array->len < more) {
    size_t cap = 2 * array->cap + more + 64;
    char *text = malloc(cap); /* realloc would leave a copy behind */
    if (!text) {
      array->failed = true;
      return NULL;
    }
    if (array->text) {
      memcpy(text, array->text, array->len);
      turncred_cleanse(array->text, array->cap);
      free(array->text);
    }
    array->text = text;
    array->cap = cap;
  }
  return array->text + array->len;
}

static char *put(char *at, const char *text) {
  while (*text) {
    *at++ = *text++;
  }
  return at;
}

static char *begin(struct pg_array *array, size_t more) {
  char *at = room(array, more + 4);
  if (at) {
    *at++ = array->len ? ',' : '{';
  }
  return at;
}

void pg_array_text(struct pg_array *array, const char *text) {
  char *at = begin(array, text ? 2 * strlen(text) : 4);
  if (!at) {
    return;
  }
  if (!text) {
    array->len = (size_t)(put(at, "NULL") - array->text);
    return;
  }
  *at++ = '"';
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') {
      *at++ = '\\';
    }
    *at++ = *text;
  }
  *at++ = '"';
  array->len = (size_t)(at - array->text);
}

void pg_array_octets(struct pg_array *array, const uint8_t *octets, size_t len) {
  static const char digits[] = "0123456789abcdef";
  char *at = begin(array, 2 * len + 5);
  if (!at) {
    return;
  }
  at = put(at, "\"\\\\x");
  for (size_t i = 0; i < len; i++) {
    *at++ = digits[octets[i] >> 4];
    *at++ = digits[octets[i] & 15];
  }
  *at++ = '"';
  array->len = (size_t)(at - array->text);
}

const char *pg_array_end(struct pg_array *array) {
  char *at = room(array, 3);
  if (!at) {
    return NULL;
  }
  if (!array->len) {
    *at++ = '{';
  }
  *at++ = '}';
  *at = '\0';
  return array->text;
}

void pg_array_clear(struct pg_array *array) {
  if (array->text) {
    turncred_cleanse(array->text, array->cap); /* long-term keys may be in it */
  }
  free(array->text);
  memset(array, 0, sizeof *array);
}
