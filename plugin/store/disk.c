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
  char *text = malloc(cap), item[1024];
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

static bool put_key(const struct hamt_item *item, void *arg) {
  const struct store_key *key = &((const struct key_item *)item)->key;
  struct sealed *s = arg;
  sealed_put_byte(s, 'K');
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
  sealed_put_byte(s, key->username_format);
  sealed_put_byte(s, key->state);
  sealed_put_byte(s, key->subject_tag);
  sealed_put_int(s, (uint64_t)key->not_before);
  sealed_put_int(s, (uint64_t)key->sign_until);
  sealed_put_int(s, (uint64_t)key->accept_until);
  return sealed_error(s) == 0;
}

static int get_key(struct sealed *s, struct store_snapshot *to) {
  char realm[TURNCRED_REALM_MAX + 1], kid[TURNCRED_USERNAME_MAX + 1];
  struct store_key key;
  memset(&key, 0, sizeof key);
  sealed_get_text(s, realm, sizeof realm);
  sealed_get_text(s, kid, sizeof kid);
  key.realm = realm;
  key.kid = kid;
  key.key.use = sealed_get_byte(s);
  key.key.alg = sealed_get_byte(s);
  key.key.derivation = sealed_get_byte(s);
  key.key.allow_zero_iv = (uint8_t)sealed_get_byte(s);
  key.key.enc_len = (uint16_t)sealed_get_byte(s);
  key.key.auth_len = (uint16_t)sealed_get_byte(s);
  sealed_get(s, key.key.enc, sizeof key.key.enc);
  sealed_get(s, key.key.auth, sizeof key.key.auth);
  key.username_format = sealed_get_byte(s);
  key.state = sealed_get_byte(s);
  key.subject_tag = sealed_get_byte(s) != 0;
  key.not_before = (int64_t)sealed_get_int(s);
  key.sign_until = (int64_t)sealed_get_int(s);
  key.accept_until = (int64_t)sealed_get_int(s);
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
  sealed_put_byte(s, 'C');
  sealed_put_text(s, c->realm);
  sealed_put_text(s, c->username);
  sealed_put(s, c->md5, sizeof c->md5);
  sealed_put(s, c->sha256, sizeof c->sha256);
  sealed_put_int(s, (uint64_t)c->expiry);
  sealed_put_int(s, (uint64_t)c->pushed_at);
  sealed_put_text(s, c->client_address);
  return sealed_error(s) == 0;
}

static int get_credential(struct sealed *s, struct store_snapshot *to) {
  char realm[TURNCRED_REALM_MAX + 1], username[TURNCRED_USERNAME_MAX + 1], address[46];
  struct store_credential c;
  memset(&c, 0, sizeof c);
  sealed_get_text(s, realm, sizeof realm);
  sealed_get_text(s, username, sizeof username);
  sealed_get(s, c.md5, sizeof c.md5);
  sealed_get(s, c.sha256, sizeof c.sha256);
  c.expiry = (int64_t)sealed_get_int(s);
  c.pushed_at = (int64_t)sealed_get_int(s);
  sealed_get_text(s, address, sizeof address);
  c.realm = realm;
  c.username = username;
  c.client_address = address;
  int rc = sealed_error(s) ? 0 : snapshot_put_credential(to, &c);
  turncred_cleanse(&c, sizeof c);
  return rc;
}

static bool put_realm(const struct hamt_item *hamt, void *arg) {
  const struct realm_item *item = (const struct realm_item *)hamt;
  const struct store_realm *r = &item->realm;
  struct sealed *s = arg;
  sealed_put_byte(s, 'R');
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
  put_list(s, r->guest_kids, r->guest_count);
  put_list(s, r->listen_addresses, r->listen_count);
  put_list(s, r->origins, r->origin_count);
  return hamt_each(&item->keys, put_key, s) && hamt_each(&item->credentials, put_credential, s);
}

static int get_realm(struct sealed *s, struct store_snapshot *to) {
  struct realm_fields fields;
  struct store_realm *r = &fields.realm;
  memset(&fields, 0, sizeof fields);
  sealed_get_text(s, r->name, sizeof r->name);
  sealed_get_text(s, r->server_name, sizeof r->server_name);
  sealed_get(s, r->mechanisms, sizeof r->mechanisms);
  for (int i = 0; i < 5; i++) {
    r->expiry[i] = sealed_get_byte(s);
  }
  r->grace_seconds = (uint32_t)sealed_get_int(s);
  r->max_ttl = (uint32_t)sealed_get_int(s);
  r->default_ttl = (uint32_t)sealed_get_int(s);
  r->user_quota = (uint32_t)sealed_get_int(s);
  r->total_quota = (uint32_t)sealed_get_int(s);
  r->max_bps = sealed_get_int(s);
  r->bind_address = sealed_get_byte(s) != 0;
  char *guests = get_list(s), *listens = get_list(s), *origins = get_list(s);
  fields.guest_kids = guests;
  fields.listen_addresses = listens;
  fields.origins = origins;
  int rc = sealed_error(s) ? 0 : snapshot_put_realm(to, &fields);
  free(guests);
  free(listens);
  free(origins);
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
  struct revocation_name name = {sealed_get_byte(s), realm, text};
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
    switch (sealed_get_byte(s)) {
    case 'R':
      rc = get_realm(s, to);
      break;
    case 'K':
      rc = get_key(s, to);
      break;
    case 'C':
      rc = get_credential(s, to);
      break;
    case 'V':
      rc = get_revocation(s, to);
      break;
    case 'E':
      return sealed_at_end(s) ? 0 : EBADMSG;
    default:
      return EBADMSG;
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
  if (rc) {
    snapshot_free(snapshot);
  } else {
    *out = snapshot;
  }
  return rc;
}
