/*
 * log.c - the log of the daemon
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void log_line(int priority, const char *format, ...) {
  const char *name = priority == LOG_ERR ? "error: " : priority == LOG_WARNING ? "warning: " : "";
  char line[1200];
  int n = getenv("JOURNAL_STREAM") ? snprintf(line, sizeof line, "<%d>", priority)
                                   : snprintf(line, sizeof line, "turncredd: %s", name);
  size_t at = (size_t)n;
  va_list args;
  va_start(args, format);
  vsnprintf(line + at, sizeof line - at - 1, format, args);
  va_end(args);
  for (char *p = line; *p; p++) {
    if ((unsigned char)*p < ' ' || *p == 127) {
      *p = '?';
    }
  }
  at = strlen(line);
  line[at++] = '\n';
  ssize_t done = write(STDERR_FILENO, line, at); /* one write, so that lines of threads do not mix */
  (void)done;
}
