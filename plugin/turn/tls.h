/*
 * tls.h - TLS and DTLS between TURN client and server (RFC 8656 section 3.1, RFC 8489 6.2.3)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The sockets do not block. Functions return 0 or an errno value.
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
  bool insecure;       /* the certificate is not verified */
};

/* Makes the handshake over the connected socket fd, until deadline (clock_ms()). EPROTO, ETIMEDOUT,
 * ENOMEM or the socket's errno value with a sentence in text. */
int turn_tls_open(struct turn_tls **out, int fd, bool datagrams, const struct turn_tls_options *options,
                  int64_t deadline, char *text, size_t cap);
/* Version and cipher, such as "TLSv1.3, TLS_AES_256_GCM_SHA384". */
void turn_tls_describe(const struct turn_tls *tls, char *out, size_t cap);
/* When the server's certificate ends, UTC seconds; 0: that is not known. */
int64_t turn_tls_not_after(const struct turn_tls *tls);
/* What the strict checks of RFC 5280, which Python 3.13 makes by default, find in the server's certificates; NULL:
   nothing. A static text of OpenSSL's. */
const char *turn_tls_strict_fault(const struct turn_tls *tls);
/* Writes or reads once. EAGAIN: the caller polls for *events and tries again. ECONNRESET: the
 * connection has ended. */
int turn_tls_write(struct turn_tls *tls, const uint8_t *data, size_t len, size_t *done, short *events);
int turn_tls_read(struct turn_tls *tls, uint8_t *data, size_t cap, size_t *done, short *events);
void turn_tls_close(struct turn_tls *tls); /* sends close_notify and frees; tls may be NULL */

#endif
