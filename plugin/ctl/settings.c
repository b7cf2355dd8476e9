/*
 * settings.c - where the database and the key encryption key are
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * An option comes before the environment, the environment before the configuration file. The
 * configuration file is optional unless --config or TURNCRED_CONFIG names it.
 */
#include "config.h"

#include "base/conf.h"
#include "ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CONFIG SYSCONFDIR "/turncred/turncredctl.conf"

static char *trim(char *text) {
  text += strspn(text, " \t");
  size_t len = strlen(text);
  while (len && strchr(" \t\r\n", text[len - 1])) {
    text[--len] = '\0';
  }
  return text;
}

/* Refuses a line. Only what looks like a setting's name is repeated: anything else may be a connection string. */
static enum ctl_exit bad_line(const struct ctl *ctl, const char *path, unsigned n, const char *name) {
  bool named = conf_is_name(name);
  return ctl_fail(
      ctl, CTL_USAGE,
      "configuration file %s, line %u: %s%.40s%s is not a setting; settings are database = CONNINFO and kek "
      "= PATH",
      path, n, named ? "\"" : "", named ? name : "this", named ? "\"" : "");
}

/* Reads one line. */
static enum ctl_exit read_line(struct ctl *ctl, const char *path, unsigned n, char *line) {
  char *name = trim(n == 1 ? conf_behind_mark(line) : line), *equals = strchr(name, '='), why[300] = "";
  char **slot = NULL;
  bool password;
  if (!*name || *name == '#') {
    return CTL_OK;
  }
  if (equals) {
    *equals = '\0';
    name = trim(name);
    slot = !strcmp(name, "database") ? &ctl->database : !strcmp(name, "kek") ? &ctl->kek : NULL;
  }
  if (!slot) {
    return bad_line(ctl, path, n, equals ? name : "");
  }
  if (slot == &ctl->database && conf_conninfo(trim(equals + 1), &password, why, sizeof why)) {
    return ctl_fail(ctl, CTL_USAGE, "configuration file %s, line %u: database %s", path, n, why);
  }
  if (!*slot && !(*slot = strdup(trim(equals + 1)))) {
    return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  return CTL_OK;
}

/* Reads the configuration file path; settings that have a value already keep it. named: a file that
 * does not exist is an error. */
static enum ctl_exit read_file(struct ctl *ctl, const char *path, bool named) {
  FILE *f = fopen(path, "re");
  if (!f) {
    if (errno == ENOENT && !named) {
      return CTL_OK;
    }
    return ctl_fail(ctl, CTL_USAGE, "configuration file %s: %s", path, strerror(errno));
  }
  char line[2 * CONF_VALUE_MAX];
  enum ctl_exit rc = CTL_OK;
  for (unsigned n = 1; !rc && fgets(line, sizeof line, f); n++) {
    rc = strchr(line, '\n') || feof(f)
             ? read_line(ctl, path, n, line)
             : ctl_fail(ctl, CTL_USAGE, "configuration file %s, line %u: longer than %zu octets", path, n,
                        sizeof line - 2);
  }
  if (!rc && ferror(f)) {
    rc = ctl_fail(ctl, CTL_USAGE, "configuration file %s: %s", path, strerror(errno));
  }
  fclose(f);
  turncred_cleanse(line, sizeof line);
  return rc;
}

/* Copies the value of the option, else of the environment variable, to *slot. */
static enum ctl_exit take(struct ctl *ctl, char **slot, const char *option, const char *variable) {
  const char *value = ctl_get(ctl, option);
  if (!value) {
    value = getenv(variable);
  }
  if (value && *value && !(*slot = strdup(value))) {
    return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  return CTL_OK;
}

enum ctl_exit ctl_settings(struct ctl *ctl) {
  if (ctl->settings_read) {
    return CTL_OK;
  }
  ctl->settings_read = true;
  const char *path = ctl_get(ctl, "config");
  if (!path) {
    path = getenv("TURNCRED_CONFIG");
  }
  enum ctl_exit rc = take(ctl, &ctl->database, "database", "TURNCRED_DATABASE");
  if (!rc) {
    rc = take(ctl, &ctl->kek, "kek", "TURNCRED_KEK");
  }
  if (!rc) {
    rc = read_file(ctl, path ? path : DEFAULT_CONFIG, path != NULL);
  }
  return rc;
}
