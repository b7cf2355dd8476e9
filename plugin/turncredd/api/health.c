/*
 * health.c - /healthz, /readyz and /metrics
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "handlers.h"
#include "turncredd/http/caller_auth.h"

#include <string.h>

void health_alive(struct request *r) { request_answer(r, 200, json_pack("{s:s}", "status", "ok")); }

void health_ready(struct request *r) {
  struct store_status status;
  store_status(r->daemon->store, &status);
  bool draining = atomic_load(&r->daemon->draining);
  bool ready = status.generation > 0 && r->directory && !draining;
  bool full = journal_waiting(r->daemon->journal) >= (size_t)r->reloadable->settings.journal_entries;
  bool writable = journal_writable(r->daemon->journal);
  request_answer(r, ready && !full && writable ? 200 : 503,
                 json_pack("{s:s, s:b, s:b, s:b, s:I, s:I}", "status",
                           draining    ? "draining"
                           : !ready    ? "loading"
                           : full      ? "journal_full"
                           : !writable ? "journal_unwritable"
                                       : "ready",
                           "loaded", status.generation > 0 && r->directory, "database", status.connected, "journal",
                           delivery_connected(r->daemon->delivery), "undelivered",
                           (json_int_t)journal_waiting(r->daemon->journal), "set_aside",
                           (json_int_t)delivery_set_aside(r->daemon->delivery)));
}

void health_metrics(struct request *r) {
  if (!r->monitor && !caller_auth_required(r, SCOPE_METRICS, NULL)) {
    return;
  }
  struct daemon *daemon = r->daemon;
  struct metrics_gauges gauges = {.journal_entries = journal_waiting(daemon->journal),
                                  .journal_set_aside = delivery_set_aside(daemon->delivery),
                                  .started_at = daemon->started_at};
  gauges.jwks_count = fetchers_ages(daemon->fetchers, gauges.jwks);
  gauges.journal_syncs = journal_syncs(daemon->journal, &gauges.journal_sync_seconds);
  store_status(daemon->store, &gauges.store);
  request_text(r, 200, metrics_page(&daemon->metrics, &gauges), "text/plain; version=0.0.4");
}
