/*
 * token.c - turncredctl token encode and token decode: no database, no network
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "key_file.h"

#include "base/secret.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Makes the key from --alg, --derivation and --key-file; also checks --server-name. */
static enum ctl_exit token_key(const struct ctl *ctl, struct turncred_key *key) {
  enum turncred_alg alg = TURNCRED_A256GCM;
  enum turncred_derivation derivation = TURNCRED_DERIVATION_NONE;
  const char *text = ctl_get(ctl, "alg");
  if (text &&
      (turncred_alg_parse(text, &alg) || !turncred_key_length(TURNCRED_USE_TOKEN, alg, TURNCRED_DERIVATION_NONE))) {
    return ctl_fail(ctl, CTL_USAGE, "--alg: \"%s\" is not one of A256GCM, A128GCM, A256CBC-HS512", text);
  }
  text = ctl_get(ctl, "derivation");
  if (text && turncred_derivation_parse(text, &derivation)) {
    return ctl_fail(ctl, CTL_USAGE, "--derivation: \"%s\" is not one of none, hkdf-sha256", text);
  }
  const char *name = ctl_get(ctl, "server-name");
  if (!*name || strlen(name) > TURNCRED_SERVER_NAME_MAX) {
    return ctl_fail(ctl, CTL_USAGE, "--server-name: 1 to %d octets", TURNCRED_SERVER_NAME_MAX);
  }
  return key_file_read(ctl, TURNCRED_USE_TOKEN, alg, derivation, key);
}

/* Decodes base64 from standard input; blanks at its end, which editors add, do not count. */
static enum ctl_exit read_base64(const struct ctl *ctl, uint8_t *out, size_t cap, size_t *len) {
  char text[512], base64[2 * TURNCRED_TOKEN_BASE64_MAX];
  size_t got = 0;
  if (secret_read("-", "token", (uint8_t *)base64, sizeof base64, &got, text, sizeof text)) {
    return ctl_fail(ctl, CTL_REFUSED, "%s", text);
  }
  while (got && strchr(" \t\r\n", base64[got - 1]) && base64[got - 1]) {
    got--;
  }
  enum turncred_err err = turncred_base64_decode(base64, got, out, cap, len);
  if (err) {
    return ctl_fail(ctl, CTL_REFUSED,
                    "token: standard input is not standard base64 with padding of at most %zu "
                    "octets",
                    cap);
  }
  return CTL_OK;
}

enum ctl_exit cmd_token_decode(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"mac_key", "mac_key (base64)", CTL_TEXT}, {"timestamp", "timestamp (48.16)", CTL_TEXT},
      {"issued_at", "issued at", CTL_TIME},      {"lifetime", "lifetime", CTL_SECONDS},
      {"fingerprint", "fingerprint", CTL_TEXT},  {NULL, NULL, CTL_TEXT},
  };
  struct turncred_key key = {0};
  struct turncred_token token = {0};
  uint8_t octets[TURNCRED_TOKEN_MAX * 2];
  size_t len = 0;
  enum ctl_exit rc = token_key(ctl, &key);
  if (rc) {
    return rc;
  }
  key.allow_zero_iv = 1; /* RFC 7635's literal form, which does no harm here */
  rc = read_base64(ctl, octets, sizeof octets, &len);
  struct turncred_ws *ws = rc ? NULL : turncred_ws_new(1);
  enum turncred_err err =
      ws ? turncred_token_decode(ws, &key, ctl_get(ctl, "server-name"), octets, len, &token) : TURNCRED_NO_MEMORY;
  turncred_ws_free(ws);
  turncred_key_clear(&key);
  if (!rc && err) {
    rc = ctl_core_error(ctl, "token", err);
  }
  if (!rc && token.timestamp > INT64_MAX) {
    rc = ctl_fail(ctl, CTL_REFUSED, "token: bad_token: the timestamp is not a time");
  }
  if (!rc) {
    char mac_key[2 * TURNCRED_MAC_KEY_MAX], fingerprint[33];
    turncred_base64_encode(token.mac_key, token.mac_key_len, mac_key, sizeof mac_key);
    turncred_token_fingerprint(NULL, octets, len, fingerprint);
    rc = ctl_print_record(ctl,
                          json_pack("{s:s, s:I, s:I, s:I, s:s}", "mac_key", mac_key, "timestamp",
                                    (json_int_t)token.timestamp, "issued_at", (json_int_t)(token.timestamp >> 16),
                                    "lifetime", (json_int_t)token.lifetime, "fingerprint", fingerprint),
                          columns);
    turncred_cleanse(mac_key, sizeof mac_key);
  }
  turncred_token_clear(&token);
  return rc;
}

