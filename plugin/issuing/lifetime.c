/*
 * lifetime.c - how long a derived or REST credential must live after a revocation was lifted
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "lifetime.h"

#include <errno.h>
#include <stdlib.h>

int64_t lifetime_needed(int64_t lifted, int64_t max_ttl, int64_t now) {
  return lifted > 0 ? lifted + max_ttl + 1 - now : 1;
}

int lifetime_read(struct pg *db, const char *realm, const char *user, const char *kid,
                  struct lifetime_revocations *out) {
  struct pg_params params = {0};
  pg_text(&params, realm);
  pg_text(&params, user);
  pg_text(&params, kid);
  PGresult *r =
      pg_query(db,
               "SELECT coalesce(floor(extract(epoch FROM max(least(lifted_at, until))"
               "   FILTER (WHERE isfinite(least(lifted_at, until)) AND least(lifted_at, until) <= now())))::bigint, 0),"
               " coalesce(bool_or(kind = 'kid' AND coalesce(least(lifted_at, until) > now(), true)), false)"
               " FROM turncred.revocation WHERE realm = $1 AND (kind = 'realm'"
               " OR (kind = 'user' AND name = $2) OR (kind = 'kid' AND name = $3))",
               &params);
  if (!r) {
    return EIO;
  }
  out->lifted = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
  out->key_revoked = *PQgetvalue(r, 0, 1) == 't';
  PQclear(r);
  return 0;
}
