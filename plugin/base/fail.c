/*
 * fail.c - one way to fail: an errno value and a sentence
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int fail_with(int code, char *err, size_t cap, const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (cap > 0) {
    vsnprintf(err, cap, format, args);
  }
  va_end(args);
  return code ? code : EIO;
}
