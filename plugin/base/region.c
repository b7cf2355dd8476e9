/*
 * region.c - names of regions, in which TURN servers are
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "region.h"

#include <string.h>

bool region_is_name(const char *text) {
  size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
  return n <= 63 && !text[n];
}
