/*
 * client_trust.h - which client certificates may open a caller
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_CLIENT_TRUST_H
#define TURNCREDD_CLIENT_TRUST_H

#include <gnutls/gnutls.h>
#include <stddef.h>

/* The authorities of tls_client_ca and the revocation lists of tls_client_crl. Immutable; threads may share it. */
struct client_trust;

/* ca, crl: paths of PEM files; crl "": no lists. 0, or -1 with a sentence in err. */
int client_trust_read(struct client_trust **out, const char *ca, const char *crl, char *err, size_t err_cap);
void client_trust_free(struct client_trust *trust); /* NULL is allowed */
enum client_trust_verdict { CLIENT_TRUSTED, CLIENT_NOT_TRUSTED, CLIENT_NO_MEMORY };
/* Does the chain that the client has shown in this session lead to an authority, in time, unrevoked, for the purpose of
 * TLS clients (RFC 5280 section 4.2.1.12; a certificate without extended key usage has every purpose)? */
enum client_trust_verdict client_trust_verify(const struct client_trust *trust, gnutls_session_t session);

#endif
