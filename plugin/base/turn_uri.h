/*
 * turn_uri.h - TURN and STUN URIs as RFC 7065 and RFC 7064 define them, and browsers take them
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_TURN_URI_H
#define TURNCRED_TURN_URI_H

#include <stdbool.h>
#include <stddef.h>

#define TURN_URI_TEXT 300 /* octets of a URI, with the NUL */

/* Reads turn:HOST[:PORT][?transport=udp|tcp], the same with turns:, or stun:HOST[:PORT], the same with stuns:. out gets
 * it with scheme, host and transport in lower case. turns with transport=udp is TURN over DTLS (RFC 7350) and right.
 * Browsers throw the whole list of servers away for one URI that is refused here. turncred.turn_uri_canonical() in the
 * database does the same. 0, or -1 with a sentence in err. */
int turn_uri_canonical(const char *text, char out[TURN_URI_TEXT], char *err, size_t cap);

struct turn_uri {
  char host[256]; /* a name, or an address without brackets */
  char port[8];   /* 3478, or 5349 with TLS and DTLS, where the URI has none */
  bool tls;       /* turns: TLS, or DTLS over UDP */
  bool udp, tcp;  /* both where the URI names no transport */
};

/* Takes a turn: or turns: URI apart, which turn_uri_canonical() has made. 0, or -1: it is a stun: URI. */
int turn_uri_split(const char *uri, struct turn_uri *out);

#endif
