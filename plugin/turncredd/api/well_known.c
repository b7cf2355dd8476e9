/*
 * well_known.c - GET /.well-known/...: RFC 8414, and RFC 7635 section 4.1.1
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/base64url.h"
#include "handlers.h"
#include "turncredd/http/caller_auth.h"
#include "turncredd/log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* How clients and callers prove themselves: first, second (NULL: no more), and by certificates if any are checked */
static json_t *auth_methods(const struct settings *s, const char *first, const char *second) {
  json_t *methods = json_pack("[s]", first);
  if (second) {
    json_array_append_new(methods, json_string(second));
  }
  if (*s->tls_client_ca) {
    json_array_append_new(methods, json_string("tls_client_auth"));
    json_array_append_new(methods, json_string("self_signed_tls_client_auth"));
  }
  return methods;
}

void well_known_server(struct request *r) {
  const struct settings *s = &r->reloadable->settings;
  char endpoint[CONF_VALUE_MAX + 16], introspection[CONF_VALUE_MAX + 24];
  if (!*s->public_url) {
    request_error(r, 404, "not_found", "there is no such resource (public_url is not set)");
    return;
  }
  snprintf(endpoint, sizeof endpoint, "%s/oauth2/token", s->public_url);
  json_t *grants = json_pack("[s]", "client_credentials");
  json_t *methods = auth_methods(s, "client_secret_basic", "client_secret_post");
  json_t *callers = NULL;
  if (s->issuer_count) {
    json_array_append_new(grants, json_string("urn:ietf:params:oauth:grant-type:token-exchange"));
    json_array_append_new(methods, json_string("none"));
    snprintf(introspection, sizeof introspection, "%s/oauth2/introspect", s->public_url);
    callers = auth_methods(s, "Bearer", NULL); /* a caller's key; an access token type is allowed here */
  }
  request_answer(r, 200,
                 json_pack("{s:s, s:s, s:[s], s:[], s:o, s:o, s:s*, s:o*}", "issuer", s->public_url, "token_endpoint",
                           endpoint, "scopes_supported", "stun", "response_types_supported", "grant_types_supported",
                           grants, "token_endpoint_auth_methods_supported", methods, "introspection_endpoint",
                           s->issuer_count ? introspection : NULL, "introspection_endpoint_auth_methods_supported",
                           callers));
}

/* --- the key of a foreign server ---------------------------------------------------------- */

/* Sets the caller by the client certificate alone. False: an error has been prepared. */
static bool identify(struct request *r) {
  if (!r->directory) {
    r->retry_after = 1;
    request_error(r, 503, "temporarily_unavailable", "callers are not loaded yet");
    return false;
  }
  r->caller = caller_auth_by_certificate(r);
  if (!r->caller) {
    request_error(r, 403, "access_denied", "a client certificate of a caller is needed: no bearer key opens this");
    return false;
  }
  return caller_auth_rate(r) && caller_auth_allows(r, SCOPE_STUN_KEY, NULL);
}

/* The realm of the foreign server that has this name and gives its keys to the request's caller; NULL: there is none.
 */
static const struct realm_info *realm_of(const struct request *r, const char *server_name) {
  size_t count;
  const struct realm_info *realms = directory_realms(r->directory, &count);
  for (size_t i = 0; i < count; i++) {
    if (realms[i].foreign_caller && !strcmp(realms[i].foreign_caller, r->caller->name) &&
        !strcmp(realms[i].server_name, server_name) && caller_may(r->caller, realms[i].name)) {
      return &realms[i];
    }
  }
  return NULL;
}

/* A key that is told to a foreign server, copied out of the snapshot. */
struct shared {
  char kid[TURNCRED_USERNAME_MAX + 1];
  uint8_t k[TURNCRED_KEY_MAX];
  size_t len;
  int64_t accept_until;
  enum turncred_alg alg;
  enum turncred_derivation derivation;
};

