/*
 * fetcher.h - the thread that fetches the portal's public keys from a URL
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * No request waits for it. Keys in force stay until a fetch has brought usable ones.
 */
#ifndef TURNCREDD_FETCHER_H
#define TURNCREDD_FETCHER_H

#include "jwks.h"
#include "turncredd/daemon_settings.h"

#include <stdbool.h>

struct fetcher;

/* Once, before there are threads. */
int fetcher_init(void);
struct fetcher *fetcher_start(void); /* NULL: no memory or thread */
void fetcher_stop(struct fetcher *fetcher);
/* What to fetch from now on; it is fetched at once. Keys of another URL are forgotten. */
void fetcher_configure(struct fetcher *fetcher, const struct settings *settings);
/* With a reference; NULL: there are none. */
struct jwks *fetcher_keys(struct fetcher *fetcher);
/* A key is wanted that is not there. true: a fetch is under way or about to begin; false: there has
 * been one a moment ago. */
bool fetcher_hurry(struct fetcher *fetcher);
/* Seconds since keys were last fetched; -1: never, or nothing is to be fetched. */
int64_t fetcher_age(struct fetcher *fetcher);

#endif
