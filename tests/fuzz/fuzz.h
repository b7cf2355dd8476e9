/*
 * fuzz.h - what the fuzz targets share: an input that is taken apart, and files for what reads files
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A target has one function, LLVMFuzzerTestOneInput. It calls the product, never code that stands for it, and asks
 * MUST() for what has to hold of every input.
 */
#ifndef TURNCRED_FUZZ_H
#define TURNCRED_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define MUST(what)                                                                                                     \
  do {                                                                                                                 \
    if (!(what)) {                                                                                                     \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #what);                                         \
      abort();                                                                                                         \
    }                                                                                                                  \
  } while (0)

#define FUZZ_NOW INT64_C(1764000000) /* the time of every check of a time, UTC seconds */

/* The rest of an input. Behind its end everything is 0 or empty. */
struct fuzz {
  const uint8_t *p;
  size_t left;
};

unsigned fuzz_octet(struct fuzz *in);
uint64_t fuzz_int(struct fuzz *in); /* 8 octets, big endian */
/* The next n octets, or as many as are left, in memory of exactly *len octets, which the caller frees: the sanitizer
 * sees a read beyond them. */
uint8_t *fuzz_octets(struct fuzz *in, size_t n, size_t *len);
/* The text up to the next newline or NUL, or the end. The caller frees it. */
char *fuzz_line(struct fuzz *in);
/* All the rest as a text with a NUL, which the caller frees; NULs within it become blanks. */
char *fuzz_text(struct fuzz *in);

/* A folder for this process in memory, which is removed at the end. */
const char *fuzz_folder(void);
/* Removes all files in it. */
void fuzz_folder_clear(void);
/* The path of a file in fuzz_folder(), valid until the next call but one. */
const char *fuzz_path(const char *name);
/* Writes the file anew, and returns its path. */
const char *fuzz_file(const char *name, const void *octets, size_t len);

#endif
