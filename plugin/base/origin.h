/*
 * origin.h - origins as browsers and WebRTC clients write them (RFC 6454 section 6.2)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_ORIGIN_H
#define TURNCRED_ORIGIN_H

#include <stddef.h>

#define ORIGIN_TEXT 340 /* octets of an origin, with the NUL */

/* Reads SCHEME://HOST[:PORT], with or without one slash at its end; schemes of apps (capacitor://localhost) are right.
 * out gets it as browsers send it: scheme and host in lower case, without the port that the scheme implies, without the
 * slash. turncred.origin_canonical() in the database does the same. 0, or -1 with a sentence in err: no origin, a
 * pattern, or "null". */
int origin_canonical(const char *text, char out[ORIGIN_TEXT], char *err, size_t cap);

#endif
