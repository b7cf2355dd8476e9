/*
 * metrics.h - counters, and the page that shows them in the text format of Prometheus
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_METRICS_H
#define TURNCREDD_METRICS_H

#include "jwt/fetcher.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stdint.h>

enum metric_kind { METRIC_TOKEN, METRIC_DERIVED, METRIC_REST, METRIC_PUSHED, METRIC_KINDS };

struct metrics {
  atomic_uint_fast64_t issued[METRIC_KINDS];
  atomic_uint_fast64_t answers[6]; /* by the first digit of the status */
  atomic_uint_fast64_t late;       /* pushes answered with 202 */
  atomic_uint_fast64_t limited;    /* requests refused by a rate or a cap */
  atomic_uint_fast64_t unrecorded; /* issued while the journal was full (journal_full = continue) */
  atomic_uint_fast64_t delivered;  /* journal entries taken to the database */
};

/* What other parts of the daemon know at the time of a page. */
struct metrics_gauges {
  struct store_status store;
  uint64_t journal_syncs;
  double journal_sync_seconds;
  size_t journal_entries, journal_set_aside;
  struct fetcher_age jwks[ISSUERS_MAX];
  size_t jwks_count;
  int64_t started_at; /* UTC seconds */
};

static inline void metric_count(atomic_uint_fast64_t *counter) {
  atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Makes the page, which the caller frees. NULL: out of memory. */
char *metrics_page(const struct metrics *metrics, const struct metrics_gauges *gauges);

#endif
