/*
 * log.c - lines for the host's log
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "module.h"

#include <stdarg.h>
#include <stdio.h>

void module_log(const struct module *module, enum coturn_auth_log_level level, const char *format, ...) {
  char line[1024];
  int n = snprintf(line, sizeof line, "turncred: ");
  va_list args;
  va_start(args, format);
  vsnprintf(line + n, sizeof line - (size_t)n, format, args);
  va_end(args);
  module->host->log(level, line);
}
