/*
 * disk.c - the records of a snapshot in a sealed file
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- records ---------------------------------------------------------------------------- */

static void put_list(struct sealed *s, const char *const *list, size_t count) {
  sealed_put_int(s, count);
  for (size_t i = 0; i < count; i++) {
    sealed_put_text(s, list[i]);
  }
}

/* Reads a list as text with one element a line, which the caller frees. NULL: out of memory. */
static char *get_list(struct sealed *s) {
  uint64_t count = sealed_get_int(s);
  size_t len = 0, cap = 256;
  char *text = malloc(cap), item[SNAPSHOT_LINE_MAX + 1];
  if (!text) {
    sealed_fail(s, ENOMEM);
    return NULL;
  }
  for (uint64_t i = 0; i < count && !sealed_error(s); i++) {
    sealed_get_text(s, item, sizeof item);
    size_t n = strlen(item);
    if (cap - len < n + 2) {
      cap = cap * 2 + n + 2;
      char *more = realloc(text, cap);
      if (!more) {
        sealed_fail(s, ENOMEM);
        break;
      }
      text = more;
    }
    if (i > 0) {
      text[len++] = '\n';
    }
    memcpy(text + len, item, n);
    len += n;
  }
  text[len] = 0;
  return text;
}

/* What is sealed is authentic: a value that this version does not know is one of a later version. */
static unsigned known(struct sealed *s, unsigned value, unsigned least, unsigned greatest) {
  if (!sealed_error(s) && (value < least || value > greatest)) {
    sealed_fail(s, EPROTONOSUPPORT);
  }
  return value;
}

static void put_limits(struct sealed *s, const struct store_limits *limits) {
  sealed_put_int(s, limits->max_bps);
  sealed_put_int(s, limits->max_allocations);
}

static struct store_limits get_limits(struct sealed *s) {
  uint64_t max_bps = sealed_get_int(s);
  return (struct store_limits){max_bps, (uint32_t)sealed_get_int(s)};
}

static bool put_key(const struct hamt_item *item, void *arg) {
  const struct store_key *key = &((const struct key_item *)item)->key;
  struct sealed *s = arg;
  sealed_put_byte(s, 'l');
  sealed_put_text(s, key->realm);
  sealed_put_text(s, key->kid);
  sealed_put_byte(s, key->key.use);
  sealed_put_byte(s, key->key.alg);
  sealed_put_byte(s, key->key.derivation);
  sealed_put_byte(s, key->key.allow_zero_iv);
  sealed_put_byte(s, key->key.enc_len);
  sealed_put_byte(s, key->key.auth_len);
  sealed_put(s, key->key.enc, sizeof key->key.enc);
  sealed_put(s, key->key.auth, sizeof key->key.auth);
  sealed_put_byte(s, key->form.order);
  sealed_put_byte(s, (unsigned char)key->form.separator);
  sealed_put_int(s, (uint64_t)key->since);
  sealed_put_byte(s, key->state);
  sealed_put_byte(s, key->subject_tag);
  sealed_put_int(s, (uint64_t)key->not_before);
  sealed_put_int(s, (uint64_t)key->sign_until);
  sealed_put_int(s, (uint64_t)key->accept_until);
  put_limits(s, &key->limits);
  return sealed_error(s) == 0;
}

/* A key as it is written now (kind 'l'), without limits ('k'), or as versions to 0.1 of November 2026 wrote it ('K').
 */
