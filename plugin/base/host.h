/*
 * host.h - the host and port in a TURN URI or an origin (RFC 3986 section 3.2.2, as clients take it)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_HOST_H
#define TURNCRED_HOST_H

#include <stddef.h>
#include <stdint.h>

#define HOST_TEXT 256 /* octets of a host in text, with the NUL */

/* Reads HOST or HOST:PORT, len octets: a name in ASCII, an IPv4 address, or an IPv6 address in brackets. host gets it
 * in lower case and with the address in its one spelling; *port becomes 0 where there is none. 0, or -1 with a sentence
 * in err. */
int host_and_port(const char *text, size_t len, char host[HOST_TEXT], uint16_t *port, char *err, size_t cap);

#endif
