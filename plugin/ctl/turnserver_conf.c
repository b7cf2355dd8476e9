/*
 * turnserver_conf.c - realm, static users and static secrets of a turnserver.conf
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Lines are taken apart as coturn does: "name=value" or "name value", blanks around, # comments.
 */
#include "config.h"

#include "turnserver_conf.h"

#include "core/turncred.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char blanks[] = " \t\r\n";

/* Adds a line; -1: out of memory. */
static int add_line(struct turnserver_conf *conf, const char *value, unsigned number, bool secret) {
  struct turnserver_line *more =
      realloc(conf->lines, (conf->count + 1) * sizeof *more); /* moves pointers, not secrets */
  if (!more) {
    return -1;
  }
  conf->lines = more;
  more[conf->count] = (struct turnserver_line){strdup(value), strlen(value), number, secret};
  if (!more[conf->count].value) {
    return -1;
  }
  conf->count++;
  return 0;
}

/* Splits a line in place into name and value; false: the line is blank or a comment. */
static bool split(char *line, char **name, char **value) {
  *name = line + strspn(line, blanks);
  size_t len = strlen(*name);
  while (len && strchr(blanks, (*name)[len - 1])) {
    (*name)[--len] = '\0';
  }
  if (!len || **name == '#') {
    return false;
  }
  size_t end = strcspn(*name, " \t=");
  *value = *name + end;
  *value += strspn(*value, " \t=");
  (*name)[end] = '\0';
  len = strlen(*value);
  if (len > 1 && **value == '"' && (*value)[len - 1] == '"') {
    (*value)[len - 1] = '\0';
    ++*value;
  }
  return true;
}

enum ctl_exit turnserver_conf_read(const struct ctl *ctl, const char *path, struct turnserver_conf *out) {
  char line[1026], *name, *value;
  enum ctl_exit rc = CTL_OK;
  *out = (struct turnserver_conf){.realm = ""};
  FILE *f = fopen(path, "re");
  if (!f) {
    return ctl_fail(ctl, CTL_USAGE, "--turnserver-conf %s: %s", path, strerror(errno));
  }
  for (unsigned n = 1; !rc && fgets(line, sizeof line, f); n++) {
    if (!split(line, &name, &value)) {
      continue;
    }
    bool secret = !strcmp(name, "static-auth-secret");
    if (!strcmp(name, "realm")) {
      snprintf(out->realm, sizeof out->realm, "%s", value);
    } else if ((secret || !strcmp(name, "user")) && add_line(out, value, n, secret)) {
      rc = ctl_fail(ctl, CTL_INTERNAL, "out of memory");
    }
  }
  if (!rc && ferror(f)) {
    rc = ctl_fail(ctl, CTL_USAGE, "--turnserver-conf %s: %s", path, strerror(errno));
  }
  fclose(f);
  turncred_cleanse(line, sizeof line);
  return rc;
}

void turnserver_conf_free(struct turnserver_conf *conf) {
  for (size_t i = 0; i < conf->count; i++) {
    turncred_cleanse(conf->lines[i].value, conf->lines[i].len);
    free(conf->lines[i].value);
  }
  free(conf->lines);
  *conf = (struct turnserver_conf){.realm = ""};
}

const char *turnserver_user_key(char *value, const char *realm, char hex[33]) {
  uint8_t key[TURNCRED_LONG_TERM_MD5];
  char *password = strchr(value, ':');
  if (!password || password == value || !password[1]) {
    return "the value is not name:password";
  }
  *password++ = '\0';
  password += strspn(password, " \t");
  if (!strncmp(password, "0x", 2)) {
    snprintf(hex, 33, "%.32s", password + 2);
    return NULL;
  }
  if (turncred_long_term_md5(NULL, value, strlen(value), realm, password, key)) {
    return "the key cannot be made: name, realm or password is too long";
  }
  for (size_t i = 0; i < sizeof key; i++) {
    snprintf(hex + 2 * i, 3, "%02x", key[i]);
  }
  turncred_cleanse(key, sizeof key);
  return NULL;
}
