/*
 * tls.h - TLS and DTLS between TURN client and server (RFC 8656 section 3.1, RFC 8489 6.2.3)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * On sockets that do not block. Functions return 0 or an errno value.
 */
#ifndef TURNCRED_TURN_TLS_H
#define TURNCRED_TURN_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct turn_tls;

struct turn_tls_options {
  const char *name;    /* host name or address that the certificate must be for */
  const char *ca_file; /* certificates to trust; NULL: the system's */
  bool insecure;       /* whoever answers is trusted */
};

/* Handshake over the connected socket. EPROTO with a sentence in text. */
int turn_tls_open(struct turn_tls **out, int fd, bool datagrams,
                  const struct turn_tls_options *options, int64_t deadline, char *text, size_t cap);
/* "TLSv1.3, TLS_AES_256_GCM_SHA384" */
void turn_tls_describe(const struct turn_tls *tls, char *out, size_t cap);
/* End of the server's certificate, UTC seconds; 0: not known. */
int64_t turn_tls_not_after(const struct turn_tls *tls);
/* One write or read. EAGAIN with *events set to what to poll for; ECONNRESET at the end. */
int turn_tls_write(struct turn_tls *tls, const uint8_t *data, size_t len, size_t *done,
                   short *events);
int turn_tls_read(struct turn_tls *tls, uint8_t *data, size_t cap, size_t *done, short *events);
void turn_tls_close(struct turn_tls *tls); /* says goodbye, frees; NULL is fine */

#endif
