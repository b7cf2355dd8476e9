/*
 * user_name.c - which names of users are taken, in every kind of credential
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "user_name.h"

#include "core/turncred.h"
#include "utf8.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int wrong(char *err, size_t cap, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int wrong(char *err, size_t cap, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(err, cap, format, args);
  va_end(args);
  return -1;
}

static bool is_control(uint32_t c) { return c < 0x20 || (c >= 0x7f && c <= 0x9f); }

/* Separators of lines and paragraphs; embeddings, overrides and isolates of direction (Unicode Annex 9). */
static bool is_deceptive(uint32_t c) { return (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069); }

int user_name_check(const char *name, size_t max, bool wire, char *err, size_t cap) {
  size_t len = strnlen(name, max + 1);
  uint32_t c;
  if (!len || len > max) {
    return wrong(err, cap, "it must have 1 to %zu octets", max);
  }
  for (size_t i = 0, n; i < len; i += n) {
    if (!(n = utf8_next(name + i, len - i, &c))) {
      return wrong(err, cap, "it is not UTF-8");
    }
    if (is_control(c) || is_deceptive(c)) {
      return wrong(err, cap, "it holds the %s U+%04X", is_control(c) ? "control character" : "format character", c);
    }
  }
  if (!wire || turncred_username_coturn_accepts(name, len)) {
    return 0;
  }
  if (strpbrk(name, " \"'\\")) {
    return wrong(err, cap, "it holds a blank, quote or backslash, which coturn refuses in a USERNAME");
  }
  return wrong(err, cap, "it holds both \"union\" and \"select\", which coturn refuses in a USERNAME as SQL");
}
