/*
 * token.c - the self-contained token of RFC 7635
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-------------------------------+-------------------------------+
 * |         nonce length          |    nonce (variable)  ...      |
 * +-------------------------------+-------------------------------+
 * |                 encrypted block (variable) ...                |
 * +---------------------------------------------------------------+
 *
 * Encrypted block, in clear (section 6.2):
 *
 * +-------------------------------+-------------------------------+
 * |          key length           |      mac_key (variable) ...   |
 * +-------------------------------+-------------------------------+
 * |                timestamp (64 bits, 48.16 seconds)             |
 * |                                                               |
 * +---------------------------------------------------------------+
 * |                            lifetime                           |
 * +---------------------------------------------------------------+
 */
#include "core.h"

#define PLAIN_FIXED 14 /* key length, timestamp and lifetime */
#define PLAIN_MAX (PLAIN_FIXED + TURNCRED_MAC_KEY_MAX)
#define MAC_KEY_SHORT 20

static bool mac_key_len_ok(size_t len) { return len == MAC_KEY_SHORT || len == TURNCRED_MAC_KEY_MAX; }

static void put_plain(const struct turncred_token *token, uint8_t plain[PLAIN_MAX]) {
  uint8_t *p = plain + 2 + token->mac_key_len;

  tc_put16(plain, token->mac_key_len);
  memcpy(plain + 2, token->mac_key, token->mac_key_len);
  tc_put64(p, token->timestamp);
  tc_put32(p + 8, token->lifetime);
}

static bool get_plain(const uint8_t *plain, size_t len, struct turncred_token *token) {
  size_t mac_key_len = len >= 2 ? tc_get16(plain) : 0;
  const uint8_t *p = plain + 2 + mac_key_len;

  if (!mac_key_len_ok(mac_key_len) || len != mac_key_len + PLAIN_FIXED) {
    return false;
  }
  token->mac_key_len = (uint16_t)mac_key_len;
  memcpy(token->mac_key, plain + 2, mac_key_len);
  token->timestamp = tc_get64(p);
  token->lifetime = tc_get32(p + 8);
  return true;
}

