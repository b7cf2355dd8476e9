/*
 * utf8.h - whether octets are UTF-8, and the code points in them (RFC 3629)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_UTF8_H
#define TURNCRED_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads the code point at the beginning of len octets. Returns how many octets it has; 0: there is none, or the octets
 * are not UTF-8 (overlong, a surrogate, above U+10FFFF, cut off). */
size_t utf8_next(const char *text, size_t len, uint32_t *code_point);
bool utf8_is(const char *text, size_t len);

#endif
