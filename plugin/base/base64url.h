/*
 * base64url.h - RFC 4648 section 5: the URL alphabet without padding
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_BASE64URL_H
#define TURNCRED_BASE64URL_H

#include "core/turncred.h"

#include <stddef.h>
#include <stdint.h>

/* Characters of n octets, with the NUL. */
#define BASE64URL_SIZE(n) (((n) * 4 + 2) / 3 + 1)

/* Writes the encoding of len octets and a NUL to out. TURNCRED_NO_SPACE: cap is less than BASE64URL_SIZE(len). */
enum turncred_err base64url_encode(const uint8_t *octets, size_t len, char *out, size_t cap);
/* Decodes n characters; *len gets the number of octets. TURNCRED_BAD_ARGUMENT: a character of another alphabet,
 * padding, or bits that no encoder sets; TURNCRED_NO_SPACE. */
enum turncred_err base64url_decode(const char *text, size_t n, uint8_t *out, size_t cap, size_t *len);

#endif
