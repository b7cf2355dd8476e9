/*
 * sealed.h - sealed files: encrypted and authentic in chunks, whole or not at all
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * File: header | chunk...; header: "TCSNAP" 00 version | u16-prefixed kek id, database identity,
 * instance | u64 progress | u64 time | 32 random octets. Chunk: u32 length | AES-256-GCM of up to
 * 64 KiB | tag. Key: HKDF-SHA256(kek, salt = the random octets, info = "turncred-snapshot-v1" |
 * header); nonce: chunk number (u64) | 1 in the last chunk, else 0 | 3 zeros; AAD: the header.
 * Nothing of a chunk is used before the chunk has been verified, and nothing of the file before its
 * last chunk has been.
 */
#ifndef TURNCRED_SEALED_H
#define TURNCRED_SEALED_H

#include "base/kek.h"
#include "core/turncred.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEALED_VERSION 1
#define SEALED_TEXT_MAX 16777216 /* octets */

struct sealed_header {
  char kek_id[KEK_ID_MAX + 1];
  char identity[128]; /* of the database, or the name of a program's own text */
  char instance[256];
  uint64_t progress;
  int64_t time; /* UTC seconds of the last proof that the data is current */
};

/* The terms on which a reader accepts a file. */
struct sealed_reading {
  const struct kek_ring *keks;
  const char *instance;
  int64_t now;      /* UTC seconds */
  uint32_t max_age; /* seconds */
};

/* The content of a file that is being written or read. The first error stays and makes every later
 * call do nothing (sealed_get then gives zeros), so that callers look for it once, at the end. */
struct sealed;
void sealed_put(struct sealed *s, const void *p, size_t n);
void sealed_put_int(struct sealed *s, uint64_t x);
void sealed_put_byte(struct sealed *s, unsigned x);
void sealed_put_text(struct sealed *s, const char *text); /* up to 65535 octets */
void sealed_get(struct sealed *s, void *p, size_t n);
uint64_t sealed_get_int(struct sealed *s);
unsigned sealed_get_byte(struct sealed *s);
void sealed_get_text(struct sealed *s, char *out, size_t cap); /* a longer text is an error */
int sealed_error(const struct sealed *s);                      /* errno value; 0: none so far */
void sealed_fail(struct sealed *s, int error);
/* True if everything has been read and verified. */
bool sealed_at_end(const struct sealed *s);

/* Writes the content behind the header; false: an error. A record 'E' is added behind it. */
typedef bool (*sealed_fill_fn)(struct sealed *s, const void *arg);
/* Reads the content with its 'E'. 0 or an errno value. */
typedef int (*sealed_read_fn)(struct sealed *s, void *arg);

/* Writes the file whole or not at all, mode 0600, and syncs its folder, so that it is there after a power cut. 0, or an
 * errno value with a message in err. */
int sealed_write(const char *path, const struct sealed_header *header, const uint8_t kek[TURNCRED_KEK],
                 sealed_fill_fn fill, const void *arg, char *err, size_t err_cap);
/* Reads a file. 0, or an errno value with a message in err: ENOENT (there is no file), EBADMSG
 * (damaged, cut, or of another format), EPROTONOSUPPORT (of a later version, or with what only a later version knows),
 * ENOKEY (sealed under a key that how->keks has not), EPERM
 * (of another instance), ESTALE (older than max_age, or dated in the future). */
int sealed_read(const char *path, const struct sealed_reading *how, sealed_read_fn read, void *arg,
                struct sealed_header *header, char *err, size_t err_cap);

/* The same for a single text, up to SEALED_TEXT_MAX octets, of a program's own. The header's
 * identity says which text it is; sealed_read_text refuses another one. */
int sealed_write_text(const char *path, const char *text, const struct sealed_header *header,
                      const uint8_t kek[TURNCRED_KEK], char *err, size_t err_cap);
/* The caller frees *out. */
int sealed_read_text(const char *path, const char *identity, const struct sealed_reading *how, char **out,
                     struct sealed_header *header, char *err, size_t err_cap);

#endif
