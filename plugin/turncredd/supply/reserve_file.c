/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "reserve_file.h"

#include "sealed_file.h"
#include "turncredd/log.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "reserve"
#define PARTS     16

struct reserve_file {
  struct daemon *daemon;
  uint64_t block;
  json_t *left; /* {"REALM/KID": count}: a realm's name holds no slash */
  char last_error[300];
};

static void name_of(const char *realm, const char *kid, char *out, size_t cap) {
  snprintf(out, cap, "%s/%s", realm, kid);
}

static json_int_t left_of(const struct reserve_file *reserve_file, const char *realm, const char *kid) {
  char name[1024];
  name_of(realm, kid, name, sizeof name);
  return json_integer_value(json_object_get(reserve_file->left, name));
}

static bool store(struct reserve_file *reserve_file) {
  char err[300] = "";
  char *text = json_dumps(reserve_file->left, JSON_COMPACT);
  bool ok = text && !sealed_file_write(reserve_file->daemon, FILE_NAME, text, err, sizeof err);
  free(text);
  if (*err && strcmp(err, reserve_file->last_error) != 0)
    log_line(LOG_WARNING, "%s", err);
  snprintf(reserve_file->last_error, sizeof reserve_file->last_error, "%s", err);
  return ok;
}

struct reserve_file *reserve_file_open(struct daemon *daemon, uint64_t block) {
  char err[300], *text = NULL;
  int64_t written;
  struct reserve_file *reserve_file = calloc(1, sizeof *reserve_file);
  if (!reserve_file)
    return NULL;
  reserve_file->daemon = daemon;
  reserve_file->block = block;
  int rc = sealed_file_read(daemon, FILE_NAME, UINT32_MAX, &text, &written, err, sizeof err);
  if (rc && rc != ENOENT)
    log_line(LOG_WARNING, "%s", err);
  reserve_file->left = rc ? json_object() : json_loads(text, 0, NULL);
  free(text);
  if (json_is_object(reserve_file->left))
    return reserve_file;
  reserve_file_free(reserve_file);
  return NULL;
}

void reserve_file_free(struct reserve_file *reserve_file) {
  if (!reserve_file)
    return;
  json_decref(reserve_file->left);
  free(reserve_file);
}

uint64_t reserve_file_part(const struct reserve_file *reserve_file) {
  return reserve_file->block / PARTS ? reserve_file->block / PARTS : 1;
}

uint64_t reserve_file_wanted(const struct reserve_file *reserve_file, const char *realm, const char *kid) {
  return (uint64_t)left_of(reserve_file, realm, kid) < (reserve_file->block + 1) / 2 ? reserve_file->block : 0;
}

void reserve_file_add(struct reserve_file *reserve_file, const char *realm, const char *kid, uint64_t count) {
  char name[1024];
  const char *other;
  json_t *value, *kept = json_object();
  json_int_t left = left_of(reserve_file, realm, kid);
  name_of(realm, "", name, sizeof name);
  json_object_foreach(reserve_file->left, other, value) {
    if (strncmp(other, name, strlen(name)) != 0)
      json_object_set(kept, other, value);
  }
  name_of(realm, kid, name, sizeof name);
  json_object_set_new(kept, name, json_integer(left + (json_int_t)count));
  json_decref(reserve_file->left);
  reserve_file->left = kept;
  store(reserve_file);
}

uint64_t reserve_file_take(struct reserve_file *reserve_file, const char *realm, const char *kid) {
  char name[1024];
  json_int_t left = left_of(reserve_file, realm, kid), part = (json_int_t)reserve_file_part(reserve_file);
  if (part > left)
    part = left;
  if (part <= 0)
    return 0;
  name_of(realm, kid, name, sizeof name);
  json_object_set_new(reserve_file->left, name, json_integer(left - part));
  if (store(reserve_file))
    return (uint64_t)part;
  json_object_set_new(reserve_file->left, name, json_integer(left));
  return 0;
}
