/*
 * metrics.c - the page of counters, in the text format of Prometheus
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void help(FILE *out, const char *name, const char *type, const char *text) {
  fprintf(out, "# HELP turncredd_%s %s\n# TYPE turncredd_%s %s\n", name, text, name, type);
}

static void one(FILE *out, const char *name, const char *type, const char *text, int64_t value) {
  help(out, name, type, text);
  fprintf(out, "turncredd_%s %" PRId64 "\n", name, value);
}

char *metrics_page(const struct metrics *m, const struct metrics_gauges *g) {
  static const char *const kinds[] = {"token", "derived", "rest", "pushed"};
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (!out) {
    return NULL;
  }
  help(out, "issued_total", "counter", "Credentials issued.");
  for (int i = 0; i < METRIC_KINDS; i++) {
    fprintf(out, "turncredd_issued_total{kind=\"%s\"} %" PRIuFAST64 "\n", kinds[i], atomic_load(&m->issued[i]));
  }
  help(out, "answers_total", "counter", "Requests answered, by class of status.");
  for (int i = 1; i < 6; i++) {
    fprintf(out, "turncredd_answers_total{status=\"%dxx\"} %" PRIuFAST64 "\n", i, atomic_load(&m->answers[i]));
  }
  one(out, "pushes_late_total", "counter", "Pushes answered before every live server had them.",
      (int64_t)atomic_load(&m->late));
  one(out, "limited_total", "counter", "Requests refused by a rate or a cap.", (int64_t)atomic_load(&m->limited));
  one(out, "unrecorded_total", "counter", "Credentials issued without a record, because the journal was full.",
      (int64_t)atomic_load(&m->unrecorded));
  one(out, "journal_delivered_total", "counter", "Journal entries delivered to the database.",
      (int64_t)atomic_load(&m->delivered));
  one(out, "journal_syncs_total", "counter", "How often the journal was written and synced.",
      (int64_t)g->journal_syncs);
  help(out, "journal_sync_seconds_total", "counter", "Time spent syncing the journal.");
  fprintf(out, "turncredd_journal_sync_seconds_total %.6f\n", g->journal_sync_seconds);
  one(out, "journal_entries", "gauge", "Journal entries not yet in the database.", (int64_t)g->journal_entries);
  one(out, "journal_set_aside", "gauge", "Journal entries that the database has refused for good.",
      (int64_t)g->journal_set_aside);
  one(out, "database_up", "gauge", "1 while changes of realms and keys are followed.", g->store.connected);
  one(out, "snapshot_age_seconds", "gauge", "Time since realms and keys were last known to be current; -1: never.",
      g->store.loaded_at ? (int64_t)time(NULL) - g->store.loaded_at : -1);
  one(out, "snapshot_generation", "gauge", "Snapshots taken since the start.", (int64_t)g->store.generation);
  one(out, "keys", "gauge", "Keys in the snapshot, with those of subject tags, which servers do not load.",
      (int64_t)g->store.keys);
  one(out, "refused_rows", "gauge", "Rows of the database that cannot be used.", (int64_t)g->store.refused_rows);
  help(out, "jwks_age_seconds", "gauge",
       "Time since the keys of an issuer (a section of turncredd.conf with a URL) were last fetched; -1: never.");
  for (size_t i = 0; i < g->jwks_count; i++) {
    fprintf(out, "turncredd_jwks_age_seconds{issuer=\"%s\"} %" PRId64 "\n", g->jwks[i].issuer, g->jwks[i].seconds);
  }
  one(out, "start_time_seconds", "gauge", "When the daemon started, in UTC seconds.", g->started_at);
  if (fclose(out)) {
    free(text);
    return NULL;
  }
  return text;
}
