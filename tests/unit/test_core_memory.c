/*
 * test_core_memory.c - without memory no credential is wrong and no row damaged: nothing is known of them
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "allocations.h"
#include "testing.h"

#include <stdbool.h>

#define SERVER "turn.example.net"
#define ALLOCATIONS_MAX 500

static const uint8_t kek[TURNCRED_KEK] = "kek";
static const uint8_t nonce[16];

/* What a call does that is right, with each of its allocations failing in turn: it succeeds, or says that OpenSSL
 * failed. allocates: whether it needs memory at all, so that the test can fail. */
static void try_each(enum turncred_err (*call)(void), bool allocates) {
  long n = 0;
  int failed = 0;
  for (bool reached = true; reached; n++) {
    assert_in_range(n, 0, ALLOCATIONS_MAX);
    allocations_left = n;
    enum turncred_err err = call();
    reached = allocations_left < 0;
    allocations_left = -1;
    assert_true(err == TURNCRED_OK || err == TURNCRED_CRYPTO || err == TURNCRED_NO_MEMORY);
    assert_true(reached || err == TURNCRED_OK);
    failed += err != TURNCRED_OK;
  }
  assert_true(!allocates || failed > 0);
}

static struct turncred_ws *cold; /* whose contexts have had no key */
static struct turncred_key key;
static uint8_t raw[TURNCRED_TOKEN_MAX], sealed[TURNCRED_CREDENTIAL_SEALED], wrapped[TURNCRED_WRAPPED_MAX];
static size_t raw_len, wrapped_len;

static enum turncred_err open_token(void) {
  struct turncred_token token;
  return turncred_token_decode(cold, &key, SERVER, raw, raw_len, &token);
}

static void tokens(void **state) {
  static const enum turncred_alg algs[] = {TURNCRED_A256GCM, TURNCRED_A128GCM, TURNCRED_A256CBC_HS512};
  (void)state;
  for (size_t i = 0; i < 3; i++) {
    struct turncred_token token = {.mac_key_len = 32, .timestamp = UINT64_C(1764000000) << 16, .lifetime = 1800};
    struct turncred_ws *ws = turncred_ws_new(1);
    key = a_key(TURNCRED_USE_TOKEN, algs[i], TURNCRED_DERIVATION_NONE, 1);
    assert_int_equal(turncred_token_encode(ws, &key, SERVER, nonce, algs[i] == TURNCRED_A256CBC_HS512 ? 16 : 12, &token,
                                           raw, sizeof raw, &raw_len),
                     TURNCRED_OK);
    turncred_ws_free(ws);
    cold = turncred_ws_new(1);
    try_each(open_token, false);
    turncred_ws_free(cold);
  }
}

static enum turncred_err make_key(void) {
  static const uint8_t k[32] = {1};
  struct turncred_key made;
  return turncred_key_init(&made, TURNCRED_USE_TOKEN, TURNCRED_A256GCM, TURNCRED_DERIVATION_HKDF_SHA256, k, sizeof k);
}

static const struct turncred_key_row key_row = {
    "kek", "realm", "kid", TURNCRED_USE_TOKEN, TURNCRED_A256GCM, TURNCRED_DERIVATION_NONE};

static enum turncred_err unseal_key(void) {
  uint8_t k[TURNCRED_KEY_MAX + 8];
  size_t len;
  return turncred_key_unseal(NULL, kek, &key_row, wrapped, wrapped_len, k, sizeof k, &len);
}

static const struct turncred_credential_row credential_row = {"kek", "realm", "alice", 0, "", NULL};

static enum turncred_err unseal_credential(void) {
  uint8_t plain[TURNCRED_CREDENTIAL_PLAIN];
  return turncred_credential_unseal(NULL, kek, &credential_row, sealed, sizeof sealed, plain);
}

static void rows(void **state) {
  static const uint8_t k[32] = {1}, plain[TURNCRED_CREDENTIAL_PLAIN];
  (void)state;
  assert_int_equal(turncred_key_seal(kek, &key_row, k, sizeof k, wrapped, sizeof wrapped, &wrapped_len), TURNCRED_OK);
  assert_int_equal(turncred_credential_seal(kek, &credential_row, nonce, plain, sealed), TURNCRED_OK);
  try_each(make_key, true);
  try_each(unseal_key, true);
  try_each(unseal_credential, true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tokens),
      cmocka_unit_test(rows),
  };
  return count_allocations() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
