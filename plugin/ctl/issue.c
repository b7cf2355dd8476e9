/*
 * issue.c - turncredctl token issue and credential issue
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/clock.h"
#include "issuing/lifetime.h"
#include "issuing/mint.h"
#include "keyring.h"
#include "values.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The realm's rules for issuing. */
struct policy {
  char server_name[TURNCRED_SERVER_NAME_MAX + 1];
  int64_t max_ttl, default_ttl;
  bool bind_address; /* derived credentials carry the client's address */
};

/* Reads the realm's rules; CTL_REFUSED if the realm does not offer the mechanism. */
static enum ctl_exit read_policy(struct ctl *ctl, const char *realm, const char *mechanism, struct policy *policy) {
  struct pg_params p = {0};
  json_t *row = NULL, *one;
  size_t i;
  bool offered = false;
  pg_text(&p, realm);
  enum ctl_exit rc = ctl_row(ctl,
                             "SELECT server_name, max_ttl, default_ttl, mechanisms, bind_address FROM "
                             "turncred.realm WHERE name = $1",
                             &p, &row);
  if (!rc && !row) {
    rc = ctl_need_realm(ctl, realm);
  }
  if (rc) {
    return rc;
  }
  snprintf(policy->server_name, sizeof policy->server_name, "%s",
           json_string_value(json_object_get(row, "server_name")));
  policy->max_ttl = json_integer_value(json_object_get(row, "max_ttl"));
  policy->default_ttl = json_integer_value(json_object_get(row, "default_ttl"));
  policy->bind_address = json_is_true(json_object_get(row, "bind_address"));
  json_array_foreach(json_object_get(row, "mechanisms"), i, one) {
    offered |= !strcmp(json_string_value(one), mechanism);
  }
  json_decref(row);
  if (!offered) {
    return ctl_fail(ctl, CTL_REFUSED,
                    "realm \"%s\" does not offer the mechanism %s, so its servers would refuse the "
                    "credential; change it with turncredctl realm set --mechanisms",
                    realm, mechanism);
  }
  return CTL_OK;
}

static enum ctl_exit read_lifetime(struct ctl *ctl, const struct policy *policy, int64_t *lifetime) {
  *lifetime = policy->default_ttl;
  return ctl_get_duration(ctl, "lifetime", 1, policy->max_ttl, lifetime);
}

/* *lifted gets what lifetime_needed takes. Fails if a revocation of the key is in force. */
static enum ctl_exit read_revocations(struct ctl *ctl, const struct stored_key *key, const char *user,
                                      int64_t *lifted) {
  struct lifetime_revocations revocations;
  enum ctl_exit rc = ctl_connect(ctl);
  if (rc) {
    return rc;
  }
  if (lifetime_read(ctl->db, key->realm, user, key->kid, &revocations)) {
    return ctl_db_error(ctl);
  }
  if (revocations.key_revoked) {
    return ctl_fail(ctl, CTL_REFUSED,
                    "key \"%s\" is revoked, so servers would refuse the credential; lift that with "
                    "turncredctl unrevoke kid, or rotate the key: turncredctl key rotate %s",
                    key->kid, key->realm);
  }
  *lifted = revocations.lifted;
  return CTL_OK;
}

/* Extends the lifetime of a derived or REST credential after a revocation was lifted: servers would
 * take a shorter one for a credential from before, which stays refused (issuing/lifetime.h). */
static enum ctl_exit outlive_revocation(struct ctl *ctl, const struct policy *policy, const struct stored_key *key,
                                        const char *user, int64_t *lifetime) {
  int64_t lifted = 0;
  enum ctl_exit rc = read_revocations(ctl, key, user, &lifted);
  int64_t needed = lifetime_needed(lifted, policy->max_ttl, time(NULL));
  if (rc || needed <= *lifetime) {
    return rc;
  }
  if (ctl_has(ctl, "lifetime") && *lifetime < policy->max_ttl) {
    return ctl_fail(ctl, CTL_REFUSED,
                    "--lifetime: a revocation of \"%s\" was lifted not long ago; servers would take "
                    "the credential for an older one, unless it lives for %lld s or longer",
                    user, (long long)(needed < policy->max_ttl ? needed : policy->max_ttl));
  }
  *lifetime = needed;
  return CTL_OK;
}

