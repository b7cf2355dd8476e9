/*
 * secret.h - secrets come from files or standard input, and leave no traces
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions return 0 or an errno value and then leave a sentence with the remedy in text.
 */
#ifndef TURNCRED_SECRET_H
#define TURNCRED_SECRET_H

#include <stddef.h>
#include <stdint.h>

/* No core dumps, no ptrace by others (prctl PR_SET_DUMPABLE, RLIMIT_CORE); no file or socket takes the number of
 * standard input, output or error. First thing in main. */
void secret_harden(void);
/* Raw octets of a file, "-": standard input. EFBIG when it holds more than cap. what names the
 * thing in messages ("--key-file"). */
int secret_read(const char *path, const char *what, uint8_t *out, size_t cap, size_t *len, char *text, size_t text_cap);
/* The first line of a file without its end of line, NUL-terminated, for passwords. EINVAL when it
 * holds a NUL or is empty. */
int secret_read_line(const char *path, const char *what, char *out, size_t cap, char *text, size_t text_cap);
/* A new file of mode 0600, synced; EEXIST instead of overwriting. */
int secret_write_new(const char *path, const uint8_t *octets, size_t len, char *text, size_t text_cap);

#endif
