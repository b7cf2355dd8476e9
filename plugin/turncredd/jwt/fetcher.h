/*
 * fetcher.h - the thread that fetches the portal's public keys from a URL
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * No request waits for a fetch. Keys in force stay until a fetch has brought usable ones.
 */
#ifndef TURNCREDD_FETCHER_H
#define TURNCREDD_FETCHER_H

#include "jwks.h"
#include "turncredd/daemon_settings.h"

#include <stdbool.h>

struct fetcher;

/* Called once, before there are threads. 0 or -1. */
int fetcher_init(void);
struct fetcher *fetcher_start(void);        /* NULL: out of memory or threads */
void fetcher_stop(struct fetcher *fetcher); /* NULL is allowed */
/* Sets the URL in the settings and begins a fetch of it. Keys of another URL are forgotten. */
void fetcher_configure(struct fetcher *fetcher, const struct settings *settings);
/* The keys in force, with a reference for the caller. NULL: there are none. */
struct jwks *fetcher_keys(struct fetcher *fetcher);
/* Begins a fetch because a token names an unknown key. True: a fetch is under way or about to begin. False: there is no
 * URL, or it was fetched less than ten seconds ago. */
bool fetcher_hurry(struct fetcher *fetcher);
/* Seconds since keys were last fetched; -1: they never were, or there is no URL. */
int64_t fetcher_age(struct fetcher *fetcher);

#endif