/* Fills in what encoding and decoding share. */
static enum turncred_err begin(struct tc_aead *a, struct turncred_ws *ws, const struct turncred_key *key,
                               const char *server_name) {
  size_t len;

  if (ws == NULL || key == NULL || server_name == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (key->use != TURNCRED_USE_TOKEN || key->enc_len == 0) {
    return TURNCRED_BAD_KEY;
  }
  len = strnlen(server_name, TURNCRED_SERVER_NAME_MAX + 1);
  if (len == 0 || len > TURNCRED_SERVER_NAME_MAX) {
    return TURNCRED_BAD_ARGUMENT;
  }
  a->ws = ws;
  a->key = key;
  a->aad = (const uint8_t *)server_name;
  a->aad_len = len;
  return TURNCRED_OK;
}

enum turncred_err turncred_token_encode(struct turncred_ws *ws, const struct turncred_key *key, const char *server_name,
                                        const uint8_t *nonce, size_t nonce_len, const struct turncred_token *token,
                                        uint8_t *out, size_t cap, size_t *out_len) {
  struct tc_aead a;
  uint8_t plain[PLAIN_MAX];
  size_t plain_len;
  size_t total;
  enum turncred_err err = begin(&a, ws, key, server_name);
  bool ok;

  if (err != TURNCRED_OK) {
    return err;
  }
  if ((nonce == NULL && nonce_len > 0) || token == NULL || out == NULL || out_len == NULL ||
      !mac_key_len_ok(token->mac_key_len) || !tc_aead_nonce_ok(key, nonce_len)) {
    return TURNCRED_BAD_ARGUMENT;
  }
  plain_len = PLAIN_FIXED + (size_t)token->mac_key_len;
  total = 2 + nonce_len + tc_aead_sealed_len(key->alg, plain_len);
  if (total > cap) {
    return TURNCRED_NO_SPACE;
  }
  tc_put16(out, (uint16_t)nonce_len);
  if (nonce_len > 0) {
    memcpy(out + 2, nonce, nonce_len);
  }
  a.nonce = out + 2;
  a.nonce_len = nonce_len;
  put_plain(token, plain);
  ok = tc_aead_seal(&a, plain, plain_len, out + 2 + nonce_len);
  explicit_bzero(plain, sizeof(plain));
  if (!ok) {
    explicit_bzero(out, total);
    return TURNCRED_CRYPTO;
  }
  *out_len = total;
  return TURNCRED_OK;
}

static enum turncred_err decode(struct turncred_ws *ws, const struct turncred_key *key, const char *server_name,
                                const uint8_t *in, size_t in_len, struct turncred_token *token) {
  struct tc_aead a;
  uint8_t plain[PLAIN_MAX + 16]; /* CBC has whole blocks */
  size_t plain_len = 0;
  size_t sealed_len;
  enum turncred_err err = begin(&a, ws, key, server_name);

  if (err != TURNCRED_OK) {
    return err;
  }
  if (in == NULL && in_len > 0) {
    return TURNCRED_BAD_ARGUMENT;
  }
  a.nonce_len = in_len >= 2 ? tc_get16(in) : 0;
  if (in_len < 2 || !tc_aead_nonce_ok(key, a.nonce_len) || a.nonce_len > in_len - 2) {
    return TURNCRED_BAD_TOKEN;
  }
  a.nonce = in + 2;
  /* a session key has 20 or 32 octets, so only two lengths are worth a decryption */
  sealed_len = in_len - 2 - a.nonce_len;
  if (sealed_len != tc_aead_sealed_len(key->alg, PLAIN_FIXED + MAC_KEY_SHORT) &&
      sealed_len != tc_aead_sealed_len(key->alg, PLAIN_MAX)) {
    return TURNCRED_BAD_TOKEN;
  }
  err = tc_aead_open(&a, a.nonce + a.nonce_len, sealed_len, plain, &plain_len);
  if (err == TURNCRED_OK && !get_plain(plain, plain_len, token)) {
    err = TURNCRED_BAD_TOKEN;
  }
  explicit_bzero(plain, sizeof(plain));
  return err;
}

enum turncred_err turncred_token_decode(struct turncred_ws *ws, const struct turncred_key *key, const char *server_name,
                                        const uint8_t *in, size_t in_len, struct turncred_token *token) {
  enum turncred_err err;

  if (token == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  err = decode(ws, key, server_name, in, in_len, token);
  if (err != TURNCRED_OK) {
    turncred_token_clear(token);
  }
  return err;
}

/* Let d be the whole seconds between now and the timestamp, and f the timestamp's fraction, 0 <= f <
 * 1. A token of the past has the age d - f; a token of the future lies d + f ahead. */
enum turncred_err turncred_token_check_time(const struct turncred_token *token, int64_t now, uint32_t max_ttl,
                                            int64_t *deadline) {
  int64_t stamp;
  uint64_t limit;
  bool fraction;

  if (token == NULL || deadline == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (token->lifetime == 0 || token->lifetime > max_ttl) {
    return TURNCRED_LIFETIME_REFUSED;
  }
  stamp = (int64_t)(token->timestamp >> 16);
  fraction = (token->timestamp & 0xffff) != 0;
  limit = (uint64_t)token->lifetime + TURNCRED_SKEW;
  if (now > stamp) {
    uint64_t d = (uint64_t)now - (uint64_t)stamp;

    if (d > limit || (d == limit && !fraction)) {
      return TURNCRED_EXPIRED;
    }
  } else if ((uint64_t)stamp - (uint64_t)now >= limit) {
    return TURNCRED_NOT_YET_VALID;
  }
  *deadline = stamp + (int64_t)limit;
  return TURNCRED_OK;
}

enum turncred_err turncred_token_hmac_sha1_key(struct turncred_ws *ws, const struct turncred_token *token,
                                               uint8_t key[20]) {
  struct tc_part part;
  uint8_t hash[TC_DIGEST_MAX];

  if (token == NULL || key == NULL || !mac_key_len_ok(token->mac_key_len)) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (token->mac_key_len == MAC_KEY_SHORT) {
    memcpy(key, token->mac_key, MAC_KEY_SHORT);
    return TURNCRED_OK;
  }
  part.data = token->mac_key;
  part.len = token->mac_key_len;
  if (!tc_hash(ws, TC_SHA1, &part, 1, hash, NULL)) {
    return TURNCRED_CRYPTO;
  }
  memcpy(key, hash, MAC_KEY_SHORT);
  explicit_bzero(hash, sizeof(hash));
  return TURNCRED_OK;
}

void turncred_token_clear(struct turncred_token *token) { turncred_cleanse(token, sizeof(*token)); }

enum turncred_err turncred_subject_tag(const uint8_t *tag_key, size_t tag_key_len, const char *subject,
                                       uint8_t tag[TURNCRED_SUBJECT_TAG]) {
  const struct tc_part info = {"turncred-subject-tag-v1", 23};
  struct tc_part part;
  uint8_t subkey[32];
  uint8_t mac[TC_DIGEST_MAX];
  bool ok;

  if (tag_key == NULL || tag_key_len == 0 || tag_key_len > TURNCRED_KEY_MAX || subject == NULL || tag == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  part.data = subject;
  part.len = strlen(subject);
  ok = tc_hkdf_sha256(NULL, tag_key, tag_key_len, &info, 1, subkey, sizeof(subkey)) &&
       tc_hmac(NULL, TC_SHA256, subkey, sizeof(subkey), &part, 1, mac, NULL);
  if (ok) {
    memcpy(tag, mac, TURNCRED_SUBJECT_TAG);
  }
  explicit_bzero(subkey, sizeof(subkey));
  explicit_bzero(mac, sizeof(mac));
  return ok ? TURNCRED_OK : TURNCRED_CRYPTO;
}

enum turncred_err turncred_token_fingerprint(struct turncred_ws *ws, const uint8_t *in, size_t in_len, char hex[33]) {
  const struct tc_part part = {in, in_len};
  uint8_t hash[TC_DIGEST_MAX];

  if ((in == NULL && in_len > 0) || hex == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (!tc_hash(ws, TC_SHA256, &part, 1, hash, NULL)) {
    return TURNCRED_CRYPTO;
  }
  return turncred_hex_encode(hash, 16, hex, 33);
}
