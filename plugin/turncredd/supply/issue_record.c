/*
 * issue_record.c - what was issued, as an entry of the journal and as the database takes it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "issue_record.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

char *issue_record_text(const struct issue_record *record) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  json_int_t us = (json_int_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
  json_t *object = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s}", "t", us, "realm", record->realm, "kind",
                             record->kind, "kid", record->kid, "fp", record->fingerprint, "sub", record->subject, "exp",
                             (json_int_t)record->expiry, "caller", record->caller, "provider", record->provider);
  char *json = object ? json_dumps(object, JSON_COMPACT) : NULL;
  json_decref(object);
  if (json) { /* without the first brace: the journal begins the object with its number */
    memmove(json, json + 1, strlen(json));
  }
  return json;
}

struct batch {
  FILE *out;
  size_t count;
};

static void append(uint64_t number, const char *octets, size_t len, void *arg) {
  struct batch *batch = arg;
  fprintf(batch->out, "%s{\"q\":%" PRIu64 ",", batch->count++ ? "," : "[", number);
  fwrite(octets, 1, len, batch->out);
}

char *issue_record_batch(struct journal *journal, size_t max, size_t *count) {
  char *text = NULL;
  size_t size = 0;
  struct batch batch = {open_memstream(&text, &size), 0};
  if (!batch.out) {
    return NULL;
  }
  journal_read(journal, max, append, &batch);
  fputc(']', batch.out);
  *count = batch.count;
  if (!fclose(batch.out) && batch.count) {
    return text;
  }
  free(text);
  return NULL;
}
