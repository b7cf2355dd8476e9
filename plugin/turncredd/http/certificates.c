/*
 * certificates.c - the certificate that the HTTPS listener shows, its key, and the authorities that it names to clients
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "certificates.h"

#include "base/fail.h"
#include "core/turncred.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEM_MAX 262144 /* octets of a file */

static char *read_pem(const char *path, const char *what, char *err, size_t cap) {
  FILE *file = fopen(path, "re");
  if (!file) {
    fail_to_read(errno, err, cap, what, path);
    return NULL;
  }
  char *text = calloc(1, PEM_MAX + 1);
  size_t n = text ? fread(text, 1, PEM_MAX, file) : 0;
  int error = text ? errno : ENOMEM;
  bool broken = !text || ferror(file);
  fclose(file);
  if (n && n < PEM_MAX && !broken) {
    return text;
  }
  if (broken) {
    fail_to_read(error, err, cap, what, path);
  } else {
    fail_with(EINVAL, err, cap, "%s %s: the file %s", what, path, n ? "is longer than 256 KiB" : "is empty");
  }
  free(text);
  return NULL;
}

static gnutls_datum_t datum(char *text) { return (gnutls_datum_t){(unsigned char *)text, (unsigned)strlen(text)}; }

/* The remedy for a key that systemd has handed over (LoadCredential=), which it does at a start alone. */
static const char *remedy_for(const char *path) {
  const char *folder = getenv("CREDENTIALS_DIRECTORY");
  return folder && *folder && strncmp(path, folder, strlen(folder)) == 0
             ? ": systemd hands a renewed key over at a restart, not at a reload"
             : "";
}

/* What libmicrohttpd will do with them, with an error that says what is wrong. */
static int try_pair(const struct certificates *c, const struct settings *s, char *err, size_t cap) {
  gnutls_certificate_credentials_t credentials;
  gnutls_datum_t certificate = datum(c->certificate), key = datum(c->key);
  int rc = gnutls_certificate_allocate_credentials(&credentials);
  if (rc) {
    return fail_with(ENOMEM, err, cap, "out of memory");
  }
  rc = gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key, GNUTLS_X509_FMT_PEM);
  gnutls_certificate_free_credentials(credentials);
  if (rc == GNUTLS_E_CERTIFICATE_KEY_MISMATCH) {
    return fail_with(EINVAL, err, cap, "tls_key %s is not the key of the first certificate in tls_certificate %s%s",
                     s->tls_key, s->tls_certificate, remedy_for(s->tls_key));
  }
  return rc < 0 ? fail_with(EINVAL, err, cap,
                            "tls_certificate %s and tls_key %s cannot be used: %s: both are PEM files, the key without "
                            "a passphrase",
                            s->tls_certificate, s->tls_key, gnutls_strerror(rc))
                : 0;
}

int certificates_read(struct certificates *c, const struct settings *s, char *err, size_t cap) {
  *c = (struct certificates){0};
  if (!(c->certificate = read_pem(s->tls_certificate, "tls_certificate", err, cap)) ||
      !(c->key = read_pem(s->tls_key, "tls_key", err, cap)) ||
      (*s->tls_client_ca && !(c->client_ca = read_pem(s->tls_client_ca, "tls_client_ca", err, cap)))) {
    return -1;
  }
  return try_pair(c, s, err, cap) ? -1 : 0;
}

void certificates_clear(struct certificates *c) {
  if (c->key) {
    turncred_cleanse(c->key, strlen(c->key));
  }
  free(c->key);
  free(c->certificate);
  free(c->client_ca);
  *c = (struct certificates){0};
}
