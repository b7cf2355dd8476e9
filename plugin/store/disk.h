/*
 * disk.h - the last snapshot, sealed, in a file
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * File: header | chunk...; header: "TCSNAP" 00 version | u16-prefixed kek id, database identity,
 * instance | u64 progress | u64 time | 32 random octets. Chunk: u32 length | AES-256-GCM of up to
 * 64 KiB | tag. Key: HKDF-SHA256(kek, salt = the random octets, info = "turncred-snapshot-v1" |
 * header); nonce: chunk number (u64) | 1 in the last chunk, else 0 | 3 zeros; AAD: the header.
 * Nothing is used before its chunk has been verified, and nothing at all before the last one.
 */
#ifndef TURNCRED_DISK_H
#define TURNCRED_DISK_H

#include "base/kek.h"
#include "snapshot.h"

#define DISK_VERSION  1
#define DISK_TEXT_MAX 16777216 /* octets */

struct disk_header {
  char kek_id[KEK_ID_MAX + 1];
  char identity[128]; /* of the database */
  char instance[256];
  uint64_t progress;
  int64_t time; /* UTC seconds of the last proof that the data is current */
};

/* Whole or not at all, mode 0600. 0, or an errno value with a message in err. */
int disk_write(const char *path, const struct store_snapshot *snapshot,
               const struct disk_header *header, const uint8_t kek[TURNCRED_KEK], char *err,
               size_t err_cap);
/* Refused: damaged, cut, sealed under a key that is not here, of another instance or format, older
 * than max_age seconds, or from the future. ENOENT: there is none. */
int disk_read(const char *path, const struct kek_ring *keks, const char *instance, int64_t now,
              uint32_t max_age, uint64_t seed, struct store_snapshot **out,
              struct disk_header *header, char *err, size_t err_cap);

/* The same for a text of a program's own; the header's identity says what it is. */
struct disk_reading {
  const struct kek_ring *keks;
  const char *instance;
  int64_t now;
  uint32_t max_age; /* seconds */
};
int disk_write_text(const char *path, const char *text, const struct disk_header *header,
                    const uint8_t kek[TURNCRED_KEK], char *err, size_t err_cap);
/* The caller frees *out. */
int disk_read_text(const char *path, const char *identity, const struct disk_reading *how,
                   char **out, struct disk_header *header, char *err, size_t err_cap);

#endif
