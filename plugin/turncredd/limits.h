/*
 * limits.h - how often a caller may call, and how many tokens a subject may hold
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Rates are token buckets, one for each name, which fill evenly. Everything is in memory and counts what this instance
 * alone has done. When there are too many names, the one that was used least recently is forgotten.
 */
#ifndef TURNCREDD_LIMITS_H
#define TURNCREDD_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limits;

/* names: how many are remembered. NULL: out of memory. */
struct limits *limits_new(size_t names);
void limits_free(struct limits *limits);
/* Counts one use of the name, of which there may be count in period_ms milliseconds, in any order. count 0: no limit.
 * False: there were too many; *wait_ms: milliseconds until the next one is allowed. */
bool limits_rate(struct limits *limits, const char *kind, const char *name, int64_t count, int64_t period_ms,
                 int64_t now_ms, int64_t *wait_ms);
/* Counts one more thing that the name holds until expiry (UTC seconds), of max. max 0: no limit. False: the name holds
 * as many as it may; *wait_ms: milliseconds until the first of them expires. */
bool limits_hold(struct limits *limits, const char *kind, const char *name, int64_t max, int64_t expiry, int64_t now,
                 int64_t *wait_ms);
/* Undoes limits_hold for a thing with this expiry. */
void limits_release(struct limits *limits, const char *kind, const char *name, int64_t expiry);

#endif
