/*
 * fail.h - one way to fail: an errno value and a sentence
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_FAIL_H
#define TURNCRED_FAIL_H

#include <stddef.h>

/* Writes the sentence into err, which has room for cap octets (0: nobody wants it). Returns code, or EIO if code is 0.
 */
int fail_with(int code, char *err, size_t cap, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
