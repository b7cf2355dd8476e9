/*
 * test_core_seal.c - keys and credentials at rest: only the row they were sealed for opens them
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "testing.h"

#include <openssl/err.h>

static const uint8_t kek[TURNCRED_KEK] = "a key encryption key of 32 octet";
static const uint8_t other_kek[TURNCRED_KEK] = "b key encryption key of 32 octet";

/* Every test runs without a workspace and with one. */
static struct turncred_ws *ws;

static void wraps_every_length(void **state) {
  uint8_t key[TURNCRED_KEY_MAX + 1];
  uint8_t wrapped[TURNCRED_WRAPPED_MAX];
  uint8_t back[TURNCRED_KEY_MAX];
  size_t len;
  size_t wrapped_len;
  size_t back_len;
  size_t bit;

  (void)state;
  memset(key, 0x31, sizeof(key));
  for (len = 1; len <= TURNCRED_KEY_MAX; len++) {
    size_t need = (len + 7) / 8 * 8 + 8;

    assert_int_equal(turncred_wrap(kek, key, len, wrapped, need - 1, &wrapped_len), TURNCRED_NO_SPACE);
    assert_int_equal(turncred_wrap(kek, key, len, wrapped, need, &wrapped_len), TURNCRED_OK);
    assert_int_equal(wrapped_len, need);
    memset(back, 0, sizeof(back));
    assert_int_equal(turncred_unwrap(kek, wrapped, wrapped_len, back, len, &back_len), TURNCRED_OK);
    assert_int_equal(back_len, len);
    assert_memory_equal(back, key, len);

    memset(back, 0x55, sizeof(back));
    assert_int_equal(turncred_unwrap(kek, wrapped, wrapped_len, back, len - 1, &back_len), TURNCRED_NO_SPACE);
    assert_int_equal(turncred_unwrap(other_kek, wrapped, wrapped_len, back, sizeof(back), &back_len), TURNCRED_UNSEAL);
    for (bit = 0; bit < wrapped_len * 8; bit++) {
      wrapped[bit / 8] ^= (uint8_t)(1u << bit % 8);
      assert_int_equal(turncred_unwrap(kek, wrapped, wrapped_len, back, sizeof(back), &back_len), TURNCRED_UNSEAL);
      wrapped[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (bit = 0; bit < wrapped_len; bit++) {
      assert_int_equal(turncred_unwrap(kek, wrapped, bit, back, sizeof(back), &back_len), TURNCRED_UNSEAL);
    }
    assert_int_equal(back[0], 0x55); /* failures leave the result alone */
  }
  assert_int_equal(turncred_wrap(kek, key, 0, wrapped, sizeof(wrapped), &wrapped_len), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_wrap(kek, key, TURNCRED_KEY_MAX + 1, wrapped, sizeof(wrapped), &wrapped_len),
                   TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_wrap(NULL, key, 32, wrapped, sizeof(wrapped), &wrapped_len), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_unwrap(NULL, wrapped, 40, back, sizeof(back), &back_len), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_unwrap(kek, NULL, 0, back, sizeof(back), &back_len), TURNCRED_UNSEAL);
}

static struct turncred_key_row a_row(void) {
  struct turncred_key_row row = {"kek-2024",         "example.org",    "kid-1",
                                 TURNCRED_USE_TOKEN, TURNCRED_A256GCM, TURNCRED_DERIVATION_NONE};
  return row;
}

static void key_rows_cannot_be_swapped(void **state) {
  const struct turncred_key_row row = a_row();
  struct turncred_key_row moved[11];
  uint8_t k[32];
  uint8_t sealed[TURNCRED_WRAPPED_MAX];
  uint8_t back[TURNCRED_KEY_MAX];
  size_t sealed_len;
  size_t back_len;
  size_t i;
  /* calculated with an independent implementation, see tests/conformance/check_core.py */
  static const char *const want_hex =
      "c835c85121d0077e9ef19c0a2d383a52c5e1239b0742c905a3feccd01aca3dd4c015d1bfd420a0f2";
  struct octets want = octets_of_hex(want_hex);

  (void)state;
  memset(k, 0x42, sizeof(k));
  assert_int_equal(turncred_key_seal(kek, &row, k, sizeof(k), sealed, sizeof(sealed), &sealed_len), TURNCRED_OK);
  assert_octets(sealed, sealed_len, &want);
  assert_int_equal(turncred_key_unseal(ws, kek, &row, sealed, sealed_len, back, sizeof(back), &back_len), TURNCRED_OK);
  assert_int_equal(back_len, sizeof(k));
  assert_memory_equal(back, k, sizeof(k));

  for (i = 0; i < 11; i++) {
    moved[i] = row;
  }
  moved[0].kek_id = "kek-2025";
  moved[1].realm = "example.com";
  moved[2].kid = "kid-2";
  moved[3].use = TURNCRED_USE_DERIVED;
  moved[4].use = TURNCRED_USE_REST;
  moved[5].alg = TURNCRED_A128GCM;
  moved[6].alg = TURNCRED_HMAC_SHA256;
  moved[7].derivation = TURNCRED_DERIVATION_HKDF_SHA256;
  /* the same octets, cut elsewhere */
  moved[8].kek_id = "kek-2024e";
  moved[8].realm = "xample.org";
  moved[9].realm = "example.orgkid-1";
  moved[9].kid = "";
  moved[10].kid = "";
  memset(back, 0x55, sizeof(back));
  for (i = 0; i < 11; i++) {
    if (turncred_key_unseal(ws, kek, &moved[i], sealed, sealed_len, back, sizeof(back), &back_len) != TURNCRED_UNSEAL) {
      fail_msg("moved row %zu opens", i);
    }
  }
  assert_int_equal(turncred_key_unseal(ws, other_kek, &row, sealed, sealed_len, back, sizeof(back), &back_len),
                   TURNCRED_UNSEAL);
  /* neither under the bare kek */
  assert_int_equal(turncred_unwrap(kek, sealed, sealed_len, back, sizeof(back), &back_len), TURNCRED_UNSEAL);
  assert_int_equal(back[0], 0x55);
  moved[0].kek_id = NULL;
  assert_int_equal(turncred_key_unseal(ws, kek, &moved[0], sealed, sealed_len, back, sizeof(back), &back_len),
                   TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_key_seal(NULL, &row, k, 32, sealed, sizeof(sealed), &sealed_len), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_key_seal(kek, NULL, k, 32, sealed, sizeof(sealed), &sealed_len), TURNCRED_BAD_ARGUMENT);
}

static void a_credential_of_another_name_is_bound_to_its_user(void **state) {
  const struct turncred_credential_row row = {"kek-2024", "example.org", "alice", 1764000000, "", "bob"};
  struct turncred_credential_row moved = row;
  static const uint8_t nonce[12] = "nonce nonce";
  uint8_t plain[TURNCRED_CREDENTIAL_PLAIN];
  uint8_t sealed[TURNCRED_CREDENTIAL_SEALED];
  /* made with Python's cryptography */
  static const char *const want_hex =
      "6e6f6e6365206e6f6e636500075ad431828f8020a5dc006ace6b9cf10d0465bb76a9f541b8f989d85053b18a06ef"
      "398da1c3611244335a68457cf82ee7bb0c6f60ab8c436a9b45e0ce6ccf9a";
  struct octets want = octets_of_hex(want_hex);

  (void)state;
  memset(plain, 0x24, sizeof(plain));
  assert_int_equal(turncred_credential_seal(kek, &row, nonce, plain, sealed), TURNCRED_OK);
  assert_octets(sealed, TURNCRED_CREDENTIAL_SEALED, &want);
  assert_int_equal(turncred_credential_unseal(ws, kek, &row, sealed, sizeof(sealed), plain), TURNCRED_OK);
  moved.user_id = NULL;
  assert_int_equal(turncred_credential_unseal(ws, kek, &moved, sealed, sizeof(sealed), plain), TURNCRED_UNSEAL);
  moved.user_id = "boc";
  assert_int_equal(turncred_credential_unseal(ws, kek, &moved, sealed, sizeof(sealed), plain), TURNCRED_UNSEAL);
}

static void credentials_cannot_be_swapped(void **state) {
  const struct turncred_credential_row row = {"kek-2024", "example.org", "alice", 1764000000, "", NULL};
  struct turncred_credential_row moved[12];
  static const uint8_t nonce[12] = "nonce nonce";
  uint8_t plain[TURNCRED_CREDENTIAL_PLAIN];
  uint8_t back[TURNCRED_CREDENTIAL_PLAIN];
  uint8_t sealed[TURNCRED_CREDENTIAL_SEALED + 1];
  static const char *const want_hex =
      "6e6f6e6365206e6f6e636500075ad431828f8020a5dc006ace6b9cf10d0465bb76a9f541b8f989d85053b18a06ef"
      "398da1c3611244335a68457cf82ea9e3904f35249fe47a6218bf8396aadd";
  struct octets want = octets_of_hex(want_hex);
  size_t i;

  (void)state;
  memset(plain, 0x24, sizeof(plain));
  assert_int_equal(turncred_credential_seal(kek, &row, nonce, plain, sealed), TURNCRED_OK);
  assert_octets(sealed, TURNCRED_CREDENTIAL_SEALED, &want);
  assert_int_equal(turncred_credential_unseal(ws, kek, &row, sealed, TURNCRED_CREDENTIAL_SEALED, back), TURNCRED_OK);
  assert_memory_equal(back, plain, sizeof(plain));

  for (i = 0; i < 12; i++) {
    moved[i] = row;
  }
  moved[0].kek_id = "kek-2025";
  moved[1].realm = "example.com";
  moved[2].username = "alicf";
  moved[3].expiry = 1764000001;
  moved[4].expiry = 0;
  moved[5].client_address = "192.0.2.1";
  moved[6].realm = "example.orga";
  moved[6].username = "lice";
  moved[7].expiry = -1764000000;
  moved[8].expiry = INT64_C(1764000000) + (INT64_C(1) << 32);
  moved[9].kek_id = "kek-2024e";
  moved[9].realm = "xample.org";
  moved[10].user_id = "bob";
  moved[11].user_id = "";
  for (i = 0; i < 12; i++) {
    memset(back, 0x55, sizeof(back));
    if (turncred_credential_unseal(ws, kek, &moved[i], sealed, TURNCRED_CREDENTIAL_SEALED, back) != TURNCRED_UNSEAL) {
      fail_msg("moved credential %zu opens", i);
    }
    assert_memory_not_equal(back, plain, sizeof(plain));
    assert_true(is_zero(back, sizeof(back)));
  }
  assert_int_equal(turncred_credential_unseal(ws, other_kek, &row, sealed, TURNCRED_CREDENTIAL_SEALED, back),
                   TURNCRED_UNSEAL);
  for (i = 0; i < TURNCRED_CREDENTIAL_SEALED * 8; i++) {
    sealed[i / 8] ^= (uint8_t)(1u << i % 8);
    assert_int_equal(turncred_credential_unseal(ws, kek, &row, sealed, TURNCRED_CREDENTIAL_SEALED, back),
                     TURNCRED_UNSEAL);
    sealed[i / 8] ^= (uint8_t)(1u << i % 8);
  }
  for (i = 0; i <= sizeof(sealed); i++) {
    assert_int_equal(turncred_credential_unseal(ws, kek, &row, sealed, i, back),
                     i == TURNCRED_CREDENTIAL_SEALED ? TURNCRED_OK : TURNCRED_UNSEAL);
  }
  moved[0].client_address = NULL;
  assert_int_equal(turncred_credential_unseal(ws, kek, &moved[0], sealed, TURNCRED_CREDENTIAL_SEALED, back),
                   TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_credential_seal(kek, &moved[0], nonce, plain, sealed), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_credential_seal(kek, &row, NULL, plain, sealed), TURNCRED_BAD_ARGUMENT);
}

static void error_queue_is_left_alone(void **state) {
  const struct turncred_key_row row = a_row();
  uint8_t bad[40] = {1};
  uint8_t back[TURNCRED_KEY_MAX];
  size_t len;

  (void)state;
  ERR_clear_error();
  ERR_raise(ERR_LIB_USER, 7);
  assert_int_equal(turncred_key_unseal(ws, kek, &row, bad, sizeof(bad), back, sizeof(back), &len), TURNCRED_UNSEAL);
  assert_int_equal(ERR_GET_REASON(ERR_get_error()), 7);
  assert_int_equal(ERR_peek_error(), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(wraps_every_length), cmocka_unit_test(key_rows_cannot_be_swapped),
                                     cmocka_unit_test(a_credential_of_another_name_is_bound_to_its_user),
                                     cmocka_unit_test(credentials_cannot_be_swapped),
                                     cmocka_unit_test(error_queue_is_left_alone)};

  int failed = cmocka_run_group_tests_name("core sealing", tests, NULL, NULL);

  ws = turncred_ws_new(1);
  if (ws == NULL) {
    return 1;
  }
  failed += cmocka_run_group_tests_name("core sealing, with a workspace", tests, NULL, NULL);
  turncred_ws_free(ws);
  return failed;
}
