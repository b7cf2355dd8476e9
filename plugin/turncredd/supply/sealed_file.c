/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "sealed_file.h"

#include "turncredd/daemon.h"
#include "store/sealed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void path_of(const struct reloadable *reloadable, const char *name, char *path, size_t cap) {
  snprintf(path, cap, "%s/%s", reloadable->settings.state_dir, name);
}

bool sealed_file_wanted(struct daemon *daemon) {
  struct reloadable *reloadable = reloadable_get(daemon);
  bool wanted = *reloadable->settings.store.snapshot_file && kek_ring_count(reloadable->keks) > 0;
  reloadable_unref(reloadable);
  return wanted;
}

int sealed_file_write(struct daemon *daemon, const char *name, const char *text, char *err, size_t cap) {
  char path[CONF_VALUE_MAX + 64];
  struct sealed_header header = {.time = (int64_t)time(NULL)};
  struct reloadable *reloadable = reloadable_get(daemon);
  const char *id = kek_ring_id(reloadable->keks, kek_ring_count(reloadable->keks) - 1);
  path_of(reloadable, name, path, sizeof path);
  snprintf(header.kek_id, sizeof header.kek_id, "%s", id);
  snprintf(header.identity, sizeof header.identity, "%s", name);
  snprintf(header.instance, sizeof header.instance, "%s", daemon->instance);
  int rc = sealed_write_text(path, text, &header, kek_ring_find(reloadable->keks, id), err, cap);
  reloadable_unref(reloadable);
  return rc;
}

int sealed_file_read(struct daemon *daemon, const char *name, uint32_t max_age, char **text,
              int64_t *written, char *err, size_t cap) {
  char path[CONF_VALUE_MAX + 64];
  struct sealed_header header;
  struct reloadable *reloadable = reloadable_get(daemon);
  const struct sealed_reading how = {reloadable->keks, daemon->instance, (int64_t)time(NULL), max_age};
  path_of(reloadable, name, path, sizeof path);
  int rc = sealed_read_text(path, name, &how, text, &header, err, cap);
  *written = header.time;
  reloadable_unref(reloadable);
  return rc;
}