/* The nonce of --test-nonce, which may be empty for A256CBC-HS512, or a random one for the key. */
static enum ctl_exit nonce_for(const struct ctl *ctl, const struct turncred_key *key, uint8_t nonce[16], size_t *len) {
  const char *hex = ctl_get(ctl, "test-nonce");
  *len = key->alg == TURNCRED_A256CBC_HS512 ? 16 : 12;
  if (!hex) {
    return RAND_bytes(nonce, (int)*len) == 1 ? CTL_OK
                                             : ctl_fail(ctl, CTL_INTERNAL, "the random number generator failed");
  }
  size_t want = *len;
  if (turncred_hex_decode(hex, strlen(hex), nonce, 16, len) ||
      (*len != want && !(!*len && key->alg == TURNCRED_A256CBC_HS512))) {
    return ctl_fail(ctl, CTL_USAGE, "--test-nonce: %zu octets in hex are needed", want);
  }
  return CTL_OK;
}

enum ctl_exit cmd_token_encode(struct ctl *ctl) {
  static const struct ctl_column columns[] = {{"access_token", "access_token", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
  struct turncred_key key = {0};
  struct turncred_token token = {0};
  uint8_t nonce[16] = {0}, mac_key[TURNCRED_KEY_MAX], octets[TURNCRED_TOKEN_MAX];
  size_t nonce_len = 0, len = 0;
  int64_t timestamp = (int64_t)time(NULL) * 65536, lifetime = 0;
  char text[512], base64[TURNCRED_TOKEN_BASE64_MAX];
  enum ctl_exit rc = ctl_get_int(ctl, "timestamp", 0, INT64_MAX, &timestamp);
  if (!rc) {
    rc = ctl_get_int(ctl, "lifetime", 0, UINT32_MAX, &lifetime);
  }
  if (!rc &&
      secret_read(ctl_get(ctl, "mac-key-file"), "--mac-key-file", mac_key, sizeof mac_key, &len, text, sizeof text)) {
    rc = ctl_fail(ctl, CTL_USAGE, "%s", text);
  }
  if (!rc && len != 20 && len != 32) {
    rc = ctl_fail(ctl, CTL_REFUSED, "--mac-key-file: the file holds %zu octets; a session key has 20 or 32 raw octets",
                  len);
  }
  if (rc) {
    turncred_cleanse(mac_key, sizeof mac_key);
    return rc;
  }
  memcpy(token.mac_key, mac_key, len);
  turncred_cleanse(mac_key, sizeof mac_key);
  token.mac_key_len = (uint16_t)len;
  token.timestamp = (uint64_t)timestamp;
  token.lifetime = (uint32_t)lifetime;
  rc = token_key(ctl, &key);
  if (!rc) {
    rc = nonce_for(ctl, &key, nonce, &nonce_len);
    key.allow_zero_iv = !nonce_len; /* RFC 7635's literal form, for test vectors */
    struct turncred_ws *ws = rc ? NULL : turncred_ws_new(1);
    enum turncred_err err = ws ? turncred_token_encode(ws, &key, ctl_get(ctl, "server-name"), nonce, nonce_len, &token,
                                                       octets, sizeof octets, &len)
                               : TURNCRED_NO_MEMORY;
    turncred_ws_free(ws);
    turncred_key_clear(&key);
    if (!rc && err) {
      rc = ctl_core_error(ctl, "token", err);
    }
  }
  turncred_token_clear(&token);
  if (!rc) {
    turncred_base64_encode(octets, len, base64, sizeof base64);
    rc = ctl_print_record(ctl, json_pack("{s:s}", "access_token", base64), columns);
  }
  return rc;
}
