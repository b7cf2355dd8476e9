/*
 * reserve_file.c - tokens that are reserved for a time without the database, on disk
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "reserve_file.h"

#include "turncredd/log.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "reserve"
#define PARTS 16 /* of a block */

struct reserve_file {
  const struct sealed_folder *folder;
  uint64_t block;
  json_t *left; /* {"REALM/KID": count}; the name of a realm has no slash */
  char last_error[300];
};

static void name_of(const char *realm, const char *kid, char *out, size_t cap) {
  snprintf(out, cap, "%s/%s", realm, kid);
}

static json_int_t left_of(const struct reserve_file *file, const char *realm, const char *kid) {
  char name[1024];
  name_of(realm, kid, name, sizeof name);
  return json_integer_value(json_object_get(file->left, name));
}

/* Writes the file. False: it cannot be written, which has been logged once. */
static bool save(struct reserve_file *file) {
  char err[300] = "";
  char *text = json_dumps(file->left, JSON_COMPACT);
  bool ok = text && !sealed_file_write(file->folder, FILE_NAME, text, err, sizeof err);
  free(text);
  if (*err && strcmp(err, file->last_error) != 0) {
    log_line(LOG_WARNING, "%s", err);
  }
  snprintf(file->last_error, sizeof file->last_error, "%s", err);
  return ok;
}

struct reserve_file *reserve_file_open(const struct sealed_folder *folder, uint64_t block) {
  char err[300], *text = NULL;
  int64_t written;
  struct reserve_file *file = calloc(1, sizeof *file);
  if (!file) {
    return NULL;
  }
  file->folder = folder;
  file->block = block;
  int rc = sealed_file_read(folder, FILE_NAME, UINT32_MAX, &text, &written, err, sizeof err);
  if (rc && rc != ENOENT) {
    log_line(LOG_WARNING, "%s", err);
  }
  file->left = rc ? json_object() : json_loads(text, 0, NULL);
  free(text);
  if (json_is_object(file->left)) {
    return file;
  }
  reserve_file_free(file);
  return NULL;
}

void reserve_file_free(struct reserve_file *file) {
  if (!file) {
    return;
  }
  json_decref(file->left);
  free(file);
}

uint64_t reserve_file_part(const struct reserve_file *file) { return file->block / PARTS ? file->block / PARTS : 1; }

uint64_t reserve_file_wanted(const struct reserve_file *file, const char *realm, const char *kid) {
  return (uint64_t)left_of(file, realm, kid) < (file->block + 1) / 2 ? file->block : 0;
}

void reserve_file_add(struct reserve_file *file, const char *realm, const char *kid, uint64_t count) {
  char name[1024];
  const char *other;
  json_t *value, *kept = json_object();
  json_int_t left = left_of(file, realm, kid);
  bool ok = kept != NULL;
  name_of(realm, "", name, sizeof name);
  json_object_foreach(file->left, other, value) {
    if (ok && strncmp(other, name, strlen(name)) != 0) {
      ok = !json_object_set(kept, other, value);
    }
  }
  name_of(realm, kid, name, sizeof name);
  if (!ok || json_object_set_new(kept, name, json_integer(left + (json_int_t)count))) {
    json_decref(kept); /* out of memory: these tokens are lost, which is safe */
    return;
  }
  json_decref(file->left);
  file->left = kept;
  save(file);
}

uint64_t reserve_file_take(struct reserve_file *file, const char *realm, const char *kid) {
  char name[1024];
  json_int_t left = left_of(file, realm, kid), part = (json_int_t)reserve_file_part(file);
  if (part > left) {
    part = left;
  }
  if (part <= 0) {
    return 0;
  }
  name_of(realm, kid, name, sizeof name);
  /* what is handed out is taken off first: nothing is handed out twice */
  if (json_object_set_new(file->left, name, json_integer(left - part))) {
    return 0;
  }
  if (save(file)) {
    return (uint64_t)part;
  }
  json_object_set_new(file->left, name, json_integer(left)); /* without memory fewer are left, which is safe */
  return 0;
}
