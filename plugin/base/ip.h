/*
 * ip.h - IP addresses and ports as people and programs write them
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * One spelling an address: whoever stores or compares an address as text brings it into this spelling where it enters.
 * turncred.address_canonical() in the database does the same.
 */
#ifndef TURNCRED_IP_H
#define TURNCRED_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IP_TEXT 46 /* octets of an address in text, with the NUL */

/* Writes an IPv4 or IPv6 address into out as inet_ntop spells it; an IPv4-mapped IPv6 address becomes the IPv4 address
 * that it stands for, as which servers see the client. 0, or -1 with a remedy in err ("it has a port: ..."): no
 * address, or one with a port, a prefix length, a zone id or brackets. */
int ip_canonical(const char *text, char out[IP_TEXT], char *err, size_t cap);

/* Whether a canonical address is 0.0.0.0 or ::, which programs listen on and no packet is ever sent to. */
bool ip_is_any(const char *canonical);

/* Reads a port, 1 to 65535, in one to five decimal digits and nothing else. False: it is none. */
bool ip_port(const char *text, size_t len, uint16_t *port);

#endif
