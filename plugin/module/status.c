/*
 * status.c - what the command am of turnserver's telnet interface shows
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/clock.h"
#include "module.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "module_settings.h"

struct emitter {
  coturn_auth_status_fn emit;
  void *arg;
};

static void line(const struct emitter *emitter, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void line(const struct emitter *emitter, const char *key, const char *format, ...) {
  char value[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(value, sizeof value, format, args);
  va_end(args);
  emitter->emit(key, value, emitter->arg);
}

static void emit_snapshot(const struct emitter *e, const struct store_status *s, int64_t now) {
  if (s->generation == 0) {
    line(e, "snapshot", "none yet: every request of a client gets 500");
    return;
  }
  line(e, "snapshot", "number %" PRIu64 ", %s", s->generation,
       s->from_disk ? "from snapshot_file" : "from the database");
  line(e, "snapshot age", "%" PRId64 " s", now > s->loaded_at ? now - s->loaded_at : 0);
  line(e, "progress", "%" PRIu64, s->xmin);
}

void module_status(void *state, coturn_auth_status_fn emit, void *arg) {
  struct module *module = state;
  const struct emitter e = {emit, arg};
  struct store_status status;
  store_status(module->store, &status);
  int64_t now = clock_now();
  line(&e, "schema", "%d", SCHEMA_NEWEST);
  line(&e, "configuration", "%s", module->config->path);
  line(&e, "running for", "%" PRId64 " s", now - module->started_at);
  if (atomic_load(&module->draining)) {
    line(&e, "draining", "yes, %" PRIu64 " allocations are left", gauge_get(GAUGE_ALLOCATIONS));
  }
  line(&e, "database", "%s", status.connected ? "connected" : "not connected");
  if (!status.connected && status.database_error[0]) {
    line(&e, "database error", "%s", status.database_error);
  }
  emit_snapshot(&e, &status, now);
  counters_refresh(module); /* the host shows them next */
}