static int get_key(struct sealed *s, unsigned kind, struct store_snapshot *to) {
  bool before = kind == 'K';
  char realm[TURNCRED_REALM_MAX + 1], kid[TURNCRED_USERNAME_MAX + 1];
  struct store_key key;
  memset(&key, 0, sizeof key);
  sealed_get_text(s, realm, sizeof realm);
  sealed_get_text(s, kid, sizeof kid);
  key.realm = realm;
  key.kid = kid;
  key.key.use = known(s, sealed_get_byte(s), TURNCRED_USE_TOKEN, TURNCRED_USE_TAG);
  key.key.alg = known(s, sealed_get_byte(s), TURNCRED_A256GCM, TURNCRED_HMAC_SHA512);
  key.key.derivation = known(s, sealed_get_byte(s), TURNCRED_DERIVATION_NONE, TURNCRED_DERIVATION_HKDF_SHA256);
  key.key.allow_zero_iv = (uint8_t)sealed_get_byte(s);
  key.key.enc_len = (uint16_t)sealed_get_byte(s);
  key.key.auth_len = (uint16_t)sealed_get_byte(s);
  sealed_get(s, key.key.enc, sizeof key.key.enc);
  sealed_get(s, key.key.auth, before ? 64 : sizeof key.key.auth);
  key.form.order = known(s, sealed_get_byte(s), TURNCRED_USER_ID_TIMESTAMP, TURNCRED_EITHER_ORDER);
  key.form.separator = (char)(before ? ':' : sealed_get_byte(s));
  key.since = before ? 0 : (int64_t)sealed_get_int(s);
  key.state = known(s, sealed_get_byte(s), STORE_KEY_PUBLISHED, STORE_KEY_DISABLED);
  key.subject_tag = sealed_get_byte(s) != 0;
  key.not_before = (int64_t)sealed_get_int(s);
  key.sign_until = (int64_t)sealed_get_int(s);
  key.accept_until = (int64_t)sealed_get_int(s);
  if (kind == 'l') {
    key.limits = get_limits(s);
  }
  if (before && __builtin_mul_overflow(key.not_before, 1000000, &key.since)) {
    sealed_fail(s, EBADMSG);
  }
  if (key.key.enc_len > sizeof key.key.enc || key.key.auth_len > sizeof key.key.auth) {
    sealed_fail(s, EBADMSG);
  }
  int rc = sealed_error(s) ? 0 : snapshot_put_key(to, &key);
  turncred_key_clear(&key.key);
  return rc;
}

static bool put_credential(const struct hamt_item *item, void *arg) {
  const struct store_credential *c = &((const struct credential_item *)item)->credential;
  struct sealed *s = arg;
  bool device = c->user != c->username; /* the user id is another name; see snapshot_put_credential */
  bool limited = c->limits.max_bps || c->limits.max_allocations;
  sealed_put_byte(s, limited ? 'L' : device ? 'D' : 'C');
  sealed_put_text(s, c->realm);
  sealed_put_text(s, c->username);
  sealed_put(s, c->md5, sizeof c->md5);
  sealed_put(s, c->sha256, sizeof c->sha256);
  sealed_put_int(s, (uint64_t)c->expiry);
  sealed_put_int(s, (uint64_t)c->pushed_at);
  sealed_put_text(s, c->client_address);
  if (device || limited) {
    sealed_put_text(s, c->user);
  }
  if (limited) {
    put_limits(s, &c->limits);
  }
  return sealed_error(s) == 0;
}

/* 'D': the user id follows, which is not the username; 'L': it and limits follow. */
static int get_credential(struct sealed *s, unsigned kind, struct store_snapshot *to) {
  char realm[TURNCRED_REALM_MAX + 1], username[TURNCRED_USERNAME_MAX + 1], address[46];
  char user[TURNCRED_USERNAME_MAX + 1];
  struct store_credential c;
  memset(&c, 0, sizeof c);
  sealed_get_text(s, realm, sizeof realm);
  sealed_get_text(s, username, sizeof username);
  sealed_get(s, c.md5, sizeof c.md5);
  sealed_get(s, c.sha256, sizeof c.sha256);
  c.expiry = (int64_t)sealed_get_int(s);
  c.pushed_at = (int64_t)sealed_get_int(s);
  sealed_get_text(s, address, sizeof address);
  if (kind != 'C') {
    sealed_get_text(s, user, sizeof user);
  }
  if (kind == 'L') {
    c.limits = get_limits(s);
  }
  c.user = kind != 'C' ? user : username;
  c.realm = realm;
  c.username = username;
  c.client_address = address;
  int rc = sealed_error(s) ? 0 : snapshot_pile_credential(to, &c);
  turncred_cleanse(&c, sizeof c);
  return rc;
}

