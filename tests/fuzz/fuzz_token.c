/*
 * fuzz_token.c - libFuzzer: token decoder
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The first octet chooses the key and what to do. Half of the inputs are taken as they are, which
 * exercises the outside; the others are sealed as a plaintext under the right key, so that the
 * fuzzer gets behind the tag to what an issuer with a fault could send.
 */
#include "core/core.h"

#include <stdlib.h>

static const enum turncred_alg algs[] = {TURNCRED_A256GCM, TURNCRED_A128GCM, TURNCRED_A256CBC_HS512};

static void check(const struct turncred_token *token, enum turncred_err err) {
  uint8_t key[20];
  int64_t deadline;

  if (err != TURNCRED_OK && err != TURNCRED_BAD_TOKEN) {
    abort();
  }
  if (err == TURNCRED_OK) {
    if (token->mac_key_len != 20 && token->mac_key_len != 32) {
      abort();
    }
    if (turncred_token_hmac_sha1_key(NULL, token, key) != TURNCRED_OK) {
      abort();
    }
    if (turncred_token_check_time(token, 1764000000, 86400, &deadline) == TURNCRED_OK &&
        (deadline < 1764000000 || deadline > 1764000000 + 2 * 86400 + 10)) {
      abort();
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct turncred_ws *ws;
  static struct turncred_key keys[2 * TC_COUNT(algs)];
  static const uint8_t k[TURNCRED_KEY_MAX] = "fuzz";
  static const uint8_t nonce[16];
  struct turncred_token token;
  const struct turncred_key *key;
  uint8_t raw[2 + 16 + 64 + 64];
  struct tc_aead a;
  size_t i;

  if (ws == NULL) {
    ws = turncred_ws_new(1);
    for (i = 0; i < TC_COUNT(keys); i++) {
      enum turncred_derivation d = i % 2 == 0 ? TURNCRED_DERIVATION_NONE : TURNCRED_DERIVATION_HKDF_SHA256;

      if (turncred_key_init(&keys[i], TURNCRED_USE_TOKEN, algs[i / 2], d, k,
                            turncred_key_length(TURNCRED_USE_TOKEN, algs[i / 2], d)) != TURNCRED_OK) {
        abort();
      }
      keys[i].allow_zero_iv = i % 2;
    }
  }
  if (size < 1) {
    return 0;
  }
  key = &keys[(data[0] >> 1) % TC_COUNT(keys)];
  data++;
  size--;
  if (data[-1] % 2 == 0 || size > 64) {
    check(&token, turncred_token_decode(ws, key, "turn.example", data, size, &token));
    return 0;
  }
  a.ws = ws;
  a.key = key;
  a.nonce = nonce;
  a.nonce_len = key->alg == TURNCRED_A256CBC_HS512 ? 16 : 12;
  a.aad = (const uint8_t *)"turn.example";
  a.aad_len = 12;
  tc_put16(raw, (uint16_t)a.nonce_len);
  memcpy(raw + 2, nonce, a.nonce_len);
  if (!tc_aead_seal(&a, data, size, raw + 2 + a.nonce_len)) {
    abort();
  }
  check(&token, turncred_token_decode(ws, key, "turn.example", raw,
                                      2 + a.nonce_len + tc_aead_sealed_len(key->alg, size), &token));
  return 0;
}
