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
/* The same for a file that cannot be opened or read: "WHAT PATH: ERROR", and where rights are missing which user needs
 * them. what may be "". */
int fail_to_read(int code, char *err, size_t cap, const char *what, const char *path);

/* The name of the user as which this program runs, or its number. Returns name. */
#define PROGRAM_USER_MAX 64
const char *program_user(char name[PROGRAM_USER_MAX]);

#endif
