/*
 * hex.c - hexadecimal, lower case
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core.h"

enum turncred_err turncred_hex_encode(const uint8_t *in, size_t len, char *out, size_t cap) {
  size_t i;

  if ((in == NULL && len > 0) || out == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (cap == 0 || len > (cap - 1) / 2) {
    return TURNCRED_NO_SPACE;
  }
  for (i = 0; i < len; i++) {
    out[2 * i] = "0123456789abcdef"[in[i] >> 4];
    out[2 * i + 1] = "0123456789abcdef"[in[i] & 15];
  }
  out[2 * len] = '\0';
  return TURNCRED_OK;
}

/* 0 to 15, or -1 */
static int nibble(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  if (c >= 'A' && c <= 'F') {
    return c - 'A' + 10;
  }
  return -1;
}

enum turncred_err turncred_hex_decode(const char *in, size_t in_len, uint8_t *out, size_t cap, size_t *out_len) {
  size_t i;

  if ((in == NULL && in_len > 0) || out == NULL || out_len == NULL || in_len % 2 != 0) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (in_len / 2 > cap) {
    return TURNCRED_NO_SPACE;
  }
  for (i = 0; i < in_len / 2; i++) {
    int high = nibble(in[2 * i]);
    int low = nibble(in[2 * i + 1]);

    if (high < 0 || low < 0) {
      explicit_bzero(out, i);
      return TURNCRED_BAD_ARGUMENT;
    }
    out[i] = (uint8_t)(high * 16 + low);
  }
  *out_len = in_len / 2;
  return TURNCRED_OK;
}
