/*
 * ip_range.h - networks of IP addresses, ADDRESS or ADDRESS/PREFIX
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * One spelling a network, as ip.h has it for an address. turncred.peer_range_canonical() in the database does the same.
 */
#ifndef TURNCRED_IP_RANGE_H
#define TURNCRED_IP_RANGE_H

#include "ip.h"

#define IP_RANGE_TEXT (IP_TEXT + 4) /* octets of a network in text, with the NUL */

struct ip_range {
  uint8_t octets[16]; /* the first 4 of IPv4; those behind the prefix are 0 */
  uint8_t size;       /* octets of an address: 4 or 16 */
  uint8_t bits;       /* length of the prefix */
};

/* Reads a network; an IPv4-mapped one becomes the IPv4 network. 0, or -1 with a remedy in err: it is none, or has bits
 * behind the prefix. */
int ip_range_read(const char *text, struct ip_range *out, char *err, size_t cap);
/* The network's one spelling, which leaves out the prefix length of a single address. */
void ip_range_text(const struct ip_range *range, char out[IP_RANGE_TEXT]);
/* ip_range_read(), then ip_range_text(); out needs IP_RANGE_TEXT octets. */
int ip_range_canonical(const char *text, char *out, char *err, size_t cap);
/* Whether the network holds this address of 4 or 16 octets. */
bool ip_range_holds(const struct ip_range *range, const uint8_t *octets, size_t size);

#endif
