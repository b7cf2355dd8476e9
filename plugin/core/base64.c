/*
 * base64.c - RFC 4648: standard alphabet with padding, and the URL alphabet without
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Most of what is encoded here is secret, so nothing but the length decides which memory is read:
 * an encoding alphabet fills exactly one cache line, and decoding calculates instead of looking up.
 */
#include "core.h"

static _Alignas(64) const char standard[64] = {
    'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V',
    'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r',
    's', 't', 'u', 'v', 'w', 'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '/'};
static _Alignas(64) const char url[64] = {
    'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V',
    'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r',
    's', 't', 'u', 'v', 'w', 'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '-', '_'};

/* Writes the encoding and a NUL to out; returns where the NUL is. */
static char *encode(const char alphabet[64], bool pad, const uint8_t *in, size_t len, char *out) {
  for (; len >= 3; len -= 3, in += 3) {
    uint32_t v = ((uint32_t)in[0] << 16) | ((uint32_t)in[1] << 8) | in[2];

    *out++ = alphabet[v >> 18];
    *out++ = alphabet[(v >> 12) & 63];
    *out++ = alphabet[(v >> 6) & 63];
    *out++ = alphabet[v & 63];
  }
  if (len > 0) {
    uint32_t v = ((uint32_t)in[0] << 16) | (len > 1 ? (uint32_t)in[1] << 8 : 0);

    *out++ = alphabet[v >> 18];
    *out++ = alphabet[(v >> 12) & 63];
    if (len > 1) {
      *out++ = alphabet[(v >> 6) & 63];
    } else if (pad) {
      *out++ = '=';
    }
    if (pad) {
      *out++ = '=';
    }
  }
  *out = '\0';
  return out;
}

void tc_base64url(const uint8_t *in, size_t len, char *out) { encode(url, false, in, len, out); }

enum turncred_err turncred_base64_encode(const uint8_t *in, size_t len, char *out, size_t cap) {
  if ((in == NULL && len > 0) || out == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (cap == 0 || len / 3 + (len % 3 != 0) > (cap - 1) / 4) {
    return TURNCRED_NO_SPACE;
  }
  encode(standard, true, in, len, out);
  return TURNCRED_OK;
}

/* All ones if low <= c <= high, else 0. */
static uint32_t in_range(uint32_t c, uint32_t low, uint32_t high) { return (((c - low) | (high - c)) >> 31) - 1; }

/* The value of a character in the low 6 bits; bit 31 is set if the character is not of the alphabet. */
static uint32_t value(char ch) {
  uint32_t c = (uint8_t)ch;
  uint32_t upper = in_range(c, 'A', 'Z');
  uint32_t lower = in_range(c, 'a', 'z');
  uint32_t digit = in_range(c, '0', '9');
  uint32_t plus = in_range(c, '+', '+');
  uint32_t slash = in_range(c, '/', '/');
  uint32_t known = upper | lower | digit | plus | slash;

  return (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (digit & (c - '0' + 52)) | (plus & 62) | (slash & 63) |
         (~known & 0x80000000u);
}

enum turncred_err turncred_base64_decode(const char *in, size_t in_len, uint8_t *out, size_t cap, size_t *out_len) {
  size_t pad = 0;
  size_t len;
  size_t i;
  size_t o = 0;
  uint32_t bad = 0;

  if ((in == NULL && in_len > 0) || out == NULL || out_len == NULL || in_len % 4 != 0) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (in_len > 0 && in[in_len - 1] == '=') {
    pad = in[in_len - 2] == '=' ? 2 : 1;
  }
  len = in_len / 4 * 3 - pad;
  if (len > cap) {
    return TURNCRED_NO_SPACE;
  }
  for (i = 0; i < in_len; i += 4) {
    size_t n = i + 4 == in_len ? 4 - pad : 4; /* characters that are not padding */
    uint32_t v = 0;
    size_t j;

    for (j = 0; j < n; j++) {
      uint32_t x = value(in[i + j]);

      bad |= x >> 31;
      v |= (x & 63) << (18 - 6 * j);
    }
    out[o++] = (uint8_t)(v >> 16);
    if (n > 2) {
      out[o++] = (uint8_t)(v >> 8);
    } else {
      bad |= v & 0xff00; /* bits that no encoder sets */
    }
    if (n > 3) {
      out[o++] = (uint8_t)v;
    } else {
      bad |= v & (n > 2 ? 0xff : 0);
    }
  }
  if (bad != 0) {
    explicit_bzero(out, len);
    return TURNCRED_BAD_ARGUMENT;
  }
  *out_len = len;
  return TURNCRED_OK;
}
