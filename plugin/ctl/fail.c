/* fail.c - messages for people on standard error
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "ctl.h"

#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 0))) static void say(const struct ctl *ctl, const char *format,
                                                      va_list args) {
  fprintf(stderr, "turncredctl%s%s: ", ctl->command ? " " : "",
          ctl->command ? ctl->command->name : "");
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
}

int ctl_fail(const struct ctl *ctl, enum ctl_exit code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  say(ctl, format, args);
  va_end(args);
  return code;
}

void ctl_note(const struct ctl *ctl, const char *format, ...) {
  va_list args;
  va_start(args, format);
  say(ctl, format, args);
  va_end(args);
}
