/*
 * metrics.h - counters, in the text format of Prometheus
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_METRICS_H
#define TURNCREDD_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

enum metric_kind { METRIC_TOKEN, METRIC_DERIVED, METRIC_REST, METRIC_PUSHED, METRIC_KINDS };

struct metrics {
  atomic_uint_fast64_t issued[METRIC_KINDS];
  atomic_uint_fast64_t answers[6]; /* by hundreds of the status */
  atomic_uint_fast64_t late;       /* pushes answered with 202 */
  atomic_uint_fast64_t limited;    /* refused by a rate limit */
  atomic_uint_fast64_t unrecorded; /* issued while the journal was full (journal_full continue) */
  atomic_uint_fast64_t delivered;  /* journal entries */
};

static inline void metric_count(atomic_uint_fast64_t *counter) {
  atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

struct daemon;
/* The page, which the caller frees; NULL: no memory. */
char *metrics_page(struct daemon *daemon);

#endif
