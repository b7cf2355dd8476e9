/*
 * test_core_alloc.c - the verify path allocates nothing but what OpenSSL needs for a hash
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "allocations.h"
#include "testing.h"

#include <openssl/evp.h>

#define SERVER "turn.example.net"
#define ROUNDS 50

static struct turncred_ws *ws;
static long hash; /* what OpenSSL allocates for a hash with a context that exists: 1 in 3.0 */

static long cost_of_a_hash(void) {
  EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", NULL);
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  uint8_t out[EVP_MAX_MD_SIZE];
  long before = -1;
  int i;

  for (i = 0; i < 3; i++) {
    before = allocations;
    if (EVP_DigestInit_ex2(ctx, i == 0 ? md : NULL, NULL) != 1 || EVP_DigestFinal_ex(ctx, out, NULL) != 1) {
      return -1;
    }
  }
  before = allocations - before;
  EVP_MD_CTX_free(ctx);
  EVP_MD_free(md);
  return before;
}

/* The test could not fail if the counter did not count. */
static void counter_counts(void **state) {
  long before = allocations;
  struct turncred_ws *w = turncred_ws_new(1);

  (void)state;
  assert_non_null(w);
  assert_true(allocations > before);
  before = allocations;
  OPENSSL_free(OPENSSL_malloc(1));
  assert_int_equal(allocations, before + 1);
  turncred_ws_free(w);
}

static void tokens(void **state) {
  static const struct {
    enum turncred_alg alg;
    enum turncred_derivation derivation;
    size_t nonce_len;
  } kinds[] = {{TURNCRED_A256GCM, TURNCRED_DERIVATION_NONE, 12},
               {TURNCRED_A128GCM, TURNCRED_DERIVATION_HKDF_SHA256, 12},
               {TURNCRED_A256CBC_HS512, TURNCRED_DERIVATION_NONE, 16}};
  static const uint8_t nonce[16];
  struct turncred_key keys[3][3];
  uint8_t raw[3][3][TURNCRED_TOKEN_MAX];
  size_t len[3][3];
  struct turncred_token token = {.mac_key_len = 32, .timestamp = UINT64_C(1764000000) << 16, .lifetime = 1800};
  size_t i;
  size_t j;
  int round;
  long before;

  (void)state;
  for (i = 0; i < 3; i++) {
    for (j = 0; j < 3; j++) {
      keys[i][j] = a_key(TURNCRED_USE_TOKEN, kinds[i].alg, kinds[i].derivation, (uint8_t)j);
      assert_int_equal(turncred_token_encode(ws, &keys[i][j], SERVER, nonce, kinds[i].nonce_len, &token, raw[i][j],
                                             sizeof(raw[i][j]), &len[i][j]),
                       TURNCRED_OK);
    }
  }
  before = allocations;
  /* three keys an algorithm and two slots: contexts are keyed again and again */
  for (round = 0; round < ROUNDS; round++) {
    for (i = 0; i < 3; i++) {
      for (j = 0; j < 3; j++) {
        uint8_t key[20];
        int64_t deadline;
        char name[33];

        assert_int_equal(turncred_token_decode(ws, &keys[i][j], SERVER, raw[i][j], len[i][j], &token), TURNCRED_OK);
        assert_int_equal(turncred_token_check_time(&token, 1764000000, 3600, &deadline), TURNCRED_OK);
        assert_int_equal(turncred_token_hmac_sha1_key(ws, &token, key), TURNCRED_OK);
        assert_int_equal(turncred_token_fingerprint(ws, raw[i][j], len[i][j], name), TURNCRED_OK);
        /* refusals too */
        assert_int_equal(turncred_token_decode(ws, &keys[i][(j + 1) % 3], SERVER, raw[i][j], len[i][j], &token),
                         TURNCRED_BAD_TOKEN);
        assert_int_equal(turncred_token_decode(ws, &keys[i][j], SERVER, raw[i][j], len[i][j] - 1, &token),
                         TURNCRED_BAD_TOKEN);
      }
    }
  }
  /* each: the session key of 32 octets and the fingerprint; A256CBC-HS512: an HMAC for each of two whole tokens */
  assert_int_equal(allocations, before + ROUNDS * 3 * (3 * 2 + 2 * 2) * hash);
}

