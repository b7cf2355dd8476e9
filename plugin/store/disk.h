/*
 * disk.h - the last snapshot in a sealed file
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Behind the header of the file (sealed.h) come records: realms, keys and credentials of the realms before them, then
 * revocations, and the end. A letter in front of a record says what it is, and which members it has.
 */
#ifndef TURNCRED_DISK_H
#define TURNCRED_DISK_H

#include "sealed.h"
#include "snapshot.h"

/* As sealed_write: 0, or an errno value with a message in err. */
int disk_write(const char *path, const struct store_snapshot *snapshot, const struct sealed_header *header,
               const uint8_t kek[TURNCRED_KEK], char *err, size_t err_cap);
/* As sealed_read. *out is a snapshot made with this seed, which the caller frees. */
int disk_read(const char *path, const struct sealed_reading *how, uint64_t seed, struct store_snapshot **out,
              struct sealed_header *header, char *err, size_t err_cap);

#endif
