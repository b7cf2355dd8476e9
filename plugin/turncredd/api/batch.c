/*
 * batch.c - a request that is handled as parts
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "batch.h"

#include "issue.h"
#include "turncredd/http/caller_auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AROUND 80 /* octets around the answer of a part */

struct batch {
  size_t count;
  struct request parts[];
};

static void batch_free(void *p) {
  struct batch *batch = p;
  for (size_t i = 0; i < batch->count; i++) {
    struct request *part = &batch->parts[i];
    if (part->work) {
      part->work_free(part->work);
    }
    request_forget(part);
  }
  free(batch);
}

/* The answers of all parts become that of the whole. */
static void put_together(struct request *whole) {
  struct batch *batch = whole->work;
  static const char nothing[] = "{\"error\":\"server_error\",\"error_description\":\"out of memory\"}";
  size_t cap = AROUND, n = 0;
  for (size_t i = 0; i < batch->count; i++) {
    cap += batch->parts[i].answer_len + sizeof nothing + AROUND;
  }
  char *text = malloc(cap);
  if (text) {
    n = (size_t)snprintf(text, cap, "{\"results\":[");
    for (size_t i = 0; i < batch->count; i++) {
      const struct request *part = &batch->parts[i];
      char after[40] = "";
      if (part->retry_after) {
        snprintf(after, sizeof after, ",\"retry_after\":%lld", (long long)part->retry_after);
      }
      n += (size_t)snprintf(text + n, cap - n, "%s{\"status\":%u%s,\"answer\":%s}", i ? "," : "", part->status, after,
                            part->answer ? part->answer : nothing);
    }
    snprintf(text + n, cap - n, "]}");
  }
  request_text(whole, 200, text, "application/json");
}

static void begin_part(struct request *part, struct request *whole) {
  part->daemon = whole->daemon;
  part->reloadable = whole->reloadable;
  part->directory = whole->directory;
  part->caller = whole->caller;
  part->route = whole->route;
  part->method = whole->method;
  part->began_ms = whole->began_ms;
  part->whole = whole;
  memcpy(part->realm, whole->realm, sizeof part->realm);
}

static void run_part(struct request *part, json_t *body, batch_part run, bool counted) {
  if (!counted && !caller_auth_rate(part)) {
    return;
  }
  if (json_is_object(body)) {
    run(part, body);
  } else {
    request_error(part, 400, "invalid_request", "requests: each must be a JSON object");
  }
}

void batch_run(struct request *whole, const json_t *list, batch_part run) {
  size_t count = json_array_size(list);
  struct batch *batch = NULL;
  if (count < 1 || count > BATCH_MAX) {
    request_error(whole, 400, "invalid_request", "requests: must be a list of 1 to %d requests", BATCH_MAX);
    return;
  }
  if (!(batch = calloc(1, sizeof *batch + count * sizeof batch->parts[0]))) {
    request_no_memory(whole);
    return;
  }
  batch->count = count;
  whole->work = batch;
  whole->work_free = batch_free;
  whole->parts_done = put_together;
  atomic_store(&whole->parts, count + 1); /* one more, so that it is not over before all have begun */
  request_wait(whole);
  for (size_t i = 0; i < count; i++) {
    begin_part(&batch->parts[i], whole);
    run_part(&batch->parts[i], json_array_get(list, i), run, i == 0);
  }
  for (size_t i = 0; i < count; i++) {
    if (!batch->parts[i].suspended) {
      request_part_done(whole);
    }
  }
  issue_record_parts(batch->parts, count);
  request_part_done(whole);
}
