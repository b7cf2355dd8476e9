/*
 * keep.h - what a start without the database needs besides realms and keys: sealed files in
 * state_dir
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Sealed as the snapshot is (disk.h), under the newest key encryption key, for this instance alone.
 * Nothing is kept where snapshot_file is not set.
 */
#ifndef TURNCREDD_SEALED_FILE_H
#define TURNCREDD_SEALED_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct daemon;

bool sealed_file_wanted(struct daemon *daemon);
/* name: of the file, and of what is in it. 0, or an errno value with a sentence in err. */
int sealed_file_write(struct daemon *daemon, const char *name, const char *text, char *err,
               size_t err_cap);
/* Not older than max_age seconds; *written: when. The caller frees *text. ENOENT: there is none. */
int sealed_file_read(struct daemon *daemon, const char *name, uint32_t max_age, char **text,
              int64_t *written, char *err, size_t err_cap);

#endif
