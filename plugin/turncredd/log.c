/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void say(enum say_level level, const char *format, ...) {
  static const char *const names[] = {[SAY_ERROR] = "error: ", [SAY_WARNING] = "warning: "};
  char line[1200];
  int n = getenv("JOURNAL_STREAM")
              ? snprintf(line, sizeof line, "<%d>", (int)level)
              : snprintf(line, sizeof line, "turncredd: %s",
                         level <= SAY_WARNING && names[level] ? names[level] : "");
  size_t at = (size_t)n;
  va_list args;
  va_start(args, format);
  vsnprintf(line + at, sizeof line - at - 1, format, args);
  va_end(args);
  for (char *p = line; *p; p++)
    if ((unsigned char)*p < ' ' || *p == 127)
      *p = '?';
  at = strlen(line);
  line[at++] = '\n';
  ssize_t done = write(STDERR_FILENO, line, at); /* one write: threads do not mix their lines */
  (void)done;
}
