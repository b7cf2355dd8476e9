/*
 * sealed_file.c - texts that a start without the database needs, sealed in files of state_dir
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "sealed_file.h"

#include "store/sealed.h"

#include <stdio.h>
#include <time.h>

#define PATH_MAX_TEXT (CONF_VALUE_MAX + 64)

int sealed_file_write(const struct sealed_folder *folder, const char *name, const char *text, char *err, size_t cap) {
  char path[PATH_MAX_TEXT];
  struct sealed_header header = {.time = (int64_t)time(NULL)};
  struct reloadable *reloadable = reloadable_get(folder->reloadable);
  const struct kek_ring *keks = reloadable->keks;
  const char *newest = kek_ring_id(keks, kek_ring_count(keks) - 1);
  snprintf(path, sizeof path, "%s/%s", folder->path, name);
  snprintf(header.kek_id, sizeof header.kek_id, "%s", newest);
  snprintf(header.identity, sizeof header.identity, "%s", name);
  snprintf(header.instance, sizeof header.instance, "%s", folder->instance);
  int rc = sealed_write_text(path, text, &header, kek_ring_find(keks, newest), err, cap);
  reloadable_unref(reloadable);
  return rc;
}

int sealed_file_read(const struct sealed_folder *folder, const char *name, uint32_t max_age, char **text,
                     int64_t *written, char *err, size_t cap) {
  char path[PATH_MAX_TEXT];
  struct sealed_header header = {0};
  struct reloadable *reloadable = reloadable_get(folder->reloadable);
  const struct sealed_reading how = {reloadable->keks, folder->instance, (int64_t)time(NULL), max_age};
  snprintf(path, sizeof path, "%s/%s", folder->path, name);
  int rc = sealed_read_text(path, name, &how, text, &header, err, cap);
  *written = header.time;
  reloadable_unref(reloadable);
  return rc;
}
