/*
 * lifetime.h - how long a derived or REST credential must live after a revocation was lifted
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A derived or REST credential does not say when it was issued. A server therefore takes its expiry less the realm's
 * max_ttl for the time of issue, which is the earliest possible time. A credential that was issued before a revocation
 * of its user, its key or its realm was lifted stays dead. So a credential that is issued afterwards must live long
 * enough that its expiry less max_ttl lies after that time; else a server takes it for one of the dead. Tokens and
 * pushed credentials carry their time of issue, and need no longer life.
 */
#ifndef TURNCRED_LIFETIME_H
#define TURNCRED_LIFETIME_H

#include "pg/pg.h"

#include <stdbool.h>
#include <stdint.h>

/* The shortest lifetime in seconds of a derived or REST credential that is issued now; 1 or less: any will do. lifted:
 * the last second (UTC) in which a revocation of the user, the key or the realm was in force; 0: there was none.
 * max_ttl: the realm's, in seconds. The result is max_ttl + 1 at the most if lifted is not after now; servers allow
 * for that second (TURNCRED_AHEAD_SLACK). */
int64_t lifetime_needed(int64_t lifted, int64_t max_ttl, int64_t now);

struct lifetime_revocations {
  int64_t lifted;   /* as lifetime_needed takes it */
  bool key_revoked; /* a revocation of the key is in force: what it signs is dead */
};
/* Reads the revocations of the user, the key and the realm. 0, or as pg_run. */
int lifetime_read(struct pg *db, const char *realm, const char *user, const char *kid,
                  struct lifetime_revocations *out);

#endif
