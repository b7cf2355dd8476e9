/*
 * readyz.h - asks turncredd over HTTPS whether it is ready
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CTL_READYZ_H
#define TURNCRED_CTL_READYZ_H

#include <stddef.h>
#include <stdint.h>

/* GET /readyz at HOST[:PORT] (443). 0 with the status code and the end of the certificate (UTC
 * seconds), or an errno value with a sentence in text. Bounded by timeout_ms. */
int readyz(const char *server, const char *ca_file, uint32_t timeout_ms, int *status,
           int64_t *certificate_until, char *text, size_t cap);

#endif
