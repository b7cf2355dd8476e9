/*
 * limits.h - how often a caller may call, and how many tokens a subject may hold
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Rates are token buckets, one for each name, which fill evenly. Everything is in memory, counts what this instance
 * alone has done, and takes about twice the given number of octets at the most. A name that matters is never forgotten:
 * one that holds something unexpired, or whose bucket is not full. So memory may run out for new names. Each name
 * belongs to the group that brought it (a caller): names that do not matter are forgotten from the group with the most
 * names first, and a group that has its share of the memory gets no new name until one of its own can be forgotten.
 */
#ifndef TURNCREDD_LIMITS_H
#define TURNCREDD_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limits;

/* A name: what it is of, who brought it, and itself. */
struct limit_name {
  const char *kind, *group, *name;
};

/* octets: of memory for all names. NULL: out of memory. */
struct limits *limits_new(size_t octets);
void limits_free(struct limits *limits);
/* Counts one use of the name, of which there may be count in period_ms milliseconds, in any order. count 0: no limit.
 * False: there were too many, or there is no room for the name; *wait_ms: milliseconds until the next try. */
bool limits_rate(struct limits *limits, const struct limit_name *name, int64_t count, int64_t period_ms, int64_t now_ms,
                 int64_t *wait_ms);
/* Counts one more thing that the name holds until expiry (UTC seconds), of max. max 0: no limit. False: the name holds
 * as many as it may, or there is no room for it; *wait_ms: milliseconds until the next try. */
bool limits_hold(struct limits *limits, const struct limit_name *name, int64_t max, int64_t expiry, int64_t now,
                 int64_t *wait_ms);
/* Undoes limits_hold for a thing with this expiry; the group does not matter. */
void limits_release(struct limits *limits, const struct limit_name *name, int64_t expiry);
/* Octets in use. */
size_t limits_octets(struct limits *limits);

#endif
