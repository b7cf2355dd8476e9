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

struct purse {
  struct daemon *daemon;
  uint64_t block;
  json_t *left; /* {"REALM/KID": count}: a realm's name holds no slash */
  char last_error[300];
};

static void name_of(const char *realm, const char *kid, char *out, size_t cap) {
  snprintf(out, cap, "%s/%s", realm, kid);
}

static json_int_t left_of(const struct purse *purse, const char *realm, const char *kid) {
  char name[1024];
  name_of(realm, kid, name, sizeof name);
  return json_integer_value(json_object_get(purse->left, name));
}

static bool store(struct purse *purse) {
  char err[300] = "";
  char *text = json_dumps(purse->left, JSON_COMPACT);
  bool ok = text && !keep_write(purse->daemon, FILE_NAME, text, err, sizeof err);
  free(text);
  if (*err && strcmp(err, purse->last_error) != 0)
    say(SAY_WARNING, "%s", err);
  snprintf(purse->last_error, sizeof purse->last_error, "%s", err);
  return ok;
}

struct purse *purse_open(struct daemon *daemon, uint64_t block) {
  char err[300], *text = NULL;
  int64_t written;
  struct purse *purse = calloc(1, sizeof *purse);
  if (!purse)
    return NULL;
  purse->daemon = daemon;
  purse->block = block;
  int rc = keep_read(daemon, FILE_NAME, UINT32_MAX, &text, &written, err, sizeof err);
  if (rc && rc != ENOENT)
    say(SAY_WARNING, "%s", err);
  purse->left = rc ? json_object() : json_loads(text, 0, NULL);
  free(text);
  if (json_is_object(purse->left))
    return purse;
  purse_free(purse);
  return NULL;
}

void purse_free(struct purse *purse) {
  if (!purse)
    return;
  json_decref(purse->left);
  free(purse);
}

uint64_t purse_part(const struct purse *purse) {
  return purse->block / PARTS ? purse->block / PARTS : 1;
}

uint64_t purse_wanted(const struct purse *purse, const char *realm, const char *kid) {
  return (uint64_t)left_of(purse, realm, kid) < (purse->block + 1) / 2 ? purse->block : 0;
}

void purse_add(struct purse *purse, const char *realm, const char *kid, uint64_t count) {
  char name[1024];
  const char *other;
  json_t *value, *kept = json_object();
  json_int_t left = left_of(purse, realm, kid);
  name_of(realm, "", name, sizeof name);
  json_object_foreach(purse->left, other, value) {
    if (strncmp(other, name, strlen(name)) != 0)
      json_object_set(kept, other, value);
  }
  name_of(realm, kid, name, sizeof name);
  json_object_set_new(kept, name, json_integer(left + (json_int_t)count));
  json_decref(purse->left);
  purse->left = kept;
  store(purse);
}

uint64_t purse_take(struct purse *purse, const char *realm, const char *kid) {
  char name[1024];
  json_int_t left = left_of(purse, realm, kid), part = (json_int_t)purse_part(purse);
  if (part > left)
    part = left;
  if (part <= 0)
    return 0;
  name_of(realm, kid, name, sizeof name);
  json_object_set_new(purse->left, name, json_integer(left - part));
  if (store(purse))
    return (uint64_t)part;
  json_object_set_new(purse->left, name, json_integer(left));
  return 0;
}
