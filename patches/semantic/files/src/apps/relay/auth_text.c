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

void auth_escape(char *dst, size_t dst_size, const char *src) {
  size_t i;
  for (i = 0; src[i] && i + 1 < dst_size; ++i) {
    unsigned char c = (unsigned char)src[i];
    dst[i] = (c <= ' ' || c == 0x7f || strchr("\"'\\%<>`", c)) ? '_' : (char)c;
  }
  dst[i] = 0;
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
