/*
 * limits.h - how often, and how many at a time
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Buckets of tokens by name, refilled evenly; and the unexpired tokens of subjects. In memory, of
 * this instance alone. The names used least recently are forgotten.
 */
#ifndef TURNCREDD_LIMITS_H
#define TURNCREDD_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limits;

struct limits *limits_new(size_t names); /* NULL: no memory */
void limits_free(struct limits *limits);
/* One of count in period_ms, which may come all at once. count 0: no limit. false: too many;
 * *wait_ms is when to come again. */
bool limits_rate(struct limits *limits, const char *kind, const char *name, int64_t count,
                 int64_t period_ms, int64_t now_ms, int64_t *wait_ms);
/* Counts what the name holds that has not expired. max 0: no limit. */
bool limits_hold(struct limits *limits, const char *kind, const char *name, int64_t max,
                 int64_t expiry, int64_t now, int64_t *wait_ms);
/* Takes one back that limits_hold has counted. */
void limits_release(struct limits *limits, const char *kind, const char *name, int64_t expiry);

#endif
