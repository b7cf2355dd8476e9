/*
 * readyz.h - asks turncredd over HTTPS whether it is ready
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CTL_READYZ_H
#define TURNCRED_CTL_READYZ_H

#include "turn/target.h"

struct readyz {
  int status;                    /* the code of the answer */
  int64_t certificate_until;     /* when the server's certificate ends, UTC seconds */
  const char *certificate_fault; /* for a reader with strict checks, or NULL: turn_tls_strict_fault() */
};

/* Asks the turncredd at an address for GET /readyz, within timeout_ms. host: the name in the request and in the
 * certificate. ca_file: certificates to trust; NULL: the system's. 0, or an errno value with a sentence in text.
 */
int readyz(const struct turn_address *address, const char *host, const char *ca_file, uint32_t timeout_ms,
           struct readyz *out, char *text, size_t cap);

#endif
