/*
 * kek.h - key encryption keys from files
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A key encryption key is a file of 32 raw octets; the file's name is the key's id. Ids are 1 to 64
 * of A-Z a-z 0-9 . _ - and begin with no dot.
 */
#ifndef TURNCRED_KEK_H
#define TURNCRED_KEK_H

#include "core/turncred.h"

#include <stddef.h>
#include <stdint.h>

#define KEK_ID_MAX 64 /* octets, without the NUL */

/* Several keys at once: rows sealed under an old one stay readable while they are re-sealed. */
struct kek_ring;

/* path: one file, a folder of such files (names with a leading dot are passed over), or
 * "credential:NAME" for $CREDENTIALS_DIRECTORY/NAME. Refused: another length, a file that others
 * may read or that group or others may write, one owned by neither root nor the caller.
 * 0, or an errno value with a message in err that names the file and the remedy. */
int kek_ring_load(struct kek_ring **out, const char *path, char *err, size_t err_cap);
void kek_ring_free(struct kek_ring *ring); /* cleanses; NULL is fine */

size_t kek_ring_count(const struct kek_ring *ring);
const char *kek_ring_id(const struct kek_ring *ring, size_t i); /* in order of name */
/* NULL: no such key. */
const uint8_t *kek_ring_find(const struct kek_ring *ring, const char *id);
/* The id to seal with if nobody names one: the only key there is; NULL if there are several. */
const char *kek_ring_default(const struct kek_ring *ring);

/* Makes a new key file, mode 0600, whole or not at all, never over an existing file (EEXIST).
 * 0, or an errno value with a message in err. */
int kek_generate(const char *path, char *err, size_t err_cap);
/* 1 if it has the form of an id. */
int kek_id_valid(const char *id);

#endif
