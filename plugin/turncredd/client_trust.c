/*
 * client_trust.c - which client certificates may open a caller
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The list is this program's own, not libmicrohttpd's, whose check knows neither purposes nor revocation lists. It is
 * asked at every request, so that a reload with a new revocation list also ends what a standing connection may do.
 */
#include "config.h"

#include "client_trust.h"

#include <gnutls/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHAIN_MAX 16

/* Until when a revocation list is valid: GnuTLS does not ask. */
struct validity {
  gnutls_datum_t issuer; /* DER */
  time_t until;
};

struct client_trust {
  gnutls_x509_trust_list_t list;
  struct validity *lists;
  unsigned list_count;
};

static int fail(const char *what, const char *path, const char *why, char *err, size_t cap) {
  snprintf(err, cap, "%s: %s: %s", what, path, why);
  return -1;
}

/* Adds a list, unless it is no authority's. One that is out of date is added too: it closes its authority. */
static int add_list(struct client_trust *trust, gnutls_x509_crl_t crl, gnutls_x509_crt_t *cas, unsigned ca_count) {
  const unsigned dates =
      GNUTLS_CERT_INVALID | GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED | GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE;
  unsigned status = ~0u;
  struct validity *v = &trust->lists[trust->list_count];
  int rc = gnutls_x509_crl_verify(crl, cas, ca_count, 0, &status);
  if (rc || (status & ~dates) || status == GNUTLS_CERT_INVALID) {
    return rc ? rc : GNUTLS_E_CONSTRAINT_ERROR;
  }
  rc = gnutls_x509_crl_get_raw_issuer_dn(crl, &v->issuer);
  if (rc) {
    return rc;
  }
  v->until = gnutls_x509_crl_get_next_update(crl);
  trust->list_count++;
  rc = gnutls_x509_trust_list_add_crls(trust->list, &crl, 1, 0, 0);
  return rc < 0 ? rc : 0;
}

static int add_lists(struct client_trust *trust, gnutls_x509_crt_t *cas, unsigned ca_count, const char *path, char *err,
                     size_t cap) {
  gnutls_x509_crl_t *crls = NULL;
  gnutls_datum_t text = {NULL, 0};
  unsigned count = 0, i = 0;
  int rc = gnutls_load_file(path, &text);
  rc = rc ? rc : gnutls_x509_crl_list_import2(&crls, &count, &text, GNUTLS_X509_FMT_PEM, 0);
  gnutls_free(text.data);
  if (rc >= 0 && count && !(trust->lists = calloc(count, sizeof *trust->lists))) {
    rc = GNUTLS_E_MEMORY_ERROR;
  }
  for (; rc >= 0 && i < count; i += rc >= 0) {
    rc = add_list(trust, crls[i], cas, ca_count);
  }
  for (unsigned left = i; left < count; left++) { /* the trust list has those before */
    gnutls_x509_crl_deinit(crls[left]);
  }
  gnutls_free(crls);
  if (rc >= 0 && count) {
    return 0;
  }
  return fail(
      "tls_client_crl", path,
      rc == GNUTLS_E_CONSTRAINT_ERROR
          ? "holds a revocation list that no authority of tls_client_ca has signed, or may sign (keyUsage cRLSign)"
      : rc < 0 ? gnutls_strerror(rc)
               : "holds no revocation list",
      err, cap);
}

static int read_all(struct client_trust *trust, const char *ca, const char *crl, char *err, size_t cap) {
  gnutls_x509_crt_t *cas = NULL;
  gnutls_datum_t text = {NULL, 0};
  unsigned count = 0;
  int rc = gnutls_load_file(ca, &text);
  rc = rc ? rc : gnutls_x509_crt_list_import2(&cas, &count, &text, GNUTLS_X509_FMT_PEM, 0);
  gnutls_free(text.data);
  if (rc < 0 || !count) {
    return fail("tls_client_ca", ca, rc < 0 ? gnutls_strerror(rc) : "holds no certificate", err, cap);
  }
  rc = *crl ? add_lists(trust, cas, count, crl, err, cap) : 0;
  if (!rc && gnutls_x509_trust_list_add_cas(trust->list, cas, count, 0) < 0) {
    rc = fail("tls_client_ca", ca, "out of memory", err, cap);
  } else if (rc) {
    for (unsigned i = 0; i < count; i++) {
      gnutls_x509_crt_deinit(cas[i]);
    }
  }
  gnutls_free(cas);
  return rc;
}

int client_trust_read(struct client_trust **out, const char *ca, const char *crl, char *err, size_t cap) {
  struct client_trust *trust = calloc(1, sizeof *trust);
  if (!trust || gnutls_x509_trust_list_init(&trust->list, 0)) {
    free(trust);
    snprintf(err, cap, "out of memory");
    return -1;
  }
  if (read_all(trust, ca, crl, err, cap)) {
    client_trust_free(trust);
    return -1;
  }
  *out = trust;
  return 0;
}

void client_trust_free(struct client_trust *trust) {
  if (!trust) {
    return;
  }
  gnutls_x509_trust_list_deinit(trust->list, 1);
  for (unsigned i = 0; i < trust->list_count; i++) {
    gnutls_free(trust->lists[i].issuer.data);
  }
  free(trust->lists);
  free(trust);
}

/* Is a list of the authority that has issued this certificate out of date? Then nobody knows whether it was revoked. */
static bool outdated(const struct client_trust *trust, gnutls_x509_crt_t crt) {
  gnutls_datum_t issuer = {NULL, 0};
  bool found = gnutls_x509_crt_get_raw_issuer_dn(crt, &issuer) != 0;
  for (unsigned i = 0; !found && i < trust->list_count; i++) {
    const struct validity *v = &trust->lists[i];
    found = v->issuer.size == issuer.size && !memcmp(v->issuer.data, issuer.data, issuer.size) &&
            (v->until == (time_t)-1 || v->until <= time(NULL));
  }
  gnutls_free(issuer.data);
  return found;
}

enum client_trust_verdict client_trust_verify(const struct client_trust *trust, gnutls_session_t session) {
  gnutls_x509_crt_t chain[CHAIN_MAX];
  gnutls_typed_vdata_st purpose = {GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT, 0};
  unsigned count = 0, made = 0, status = ~0u;
  const gnutls_datum_t *shown = gnutls_certificate_get_peers(session, &count);
  if (!shown || !count || count > CHAIN_MAX) {
    return CLIENT_NOT_TRUSTED;
  }
  int rc = 0;
  bool old = false;
  while (!rc && !old && made < count) {
    rc = gnutls_x509_crt_init(&chain[made]);
    if (!rc) {
      rc = gnutls_x509_crt_import(chain[made], &shown[made], GNUTLS_X509_FMT_DER);
      old = !rc && outdated(trust, chain[made]);
      made++;
    }
  }
  if (!rc && !old) {
    rc = gnutls_x509_trust_list_verify_crt2(trust->list, chain, count, &purpose, 1, 0, &status, NULL);
  }
  while (made) {
    gnutls_x509_crt_deinit(chain[--made]);
  }
  return rc == GNUTLS_E_MEMORY_ERROR ? CLIENT_NO_MEMORY : !rc && status == 0 ? CLIENT_TRUSTED : CLIENT_NOT_TRUSTED;
}
