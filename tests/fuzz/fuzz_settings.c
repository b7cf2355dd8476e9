/*
 * fuzz_settings.c - libFuzzer: the configuration files of the module and of turncredd
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "fuzz.h"

#include "module/module_settings.h"
#include "turncredd/daemon_settings.h"

static char warned[4096];

static void warn(const char *line, void *arg) {
  (void)arg;
  snprintf(warned, sizeof warned, "%s", line);
}

/* No message repeats a password of a connection string: the text has one, in its first line alone. */
static bool has_password(const char *text) {
  const char *first = strstr(text, "hunter2");
  return !strncmp(text, "database = ", 11) && first && !memchr(text, '\n', (size_t)(first - text)) &&
         !strstr(first + 1, "hunter2");
}

static void check_message(const char *err, size_t cap, const char *text) {
  MUST(*err && memchr(err, '\0', cap));
  MUST(!has_password(text) || !strstr(err, "hunter2"));
}

static void module(const char *path, const char *text) {
  static struct config config, again;
  char err[1200] = "";
  *warned = '\0';
  if (config_read(&config, path, warn, NULL, err, sizeof err)) {
    check_message(err, sizeof err, text);
    return;
  }
  MUST(*config.store.database && *config.store.kek && config.store.poll_interval >= 100);
  MUST(!config_read(&again, path, warn, NULL, err, sizeof err) && !config_difference(&config, &again));
  MUST(!has_password(text) || !strstr(warned, "hunter2"));
}

static void daemon_of(const char *path, const char *text) {
  static struct settings settings, again;
  char err[1200] = "";
  if (settings_read(&settings, path, err, sizeof err)) {
    check_message(err, sizeof err, text);
    return;
  }
  MUST(*settings.https && *settings.state_dir && settings.threads >= 1 && settings.connections >= 1);
  MUST(!settings_read(&again, path, err, sizeof err) && !settings_need_restart(&settings, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz in = {data, size};
  char *text = fuzz_text(&in);
  const char *path = fuzz_file("conf", data, size);
  module(path, text);
  daemon_of(path, text);
  free(text);
  return 0;
}