static void put_peers(struct sealed *s, const struct ip_range *peers, size_t count) {
  char text[IP_RANGE_TEXT];
  sealed_put_int(s, count);
  for (size_t i = 0; i < count; i++) {
    ip_range_text(&peers[i], text);
    sealed_put_text(s, text);
  }
}

static bool put_realm(const struct hamt_item *hamt, void *arg) {
  const struct realm_item *item = (const struct realm_item *)hamt;
  const struct store_realm *r = &item->realm;
  struct sealed *s = arg;
  /* P: with peers behind the rest, u: with what is recorded of sessions as well, o: and with offer_tokens, f: the same
   * of a realm whose quota is the fleet's; r is as before all of them */
  bool offer = r->offer_shown || r->quota_fleet, usage = r->usage || offer;
  sealed_put_byte(s, r->quota_fleet ? 'f' : offer ? 'o' : usage ? 'u' : r->allowed_count + r->denied_count ? 'P' : 'r');
  sealed_put_text(s, r->name);
  sealed_put_text(s, r->server_name);
  sealed_put(s, r->mechanisms, sizeof r->mechanisms);
  for (int i = 0; i < 5; i++) {
    sealed_put_byte(s, r->expiry[i]);
  }
  sealed_put_int(s, r->grace_seconds);
  sealed_put_int(s, r->max_ttl);
  sealed_put_int(s, r->default_ttl);
  sealed_put_int(s, r->user_quota);
  sealed_put_int(s, r->total_quota);
  sealed_put_int(s, r->max_bps);
  sealed_put_byte(s, r->bind_address);
  sealed_put_int(s, r->keys_tried);
  if (usage) {
    sealed_put_byte(s, r->usage);
    sealed_put(s, r->usage_salt, sizeof r->usage_salt);
  }
  if (offer) {
    sealed_put_byte(s, r->offer_shown);
  }
  put_list(s, r->guest_kids, r->guest_count);
  put_list(s, r->listen_addresses, r->listen_count);
  put_list(s, r->origins, r->origin_count);
  if (usage || r->allowed_count + r->denied_count) {
    put_peers(s, r->allowed_peers, r->allowed_count);
    put_peers(s, r->denied_peers, r->denied_count);
  }
  return hamt_each(&item->keys, put_key, s) && hamt_each(&item->credentials, put_credential, s);
}

/* kind: R as versions to 0.1 of November 2026 wrote it; the others are those of put_realm. */
static int get_realm(struct sealed *s, unsigned kind, struct store_snapshot *to) {
  struct realm_fields fields;
  struct store_realm *r = &fields.realm;
  memset(&fields, 0, sizeof fields);
  sealed_get_text(s, r->name, sizeof r->name);
  sealed_get_text(s, r->server_name, sizeof r->server_name);
  sealed_get(s, r->mechanisms, sizeof r->mechanisms);
  for (size_t i = 0; i < sizeof r->mechanisms; i++) {
    known(s, r->mechanisms[i], 0, STORE_PUSHED);
  }
  for (int i = 0; i < 5; i++) {
    r->expiry[i] = known(s, sealed_get_byte(s), STORE_STRICT, STORE_ALLOCATE);
  }
  r->grace_seconds = (uint32_t)sealed_get_int(s);
  r->max_ttl = (uint32_t)sealed_get_int(s);
  r->default_ttl = (uint32_t)sealed_get_int(s);
  r->user_quota = (uint32_t)sealed_get_int(s);
  r->total_quota = (uint32_t)sealed_get_int(s);
  r->max_bps = sealed_get_int(s);
  r->bind_address = sealed_get_byte(s) != 0;
  r->keys_tried = kind == 'R' ? 16 : (uint32_t)sealed_get_int(s);
  bool offer = kind == 'o' || kind == 'f';
  if (kind == 'u' || offer) {
    r->usage = known(s, sealed_get_byte(s), STORE_USAGE_OFF, STORE_USAGE_ADDRESS);
    sealed_get(s, r->usage_salt, sizeof r->usage_salt);
  }
  r->offer_shown = offer && sealed_get_byte(s) != 0;
  r->quota_fleet = kind == 'f';
  char *guests = get_list(s), *listens = get_list(s), *origins = get_list(s);
  bool peers = kind == 'P' || kind == 'u' || offer;
  char *allowed = peers ? get_list(s) : NULL, *denied = peers ? get_list(s) : NULL;
  fields.guest_kids = guests;
  fields.listen_addresses = listens;
  fields.origins = origins;
  fields.allowed_peers = allowed;
  fields.denied_peers = denied;
  int rc = sealed_error(s) ? 0 : snapshot_put_realm(to, &fields);
  free(guests);
  free(listens);
  free(origins);
  free(allowed);
  free(denied);
  return rc;
}

