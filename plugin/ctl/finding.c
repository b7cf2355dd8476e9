/*
 * finding.c - turncredctl doctor: keeps what was found
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>

void add_finding(struct doctor *d, const char *check, enum grade grade, const char *remedy, const char *format, ...) {
  static const char *const names[] = {"ok", "warning", "FAILED"};
  char text[768];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  d->warned += grade == WARN;
  d->failed += grade == FAIL;
  json_array_append_new(d->findings, json_pack("{s:s, s:s, s:s, s:s}", "check", check, "result", names[grade],
                                               "finding", text, "remedy", remedy));
}