/* Waits until the second in which a revocation was lifted is over: a token carries the second in
 * which it was issued, and servers would take it for a token from before. */
static enum ctl_exit wait_for_lifted(struct ctl *ctl, const struct stored_key *key, const char *subject) {
  int64_t lifted = 0, end = clock_ms() + 2000;
  enum ctl_exit rc = read_revocations(ctl, key, subject, &lifted);
  while (!rc && time(NULL) <= lifted && clock_ms() < end) {
    poll(NULL, 0, 20);
  }
  return rc;
}

/* Records what is issued in issue_log, and reserves a token of the key, in one transaction. */
static enum ctl_exit record(struct ctl *ctl, const struct stored_key *key, const char *subject, const char *fingerprint,
                            int64_t expiry) {
  struct pg_params p = {0}, r = {0};
  char *reserved = NULL;
  enum ctl_exit rc = ctl_begin(ctl);
  pg_text(&r, key->realm);
  pg_text(&r, key->kid);
  if (!rc && key->use == TURNCRED_USE_TOKEN) {
    rc = ctl_value(ctl, "SELECT turncred.tokens_reserve($1, $2, 1)", &r, &reserved);
  }
  if (!rc && reserved && *reserved != 't') {
    rc = ctl_fail(ctl, CTL_REFUSED,
                  "key \"%s\" has signed as many tokens as it may (2^32), or is no longer active; "
                  "rotate it: turncredctl key rotate %s",
                  key->kid, key->realm);
  }
  pg_text(&p, key->realm);
  pg_text(&p, turncred_use_name(key->use));
  pg_text(&p, subject);
  pg_time(&p, expiry);
  pg_text(&p, key->kid);
  pg_text(&p, fingerprint);
  if (!rc) {
    rc = ctl_run(ctl,
                 "SELECT turncred.issue_record($1, $2, $3, to_timestamp($4::bigint), $5, $6, "
                 "'turncredctl', session_user::text)",
                 &p, NULL);
  }
  if (!rc) {
    rc = ctl_commit(ctl);
  }
  ctl_rollback(ctl);
  free(reserved);
  return rc;
}

/* tag_key NULL: no subject tag. */
static enum ctl_exit make_token(struct ctl *ctl, const struct stored_key *key, const uint8_t *tag_key,
                                const struct policy *policy, const char *subject, int64_t lifetime, size_t mac_key_len,
                                struct mint_token *made) {
  struct turncred_key ready = {0};
  struct turncred_ws *ws = turncred_ws_new(1);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  enum turncred_err err =
      ws ? turncred_key_init(&ready, key->use, key->alg, key->derivation, key->k, key->k_len) : TURNCRED_NO_MEMORY;
  if (!err) {
    err = mint_token(ws, &ready, tag_key, policy->server_name, subject, &now, (uint32_t)lifetime, mac_key_len, made);
  }
  turncred_ws_free(ws);
  turncred_key_clear(&ready);
  return err ? ctl_fail(ctl, CTL_INTERNAL, "%s", turncred_err_text(err)) : CTL_OK;
}

static const struct ctl_column token_columns[] = {
    {"kid", "kid", CTL_TEXT},
    {"access_token", "access token", CTL_TEXT},
    {"key", "session key (base64)", CTL_TEXT},
    {"alg", "algorithm", CTL_TEXT},
    {"expires_in", "expires in", CTL_SECONDS},
    {"expires_at", "expires at", CTL_TIME},
    {"realm", "realm", CTL_TEXT},
    {"server_name", "server name", CTL_TEXT},
    {"fingerprint", "fingerprint", CTL_TEXT},
    {NULL, NULL, CTL_TEXT},
};