static bool put_revocation(const struct hamt_item *hamt, void *arg) {
  const struct revocation_item *item = (const struct revocation_item *)hamt;
  struct sealed *s = arg;
  sealed_put_byte(s, 'V');
  sealed_put_byte(s, item->name.kind);
  sealed_put_text(s, item->name.realm);
  sealed_put_text(s, item->name.name);
  sealed_put_int(s, (uint64_t)item->until);
  return sealed_error(s) == 0;
}

static int get_revocation(struct sealed *s, struct store_snapshot *to) {
  char realm[TURNCRED_REALM_MAX + 1], text[TURNCRED_USERNAME_MAX + 1];
  struct revocation_name name = {known(s, sealed_get_byte(s), STORE_REVOKED_USER, STORE_REVOKED_REALM), realm, text};
  sealed_get_text(s, realm, sizeof realm);
  sealed_get_text(s, text, sizeof text);
  int64_t until = (int64_t)sealed_get_int(s);
  return sealed_error(s) ? 0 : snapshot_put_revocation(to, &name, until);
}

/* --- of realms and keys ----------------------------------------------------------------- */

static bool put_snapshot(struct sealed *s, const void *arg) {
  const struct store_snapshot *snapshot = arg;
  return hamt_each(&snapshot->realms, put_realm, s) && hamt_each(&snapshot->revocations, put_revocation, s);
}

static int get_snapshot(struct sealed *s, void *arg) {
  struct store_snapshot *to = arg;
  int rc = 0;
  while (rc == 0 && !sealed_error(s)) {
    unsigned kind = sealed_get_byte(s);
    switch (kind) {
    case 'R':
    case 'r':
    case 'P':
    case 'u':
    case 'o':
    case 'f':
      rc = get_realm(s, kind, to);
      break;
    case 'K':
    case 'k':
    case 'l':
      rc = get_key(s, kind, to);
      break;
    case 'C':
    case 'D':
    case 'L':
      rc = get_credential(s, kind, to);
      break;
    case 'V':
      rc = get_revocation(s, to);
      break;
    case 'E':
      return sealed_at_end(s) ? 0 : EBADMSG;
    case 'T': /* a whole text, which is another file's */
      return EBADMSG;
    default:
      sealed_fail(s, EPROTONOSUPPORT);
    }
  }
  return rc ? rc : sealed_error(s);
}

int disk_write(const char *path, const struct store_snapshot *snapshot, const struct sealed_header *header,
               const uint8_t kek[TURNCRED_KEK], char *err, size_t err_cap) {
  return sealed_write(path, header, kek, put_snapshot, snapshot, err, err_cap);
}

int disk_read(const char *path, const struct sealed_reading *how, uint64_t seed, struct store_snapshot **out,
              struct sealed_header *header, char *err, size_t err_cap) {
  struct store_snapshot *snapshot = snapshot_new(seed);
  if (!snapshot) {
    snprintf(err, err_cap, "snapshot: out of memory");
    return ENOMEM;
  }
  int rc = sealed_read(path, how, get_snapshot, snapshot, header, err, err_cap);
  if (!rc && (rc = snapshot_settle_credentials(snapshot))) {
    snprintf(err, err_cap, "snapshot: out of memory");
  }
  if (rc) {
    snapshot_free(snapshot);
  } else {
    *out = snapshot;
  }
  return rc;
}
