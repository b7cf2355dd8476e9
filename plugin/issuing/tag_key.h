/*
 * tag_key.h - the realm's key of subject tags: read, or made on first need
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A row of turncred.key with use "tag" and kid TURNCRED_TAG_KID, which stays as long as the realm,
 * so that a subject has the same tag under every kid. An issuer's snapshot shows it too
 * (store_key_to_sign with TURNCRED_USE_TAG); only where that finds none, this is called.
 */
#ifndef TURNCRED_TAG_KEY_H
#define TURNCRED_TAG_KEY_H

#include "base/kek.h"
#include "core/turncred.h"
#include "pg/pg.h"

#define TAG_KEY_OCTETS 32

enum tag_key_result {
  TAG_KEY_OK = 0,
  TAG_KEY_DATABASE,  /* db->error and db->text say what */
  TAG_KEY_CLOSED,    /* the key encryption key is not in the ring, or does not open the row */
  TAG_KEY_NO_SIGNER, /* the realm has no key kid */
  TAG_KEY_FAILED     /* random numbers, sealing */
};

/* Makes the realm's key of subject tags, unless the realm has one. kid: the token key that signs; the new key is sealed
 * under the same key encryption key, or plain as that key is, so that a program that can sign can tag. ring: NULL where
 * all is plain. Commits by itself unless a transaction is open; two issuers at once end up with the same key. Needs the
 * role turncred_issuer or turncred_admin. On failure text has a sentence with the remedy. */
enum tag_key_result tag_key_make(struct pg *db, const struct kek_ring *ring, const char *realm, const char *kid,
                                 char *text, size_t text_cap);
/* Reads the realm's key of subject tags, which is made first if there is none (tag_key_make). */
enum tag_key_result tag_key_get(struct pg *db, const struct kek_ring *ring, const char *realm, const char *kid,
                                uint8_t key[TAG_KEY_OCTETS], char *text, size_t text_cap);

#endif