enum ctl_exit cmd_token_issue(struct ctl *ctl) {
  const char *realm = ctl_operand(ctl, 0), *subject = ctl_operand(ctl, 1);
  struct policy policy = {0};
  struct stored_key key = {0};
  struct mint_token made = {0};
  uint8_t tag_key[TAG_KEY_OCTETS];
  int64_t lifetime = 0, mac_key_len = 20;
  enum ctl_exit rc = ctl_get_int(ctl, "session-key-octets", 20, 32, &mac_key_len);
  if (!rc && mac_key_len != 20 && mac_key_len != 32) {
    rc = ctl_fail(ctl, CTL_USAGE, "--session-key-octets: 20 or 32");
  }
  if (!rc) {
    rc = ctl_check_user(ctl, "USER", subject, TURNCRED_USER_ID_MAX, false);
  }
  if (!rc) {
    rc = read_policy(ctl, realm, "token", &policy);
  }
  if (!rc) {
    rc = read_lifetime(ctl, &policy, &lifetime);
  }
  if (!rc) {
    rc = keyring_signer(ctl, realm, TURNCRED_USE_TOKEN, ctl_get(ctl, "kid"), &key);
  }
  if (!rc && key.subject_tag) {
    rc = keyring_tag_key(ctl, &key, tag_key);
  }
  if (!rc) {
    rc = wait_for_lifted(ctl, &key, subject);
  }
  if (!rc) {
    rc =
        make_token(ctl, &key, key.subject_tag ? tag_key : NULL, &policy, subject, lifetime, (size_t)mac_key_len, &made);
  }
  if (!rc) {
    int64_t expiry = (int64_t)(made.token.timestamp >> 16) + lifetime;
    rc = record(ctl, &key, subject, made.fingerprint, expiry);
    if (!rc) {
      char token[TURNCRED_TOKEN_BASE64_MAX], mac_key[2 * TURNCRED_MAC_KEY_MAX];
      turncred_base64_encode(made.octets, made.len, token, sizeof token);
      turncred_base64_encode(made.token.mac_key, made.token.mac_key_len, mac_key, sizeof mac_key);
      rc = ctl_print_record(ctl,
                            json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s}", "access_token", token,
                                      "token_type", "pop", "expires_in", (json_int_t)lifetime, "expires_at",
                                      (json_int_t)expiry, "kid", key.kid, "key", mac_key, "alg",
                                      mac_key_len == 20 ? "HMAC-SHA-1" : "HMAC-SHA-256-128", "realm", realm,
                                      "server_name", policy.server_name, "fingerprint", made.fingerprint),
                            token_columns);
      turncred_cleanse(mac_key, sizeof mac_key);
    }
    turncred_cleanse(&made, sizeof made);
  }
  turncred_cleanse(tag_key, sizeof tag_key);
  keyring_clear(&key);
  return rc;
}

static const struct ctl_column credential_columns[] = {
    {"username", "username", CTL_TEXT},
    {"password", "password", CTL_TEXT},
    {"realm", "realm", CTL_TEXT},
    {"ttl", "ttl", CTL_SECONDS},
    {"expires_at", "expires at", CTL_TIME},
    {"uris", "uris", CTL_TEXT},
    {NULL, NULL, CTL_TEXT},
};

/* The URIs of --uri in their one spelling; *uris is released by the caller. */
static enum ctl_exit uris_of(const struct ctl *ctl, json_t **uris) {
  const char *uri;
  char canonical[CTL_VALUE];
  enum ctl_exit rc = CTL_OK;
  *uris = json_array();
  for (size_t i = 0; !rc && (uri = ctl_get_nth(ctl, "uri", i)); i++) {
    rc = ctl_canonical(ctl, "uri", uri, canonical);
    json_array_append_new(*uris, json_string(canonical));
  }
  return rc;
}

