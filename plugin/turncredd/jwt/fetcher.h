/*
 * fetcher.h - fetches the public keys of issuers from their URLs, each on a thread of its own
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * No request waits for a fetch, and no issuer for another. Keys in force stay until a fetch has brought usable ones.
 */
#ifndef TURNCREDD_FETCHER_H
#define TURNCREDD_FETCHER_H

#include "jwks.h"
#include "turncredd/daemon_settings.h"

#include <stdbool.h>

struct fetchers;

/* Called once, before there are threads. 0 or -1. */
int fetchers_init(void);
struct fetchers *fetchers_new(void);           /* NULL: out of memory */
void fetchers_stop(struct fetchers *fetchers); /* NULL is allowed */
/* Sets the URLs of the issuers in the settings and begins to fetch them. Keys of another URL are forgotten. 0, or -1:
 * out of threads; what could not be started is tried again at the next call. */
int fetchers_configure(struct fetchers *fetchers, const struct settings *settings);
/* The keys in force of the issuer, with a reference for the caller. NULL: there are none. */
struct jwks *fetchers_keys(struct fetchers *fetchers, const struct issuer *issuer);
/* Begins a fetch because a token of the issuer names an unknown key. True: a fetch is under way or about to begin.
 * False: there is no URL, or it was fetched less than ten seconds ago. */
bool fetchers_hurry(struct fetchers *fetchers, const struct issuer *issuer);
struct fetcher_age {
  char issuer[CONF_NAME_MAX];
  int64_t seconds; /* since the issuer's keys were last fetched; -1: they never were */
};

/* Fills in the age of the keys of each issuer that has a URL, and returns how many these are. */
size_t fetchers_ages(struct fetchers *fetchers, struct fetcher_age ages[ISSUERS_MAX]);

#endif
