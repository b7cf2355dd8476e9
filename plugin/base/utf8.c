/*
 * utf8.c - whether octets are UTF-8, and the code points in them (RFC 3629)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "utf8.h"

size_t utf8_next(const char *text, size_t len, uint32_t *code_point) {
  /* the smallest code point of a sequence of so many octets */
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const uint8_t *p = (const uint8_t *)text;
  if (!len) {
    return 0;
  }
  size_t n = p[0] < 0x80 ? 1 : p[0] >> 5 == 0x6 ? 2 : p[0] >> 4 == 0xe ? 3 : p[0] >> 3 == 0x1e ? 4 : 0;
  if (!n || n > len) {
    return 0;
  }
  uint32_t value = n == 1 ? p[0] : p[0] & (0xffU >> (n + 1));
  for (size_t i = 1; i < n; i++) {
    if (p[i] >> 6 != 0x2) {
      return 0;
    }
    value = value << 6 | (p[i] & 0x3f);
  }
  if (value < least[n] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
    return 0;
  }
  *code_point = value;
  return n;
}

bool utf8_is(const char *text, size_t len) {
  uint32_t code_point;
  for (size_t i = 0, n; i < len; i += n) {
    if (!(n = utf8_next(text + i, len - i, &code_point))) {
      return false;
    }
  }
  return true;
}
