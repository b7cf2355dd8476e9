/*
 * sealed_file.h - texts that a start without the database needs, sealed in files of state_dir
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A file is sealed as the snapshot of realms and keys is (store/sealed.h), under the newest key
 * encryption key in force, and can be read by this instance alone.
 */
#ifndef TURNCREDD_SEALED_FILE_H
#define TURNCREDD_SEALED_FILE_H

#include "turncredd/reloadable.h"

#include <stddef.h>
#include <stdint.h>

/* Where the files are, and what they are sealed with. All of it lives as long as the folder is used. */
struct sealed_folder {
  const char *path;
  const char *instance;
  struct reloadable_slot *reloadable;
};

/* Writes text into the file of this name, whole or not at all; the name is sealed with the text, so
 * that no file can stand for another. 0, or an errno value with a sentence in err. */
int sealed_file_write(const struct sealed_folder *folder, const char *name, const char *text, char *err,
                      size_t err_cap);
/* Reads a file that is not older than max_age seconds. *text: the caller frees it. *written: when
 * the file was written, UTC seconds. 0, or an errno value with a sentence in err; ENOENT: there is no
 * such file. */
int sealed_file_read(const struct sealed_folder *folder, const char *name, uint32_t max_age, char **text,
                     int64_t *written, char *err, size_t err_cap);

#endif