/* The user id of a derived credential: USER, or "USER|ADDRESS" in a realm that binds addresses. */
static enum ctl_exit user_id_of(struct ctl *ctl, const struct policy *policy, enum turncred_use use, const char *user,
                                char *out, size_t cap) {
  bool given = ctl_has(ctl, "client-address"), bound = use == TURNCRED_USE_DERIVED && policy->bind_address;
  char address[IP_TEXT];
  enum ctl_exit rc = ctl_check_user(ctl, "USER", user, TURNCRED_USER_ID_MAX, true);
  if (!rc && given && !bound) {
    rc = ctl_fail(ctl, CTL_USAGE, "--client-address: only for derived credentials of a realm with bind-address");
  }
  if (!rc) {
    rc = ctl_get_address(ctl, "client-address", address);
  }
  if (!rc && bound && !*address) {
    rc = ctl_fail(ctl, CTL_USAGE,
                  "--client-address: the realm binds credentials to the client's address; give "
                  "that address");
  }
  if (!rc && (size_t)snprintf(out, cap, bound ? "%s|%s" : "%s%s", user, address) >= cap) {
    rc = ctl_fail(ctl, CTL_USAGE, "USER: too long with the address behind it");
  }
  return rc;
}

/* USERNAME and password of a derived or REST credential. */
static enum ctl_exit make_password(struct ctl *ctl, const struct stored_key *key, const char *user_id, int64_t expiry,
                                   char username[TURNCRED_USERNAME_MAX + 1], char password[TURNCRED_PASSWORD_MAX]) {
  struct turncred_key ready = {0};
  struct turncred_ws *ws = turncred_ws_new(1);
  enum turncred_err err =
      ws ? turncred_key_init(&ready, key->use, key->alg, key->derivation, key->k, key->k_len) : TURNCRED_NO_MEMORY;
  if (!err) {
    err = mint_password(ws, &ready, &key->form, user_id, key->realm, expiry, username, password);
  }
  turncred_ws_free(ws);
  turncred_key_clear(&ready);
  if (err == TURNCRED_BAD_USERNAME || err == TURNCRED_NO_SPACE) {
    return ctl_fail(ctl, CTL_REFUSED, "USER: %s", turncred_err_text(err));
  }
  return err ? ctl_fail(ctl, CTL_INTERNAL, "%s", turncred_err_text(err)) : CTL_OK;
}

enum ctl_exit cmd_credential_issue(struct ctl *ctl) {
  const char *realm = ctl_operand(ctl, 0), *user = ctl_operand(ctl, 1);
  const char *kind = ctl_has(ctl, "kind") ? ctl_get(ctl, "kind") : "derived";
  enum turncred_use use = TURNCRED_USE_DERIVED;
  struct policy policy = {0};
  struct stored_key key = {0};
  char username[TURNCRED_USERNAME_MAX + 1], password[TURNCRED_PASSWORD_MAX];
  char user_id[TURNCRED_USERNAME_MAX + 1];
  int64_t lifetime = 0, expiry = 0;
  json_t *uris = NULL;
  if (keyring_use_parse(kind, &use) || use == TURNCRED_USE_TOKEN) {
    return ctl_fail(ctl, CTL_USAGE, "--kind: \"%s\" is not one of derived, rest", kind);
  }
  enum ctl_exit rc = *user ? uris_of(ctl, &uris) : ctl_fail(ctl, CTL_USAGE, "USER: name the user of the credential");
  if (!rc) {
    rc = read_policy(ctl, realm, kind, &policy);
  }
  if (!rc) {
    rc = read_lifetime(ctl, &policy, &lifetime);
  }
  if (!rc) {
    rc = user_id_of(ctl, &policy, use, user, user_id, sizeof user_id);
  }
  if (!rc) {
    rc = keyring_signer(ctl, realm, use, ctl_get(ctl, "kid"), &key);
  }
  if (!rc) {
    rc = outlive_revocation(ctl, &policy, &key, user, &lifetime);
  }
  expiry = time(NULL) + lifetime;
  if (!rc) {
    rc = make_password(ctl, &key, user_id, expiry, username, password);
  }
  if (!rc) {
    rc = record(ctl, &key, user, "", expiry);
  }
  keyring_clear(&key);
  if (!rc) {
    rc = ctl_print_record(ctl,
                          json_pack("{s:s, s:s, s:s, s:I, s:I, s:o}", "username", username, "password", password,
                                    "realm", realm, "ttl", (json_int_t)lifetime, "expires_at", (json_int_t)expiry,
                                    "uris", json_incref(uris)),
                          credential_columns);
  }
  turncred_cleanse(password, sizeof password);
  json_decref(uris);
  return rc;
}
