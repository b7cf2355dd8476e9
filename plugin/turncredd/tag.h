/*
 * tag.h - makes a realm's key of subject tags, when an issuer first needs it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * What common/tag_key.h does on a blocking connection, on the store's, which never hangs.
 */
#ifndef TURNCREDD_TAG_H
#define TURNCREDD_TAG_H

#include "pg/pg.h"
#include "base/kek.h"

/* kid: the key that signs; the new one is sealed, or plain, as that one is. 0, also when there is
 * one already; else a sentence in err. */
int tag_make(struct pg *db, const struct kek_ring *keks, const char *realm, const char *kid,
             char *err, size_t err_cap);

#endif
