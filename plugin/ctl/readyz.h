/*
 * readyz.h - asks turncredd over HTTPS whether it is ready
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CTL_READYZ_H
#define TURNCRED_CTL_READYZ_H

#include <stddef.h>
#include <stdint.h>

/* Asks server, HOST[:PORT] with the default port 443, for GET /readyz, within timeout_ms. ca_file:
 * certificates to trust; NULL: the system's. *status gets the status code of the answer,
 * *certificate_until the end of the server's certificate in UTC seconds. 0, or an errno value with
 * a sentence in text. */
int readyz(const char *server, const char *ca_file, uint32_t timeout_ms, int *status, int64_t *certificate_until,
           char *text, size_t cap);

#endif