static void usernames(void **state) {
  static const enum turncred_alg hashes[] = {TURNCRED_HMAC_SHA1, TURNCRED_HMAC_SHA256, TURNCRED_HMAC_SHA384,
                                             TURNCRED_HMAC_SHA512};
  static const char name[] = "sip:alice@ims.example:1764003600";
  struct turncred_key derived[2];
  struct turncred_key rest[4];
  struct turncred_username u;
  uint8_t md5[TURNCRED_LONG_TERM_MD5];
  uint8_t sha256[TURNCRED_LONG_TERM_SHA256];
  size_t i;
  int round;
  long before;

  (void)state;
  for (i = 0; i < 2; i++) {
    derived[i] = a_key(TURNCRED_USE_DERIVED, TURNCRED_HMAC_SHA256, TURNCRED_DERIVATION_NONE, (uint8_t)i);
  }
  for (i = 0; i < 4; i++) {
    rest[i] = a_key(TURNCRED_USE_REST, hashes[i], TURNCRED_DERIVATION_NONE, 3);
  }
  before = allocations;
  for (round = 0; round < ROUNDS; round++) {
    assert_int_equal(turncred_username_parse(name, sizeof(name) - 1, TURNCRED_USER_ID_TIMESTAMP, &u), TURNCRED_OK);
    assert_int_equal(turncred_expiry_check(u.expiry, 1764000000, 3600), TURNCRED_OK);
    for (i = 0; i < 2; i++) {
      assert_int_equal(turncred_derived_key(ws, &derived[i], name, sizeof(name) - 1, &u, "realm", md5), TURNCRED_OK);
    }
    for (i = 0; i < 4; i++) {
      assert_int_equal(turncred_rest_key(ws, &rest[i], name, sizeof(name) - 1, "realm", md5), TURNCRED_OK);
    }
    assert_int_equal(turncred_long_term_md5(ws, name, sizeof(name) - 1, "realm", "secret", md5), TURNCRED_OK);
    assert_int_equal(turncred_long_term_sha256(ws, name, sizeof(name) - 1, "realm", "secret", sha256), TURNCRED_OK);
  }
  /* an HMAC and the long-term key of six credentials; two long-term keys */
  assert_int_equal(allocations, before + ROUNDS * (6 * (2 + 1) + 2) * hash);
}

/* Not the verify path, but promised too. */
static void encoding_and_unsealing(void **state) {
  static const uint8_t kek[TURNCRED_KEK] = "kek";
  static const uint8_t nonce[12];
  static const uint8_t plain[TURNCRED_CREDENTIAL_PLAIN];
  const struct turncred_key_row row = {
      "kek", "realm", "kid", TURNCRED_USE_TOKEN, TURNCRED_A256GCM, TURNCRED_DERIVATION_NONE};
  struct turncred_credential_row credential = {"kek", "realm", "alice", 0, "", NULL};
  struct turncred_key key = a_key(TURNCRED_USE_TOKEN, TURNCRED_A256GCM, TURNCRED_DERIVATION_NONE, 1);
  struct turncred_token token = {.mac_key_len = 20, .lifetime = 1};
  uint8_t wrapped[TURNCRED_WRAPPED_MAX];
  uint8_t sealed[TURNCRED_CREDENTIAL_SEALED];
  uint8_t back[TURNCRED_KEY_MAX];
  uint8_t raw[TURNCRED_TOKEN_MAX];
  size_t wrapped_len;
  size_t len;
  int round;
  long before;

  (void)state;
  assert_int_equal(turncred_key_seal(kek, &row, key.enc, 32, wrapped, sizeof(wrapped), &wrapped_len), TURNCRED_OK);
  assert_int_equal(turncred_credential_seal(kek, &credential, nonce, plain, sealed), TURNCRED_OK);
  before = allocations;
  for (round = 0; round < ROUNDS; round++) {
    assert_int_equal(turncred_key_unseal(ws, kek, &row, wrapped, wrapped_len, back, sizeof(back), &len), TURNCRED_OK);
    assert_int_equal(turncred_credential_unseal(ws, kek, &credential, sealed, sizeof(sealed), back), TURNCRED_OK);
    credential.realm = round % 2 == 0 ? "other" : "realm";
    assert_int_equal(turncred_credential_unseal(ws, kek, &credential, sealed, sizeof(sealed), back),
                     round % 2 == 0 ? TURNCRED_UNSEAL : TURNCRED_OK);
    credential.realm = "realm";
    assert_int_equal(turncred_token_encode(ws, &key, SERVER, nonce, 12, &token, raw, sizeof(raw), &len), TURNCRED_OK);
  }
  /* an HKDF, which is two HMACs, for each key row, and for each realm of a credential that is not the last one */
  assert_int_equal(allocations, before + (2 * ROUNDS + 1) * 2 * 2 * hash);
}

static int setup(void **state) {
  (void)state;
  ws = turncred_ws_new(2);
  hash = cost_of_a_hash();
  return ws == NULL || hash < 0;
}

static int teardown(void **state) {
  (void)state;
  turncred_ws_free(ws);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(counter_counts), cmocka_unit_test(tokens),
                                     cmocka_unit_test(usernames), cmocka_unit_test(encoding_and_unsealing)};

  /* before OpenSSL allocates for the first time */
  if (count_allocations() != 1) {
    return 1;
  }
  return cmocka_run_group_tests_name("core allocations", tests, setup, teardown);
}
