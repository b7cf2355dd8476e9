/*
 * strict.h - requests that two parsers may read differently
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_STRICT_H
#define TURNCREDD_STRICT_H

#include <microhttpd.h>

/* What is wrong with the header of a request whose length, host or parameters a proxy in front may understand otherwise
 * (RFC 9112 sections 3.2, 5.1 and 6.3); NULL: nothing. Whoever gets a sentence closes the connection after the answer.
 */
const char *strict_fault(struct MHD_Connection *connection, const char *version);

#endif
