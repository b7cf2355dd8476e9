/*
 * cleanse.c - overwriting secrets that are no longer needed
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core.h"

void turncred_cleanse(void *p, size_t n) {
  if (p != NULL) {
    explicit_bzero(p, n);
  }
}
