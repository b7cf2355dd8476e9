/*
 * auth_text.c - texts for the log: reasons by name, names of clients made safe, faults at the start
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_private.h"

#include <stdarg.h>

const char *auth_reason_name(unsigned reason) {
  static const char *const names[] = COTURN_AUTH_REASON_NAMES;
  return names[reason < COTURN_AUTH_REASON_COUNT ? reason : COTURN_AUTH_REASON_MODULE_ERROR];
}

/* Length of the character at s if it may stand in a line of the log, else 0. Not allowed are blanks, quotes, \ % < > `,
 * controls of ASCII and of Unicode, separators of lines, marks of direction, and what is not UTF-8. */
static size_t character(const unsigned char *s) {
  size_t i, n;
  uint32_t c;
  if (s[0] < 0x80) {
    return (s[0] <= ' ' || s[0] == 0x7f || strchr("\"'\\%<>`", s[0])) ? 0 : 1;
  }
  n = (s[0] < 0xc2 || s[0] > 0xf4) ? 0 : (s[0] < 0xe0) ? 2 : (s[0] < 0xf0) ? 3 : 4;
  c = s[0] & (0x7fu >> n);
  for (i = 1; i < n; ++i) {
    if ((s[i] & 0xc0) != 0x80) {
      return 0;
    }
    c = (c << 6) | (s[i] & 0x3fu);
  }
  if (c <= 0xa0 || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || (c >= 0xd800 && c <= 0xdfff) ||
      (n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff))) {
    return 0;
  }
  return n;
}

void auth_escape(char *dst, size_t dst_size, const char *src) {
  size_t to = 0;
  while (*src && to + 1 < dst_size) {
    size_t n = character((const unsigned char *)src);
    if (to + n >= dst_size) {
      break;
    }
    if (n) {
      memcpy(dst + to, src, n);
      to += n;
      src += n;
    } else {
      dst[to++] = '_';
      ++src;
    }
  }
  dst[to] = 0;
}

int auth_fail(const char *format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof(line), format, arguments);
  va_end(arguments);
  TURN_LOG_FUNC(TURN_LOG_LEVEL_ERROR, "%s", line);
  return -1;
}
