/*
 * caller_auth.c - which caller has sent a request, and what the caller may do
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "caller_auth.h"

#include "base/clock.h"
#include "issuing/mint.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static bool in_time(const struct caller *caller) {
  return caller && (!caller->not_after || caller->not_after > (int64_t)time(NULL));
}

const struct caller *caller_auth_by_key(struct request *r, const char *id, const char *key) {
  uint8_t digest[32];
  if (!r->directory) {
    return NULL;
  }
  if (turncred_sha256(thread_ws(), (const uint8_t *)key, strlen(key), digest)) {
    r->no_memory = true;
    return NULL;
  }
  const struct caller *caller = directory_by_key(r->directory, digest);
  return in_time(caller) && (!id || !strcmp(id, caller->name)) ? caller : NULL;
}

/* The certificates that the client has shown, *count of them. NULL: none. */
static const gnutls_datum_t *peers(const struct request *r, gnutls_session_t *session, unsigned *count) {
  const union MHD_ConnectionInfo *info =
      r->monitor ? NULL : MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
  *count = 0;
  if (!info) {
    return NULL;
  }
  *session = (gnutls_session_t)info->tls_session;
  const gnutls_datum_t *chain = gnutls_certificate_get_peers(*session, count);
  return *count ? chain : NULL;
}

bool caller_auth_certificate(const struct request *r, uint8_t sha256[32]) {
  gnutls_session_t session;
  unsigned count;
  const gnutls_datum_t *chain = peers(r, &session, &count);
  return chain && !turncred_sha256(thread_ws(), chain[0].data, chain[0].size, sha256);
}

const struct caller *caller_auth_by_certificate(struct request *r) {
  gnutls_session_t session;
  unsigned count;
  const gnutls_datum_t *chain = r->directory && r->reloadable->client_trust ? peers(r, &session, &count) : NULL;
  if (!chain) {
    return NULL;
  }
  enum client_trust_verdict verdict = client_trust_verify(r->reloadable->client_trust, session);
  r->no_memory |= verdict == CLIENT_NO_MEMORY;
  if (verdict != CLIENT_TRUSTED) {
    return NULL;
  }
  uint8_t digest[32];
  gnutls_x509_crt_t crt;
  gnutls_datum_t dn = {NULL, 0};
  const struct caller *caller = NULL;
  if (turncred_sha256(thread_ws(), chain[0].data, chain[0].size, digest) || gnutls_x509_crt_init(&crt)) {
    r->no_memory = true;
    return NULL;
  }
  int rc = gnutls_x509_crt_import(crt, &chain[0], GNUTLS_X509_FMT_DER);
  rc = rc ? rc : gnutls_x509_crt_get_dn3(crt, &dn, 0);
  r->no_memory |= rc == GNUTLS_E_MEMORY_ERROR;
  if (!rc) {
    caller = directory_by_cert(r->directory, digest, (const char *)dn.data);
  }
  gnutls_free(dn.data);
  gnutls_x509_crt_deinit(crt);
  return in_time(caller) ? caller : NULL;
}

bool caller_auth_rate(struct request *r) {
  int64_t wait = 0;
  struct limit_name name = {"caller", "", r->caller ? r->caller->name : ""};
  if (!r->caller ||
      limits_rate(r->daemon->limits, &name, r->reloadable->settings.caller_rate, 1000, clock_ms(), &wait)) {
    return true;
  }
  request_too_many(r, wait, "this caller sends too many requests (caller_rate)");
  return false;
}

bool caller_auth_allows(struct request *r, enum scope scope, const char *realm) {
  const char *wrong = scope && !(r->caller->scopes & (unsigned)scope) ? "scope"
                      : realm && !caller_may(r->caller, realm)        ? "realm"
                                                                      : NULL;
  if (!wrong) {
    return true;
  }
  snprintf(r->www_authenticate, sizeof r->www_authenticate,
           "Bearer realm=\"turncredd\", error=\"insufficient_scope\", scope=\"%s\"", scope_name(scope));
  request_error(r, 403, "insufficient_scope",
                "%s: this caller may not do this (it needs the scope %s%s); turncredctl caller list shows what it may, "
                "caller add makes one that may",
                wrong, scope_name(scope), realm ? " and this realm" : "");
  return false;
}

static void unauthorised(struct request *r, bool shown) {
  snprintf(r->www_authenticate, sizeof r->www_authenticate, "Bearer realm=\"turncredd\"%s",
           shown ? ", error=\"invalid_token\"" : "");
  request_error(r, 401, shown ? "invalid_token" : "unauthorized",
                shown ? "Authorization: no caller has this key, or the key has expired"
                      : "Authorization: Bearer with the caller's key is needed, or a client "
                        "certificate");
}

const char *caller_auth_bearer(const struct request *r) {
  const char *given = request_header(r, "Authorization");
  return given && !strncasecmp(given, "Bearer ", 7) ? given + 7 + strspn(given + 7, " ") : NULL;
}

bool caller_auth_key_form(const char *text) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return strlen(text) == MINT_SECRET - 1 && strspn(text, letters) == MINT_SECRET - 1;
}

bool caller_auth_required(struct request *r, enum scope scope, const char *realm) {
  const char *given = request_header(r, "Authorization"), *key = caller_auth_bearer(r);
  if (!r->directory) {
    r->retry_after = 1;
    request_error(r, 503, "temporarily_unavailable", "callers are not loaded yet");
    return false;
  }
  r->caller = key ? caller_auth_by_key(r, NULL, key) : given ? NULL : caller_auth_by_certificate(r);
  if (!r->caller) {
    unauthorised(r, given != NULL);
    return false;
  }
  return caller_auth_rate(r) && caller_auth_allows(r, scope, realm);
}