/* Copies the key. The snapshot has K in two halves; RFC 7518 section 5.2.2.1 says in which order they make K. */
static void take(const struct store_key *key, struct shared *out) {
  snprintf(out->kid, sizeof out->kid, "%s", key->kid);
  memcpy(out->k, key->key.auth, key->key.auth_len);
  memcpy(out->k + key->key.auth_len, key->key.enc, key->key.enc_len);
  out->len = (size_t)key->key.auth_len + key->key.enc_len;
  out->accept_until = key->accept_until;
  out->alg = key->key.alg;
  out->derivation = key->key.derivation;
}

/* Finds the realm's token key of this kid, or (kid NULL) the newest one. False: an error has been prepared. */
static bool find_key(struct request *r, const char *realm, const char *kid, struct shared *out) {
  int64_t now = (int64_t)time(NULL);
  struct store_reader *reader = thread_reader(r->daemon->store);
  const struct store_snapshot *snapshot = reader ? store_acquire(reader) : NULL;
  const struct store_realm *of = snapshot ? store_realm_find(snapshot, realm) : NULL;
  const struct store_key *key = !of   ? NULL
                                : kid ? store_key_find(snapshot, of, kid)
                                      : store_key_to_share(snapshot, of, now);
  bool good = key && key->key.use == TURNCRED_USE_TOKEN && !strcmp(key->realm, realm) &&
              (!key->accept_until || now < key->accept_until);
  if (good) {
    take(key, out);
  }
  if (snapshot) {
    store_release(reader);
  }
  if (good) {
    return true;
  }
  if (!reader) {
    request_no_memory(r);
  } else if (kid) {
    request_error(r, 404, "not_found", "kid: this server has no such token key");
  } else {
    request_error(r, 503, "temporarily_unavailable",
                  "name: the server's realm has no token key now; the operator adds one with turncredctl key add");
  }
  return false;
}

static void answer(struct request *r, const struct shared *key, const char *realm) {
  char k[2 * TURNCRED_KEY_MAX];
  if (base64url_encode(key->k, key->len, k, sizeof k)) {
    request_error(r, 500, "server_error", "the key cannot be encoded");
    return;
  }
  request_answer(r, 200,
                 json_pack("{s:s, s:I, s:s, s:s}", "k", k, "exp", (json_int_t)key->accept_until, "kid", key->kid, "enc",
                           turncred_alg_name(key->alg)));
  turncred_cleanse(k, sizeof k);
  log_line(LOG_INFO, "key %s of realm %s was told to caller %s", key->kid, realm, r->caller->name);
}

void well_known_stun_key(struct request *r) {
  const char *service = request_query(r, "service"), *name = request_query(r, "name");
  struct shared key = {.len = 0};
  if (!identify(r)) {
    return;
  }
  if (!service || (strcmp(service, "stun") != 0 && strcmp(service, "turn") != 0)) {
    request_error(r, 400, "invalid_request", "service: must be stun or turn");
    return;
  }
  if (!name || !*name) {
    request_error(r, 400, "invalid_request", "name: is missing; it names the TURN server");
    return;
  }
  const struct realm_info *realm = realm_of(r, name);
  if (!realm) {
    request_error(r, 404, "not_found", "name: there is no TURN server of this name whose keys are for this caller");
    return;
  }
  if (!find_key(r, realm->name, request_query(r, "kid"), &key)) {
    return;
  }
  if (key.derivation != TURNCRED_DERIVATION_NONE) {
    request_error(r, 503, "temporarily_unavailable",
                  "name: the server's key has a derivation, which RFC 7635 does not know; the operator adds a "
                  "key with derivation none");
  } else if (!key.accept_until) {
    request_error(r, 503, "temporarily_unavailable",
                  "name: the server's key has no end, which the answer must name; the operator sets one with "
                  "turncredctl key set --accept-until");
  } else {
    answer(r, &key, realm->name);
  }
  turncred_cleanse(&key, sizeof key);
}
