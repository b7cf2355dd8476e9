/*
 * certificates.h - the certificate that the HTTPS listener shows, its key, and the authorities that it names to clients
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_CERTIFICATES_H
#define TURNCREDD_CERTIFICATES_H

#include "turncredd/daemon_settings.h"

struct certificates {
  char *certificate, *key, *client_ca; /* PEM; client_ca is NULL without tls_client_ca */
};

/* Reads the files that the settings name, and sees whether the key belongs to the certificate. 0, or -1 with a sentence
 * in err; certificates_clear works in any case. */
int certificates_read(struct certificates *certificates, const struct settings *settings, char *err, size_t cap);
void certificates_clear(struct certificates *certificates);

#endif
