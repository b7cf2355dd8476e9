/*
 * params.c - the parameters of a statement
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "pg.h"

#include <stdio.h>
#include <stdlib.h>

static void add(struct pg_params *params, const char *value, int len, int format) {
  if (params->count >= PG_PARAMS_MAX) {
    abort(); /* no statement of turncred has so many parameters */
  }
  params->values[params->count] = value;
  params->lengths[params->count] = len;
  params->formats[params->count++] = format;
}

void pg_text(struct pg_params *params, const char *text) { add(params, text, 0, 0); }

void pg_int(struct pg_params *params, int64_t value) {
  int n = params->count;
  if (n < PG_PARAMS_MAX) {
    snprintf(params->numbers[n], sizeof params->numbers[n], "%lld", (long long)value);
  }
  add(params, params->numbers[n < PG_PARAMS_MAX ? n : 0], 0, 0);
}

void pg_time(struct pg_params *params, int64_t seconds) {
  if (seconds) {
    pg_int(params, seconds);
  } else {
    pg_text(params, NULL);
  }
}

void pg_octets(struct pg_params *params, const uint8_t *octets, size_t len) {
  add(params, (const char *)octets, (int)len, 1);
}
