/*
 * test_core_codec.c - base64, hex, names, errors
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "testing.h"

#include <ctype.h>

/* RFC 4648 section 10 */
static void base64_published(void **state) {
  static const char *const pairs[][2] = {{"", ""},
                                         {"f", "Zg=="},
                                         {"fo", "Zm8="},
                                         {"foo", "Zm9v"},
                                         {"foob", "Zm9vYg=="},
                                         {"fooba", "Zm9vYmE="},
                                         {"foobar", "Zm9vYmFy"}};
  char text[16];
  uint8_t back[8];
  size_t len;
  size_t i;

  (void)state;
  for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
    size_t n = strlen(pairs[i][0]);
    size_t m = strlen(pairs[i][1]);

    assert_int_equal(turncred_base64_encode((const uint8_t *)pairs[i][0], n, text, m + 1), TURNCRED_OK);
    assert_string_equal(text, pairs[i][1]);
    assert_int_equal(turncred_base64_encode((const uint8_t *)pairs[i][0], n, text, m), TURNCRED_NO_SPACE);
    assert_int_equal(turncred_base64_decode(pairs[i][1], m, back, n, &len), TURNCRED_OK);
    assert_int_equal(len, n);
    assert_memory_equal(back, pairs[i][0], n);
    if (n > 0) {
      assert_int_equal(turncred_base64_decode(pairs[i][1], m, back, n - 1, &len), TURNCRED_NO_SPACE);
    }
  }
  assert_int_equal(turncred_base64_encode(NULL, 0, text, 0), TURNCRED_NO_SPACE);
  assert_int_equal(turncred_base64_encode(NULL, 1, text, 9), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_base64_decode(NULL, 4, back, 8, &len), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_base64_encode((const uint8_t *)"x", SIZE_MAX, text, sizeof(text)), TURNCRED_NO_SPACE);
}

/* Every one of the 2^24 groups would take long; each value in each place does not. */
static void base64_round_trip(void **state) {
  uint32_t seed = 99;
  uint8_t in[160];
  uint8_t back[160];
  char text[TURNCRED_TOKEN_BASE64_MAX];
  size_t len;
  size_t n;
  size_t i;
  int round;

  (void)state;
  assert_int_equal((TURNCRED_TOKEN_MAX + 2) / 3 * 4 + 1, TURNCRED_TOKEN_BASE64_MAX);
  for (round = 0; round < 2000; round++) {
    n = next_random(&seed) % (sizeof(in) + 1);
    for (i = 0; i < n; i++) {
      in[i] = (uint8_t)next_random(&seed);
    }
    assert_int_equal(turncred_base64_encode(in, n, text, sizeof(text)), TURNCRED_OK);
    assert_int_equal(turncred_base64_decode(text, strlen(text), back, sizeof(back), &len), TURNCRED_OK);
    assert_int_equal(len, n);
    assert_memory_equal(in, back, n);
  }
}

static void base64_is_strict(void **state) {
  static const char *const bad[] = {
      "Zg",       "Zg=",    "Zg===",    "Z",    "Z===",       "====",    "=",       "Zm9v=",   "Zm9vZ===", " Zg=",
      "Zg= ",     "Zm9v\n", "Zm 9vYg=", "Z=9v", "Zm=v",       "=m9v",    "Zh==",    "Zm9=",    "Zm8=Zm9v", "Zg==Zm9v",
      "Zm9v====", "Zm9-",   "Zm9_",     "Zm9.", "\xc3\xa4zz", "Zm\0001", "Zm9\x80", "Zm9\xff", "Z g=",     "Zm9vZm9"};
  uint8_t back[16];
  size_t len;
  size_t i;
  int c;
  int place;

  (void)state;
  for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    len = 77;
    if (turncred_base64_decode(bad[i], strlen(bad[i]), back, sizeof(back), &len) != TURNCRED_BAD_ARGUMENT) {
      fail_msg("accepted: %s", bad[i]);
    }
    assert_int_equal(len, 77);
  }
  assert_int_equal(turncred_base64_decode("Zm\0v", 4, back, sizeof(back), &len), TURNCRED_BAD_ARGUMENT);
  /* every octet in every place */
  for (c = 0; c < 256; c++) {
    for (place = 0; place < 4; place++) {
      char text[4] = {'A', 'A', 'A', 'A'};
      int want = isascii(c) && (isalnum(c) || c == '+' || c == '/');

      text[place] = (char)c;
      if (c == '=' && place == 3) {
        want = 1; /* "AAA=" */
      }
      assert_int_equal(turncred_base64_decode(text, 4, back, sizeof(back), &len),
                       want ? TURNCRED_OK : TURNCRED_BAD_ARGUMENT);
    }
  }
}

static void hex(void **state) {
  uint8_t all[256];
  uint8_t back[256];
  char text[513];
  size_t len;
  int i;

  (void)state;
  for (i = 0; i < 256; i++) {
    all[i] = (uint8_t)i;
  }
  assert_int_equal(turncred_hex_encode(all, 256, text, sizeof(text)), TURNCRED_OK);
  assert_int_equal(strlen(text), 512);
  assert_memory_equal(text + 2 * 0xfe, "feff", 4);
  assert_int_equal(turncred_hex_decode(text, 512, back, 256, &len), TURNCRED_OK);
  assert_int_equal(len, 256);
  assert_memory_equal(all, back, 256);
  assert_int_equal(turncred_hex_decode("aBCd", 4, back, 2, &len), TURNCRED_OK);
  assert_memory_equal(back, "\xab\xcd", 2);
  assert_int_equal(turncred_hex_encode(all, 256, text, 512), TURNCRED_NO_SPACE);
  assert_int_equal(turncred_hex_decode("abcd", 4, back, 1, &len), TURNCRED_NO_SPACE);
  assert_int_equal(turncred_hex_decode("abc", 3, back, 9, &len), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_hex_decode("0x", 2, back, 9, &len), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_hex_decode("a ", 2, back, 9, &len), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_hex_decode("\0\0", 2, back, 9, &len), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_hex_decode("gg", 2, back, 9, &len), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_hex_decode("", 0, back, 9, &len), TURNCRED_OK);
  assert_int_equal(len, 0);
}

static void names(void **state) {
  enum turncred_use use;
  enum turncred_alg alg;
  enum turncred_derivation derivation;
  enum turncred_username_format format;
  int i;

  (void)state;
  for (i = TURNCRED_USE_TOKEN; i <= TURNCRED_USE_TAG; i++) {
    assert_int_equal(turncred_use_parse(turncred_use_name((enum turncred_use)i), &use), 0);
    assert_int_equal(use, i);
  }
  for (i = TURNCRED_A256GCM; i <= TURNCRED_HMAC_SHA512; i++) {
    assert_int_equal(turncred_alg_parse(turncred_alg_name((enum turncred_alg)i), &alg), 0);
    assert_int_equal(alg, i);
  }
  for (i = 0; i <= TURNCRED_DERIVATION_HKDF_SHA256; i++) {
    assert_int_equal(turncred_derivation_parse(turncred_derivation_name((enum turncred_derivation)i), &derivation), 0);
    assert_int_equal(derivation, i);
  }
  for (i = 0; i <= TURNCRED_EITHER_ORDER; i++) {
    assert_int_equal(
        turncred_username_format_parse(turncred_username_format_name((enum turncred_username_format)i), &format), 0);
    assert_int_equal(format, i);
  }
  assert_string_equal(turncred_alg_name(TURNCRED_A256CBC_HS512), "A256CBC-HS512");
  assert_string_equal(turncred_alg_name(TURNCRED_HMAC_SHA1), "sha1");
  assert_string_equal(turncred_alg_name((enum turncred_alg)99), "unknown");
  assert_string_equal(turncred_use_name((enum turncred_use)0), "unknown");
  assert_string_equal(turncred_use_name((enum turncred_use)(TURNCRED_USE_TAG + 1)), "unknown");
  assert_string_equal(turncred_derivation_name((enum turncred_derivation) - 1), "unknown");
  assert_string_equal(turncred_username_format_name((enum turncred_username_format)3), "unknown");
  use = TURNCRED_USE_REST;
  assert_int_equal(turncred_use_parse("Token", &use), TURNCRED_BAD_ALGORITHM);
  assert_int_equal(use, TURNCRED_USE_REST);
  assert_int_equal(turncred_use_parse("", &use), TURNCRED_BAD_ALGORITHM);
  assert_int_equal(turncred_alg_parse("a256gcm", &alg), TURNCRED_BAD_ALGORITHM);
  assert_int_equal(turncred_alg_parse("none", &alg), TURNCRED_BAD_ALGORITHM);
  assert_int_equal(turncred_alg_parse(NULL, &alg), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_derivation_parse("hkdf", &derivation), TURNCRED_BAD_ALGORITHM);
  assert_int_equal(turncred_username_format_parse("x", &format), TURNCRED_BAD_ALGORITHM);
}

static void errors(void **state) {
  int i;
  int j;

  (void)state;
  for (i = TURNCRED_OK; i <= TURNCRED_CRYPTO; i++) {
    const char *name = turncred_err_name((enum turncred_err)i);

    assert_non_null(name);
    assert_true(strlen(turncred_err_text((enum turncred_err)i)) > 5);
    for (j = 0; j < i; j++) {
      assert_string_not_equal(name, turncred_err_name((enum turncred_err)j));
    }
  }
  assert_string_equal(turncred_err_name(TURNCRED_EXPIRED), "expired");
  assert_non_null(turncred_err_name((enum turncred_err) - 1));
  assert_non_null(turncred_err_text((enum turncred_err)12345));
}

static void cleanse(void **state) {
  uint8_t b[8];

  (void)state;
  memset(b, 1, sizeof(b));
  turncred_cleanse(b, 7);
  assert_true(is_zero(b, 7));
  assert_int_equal(b[7], 1);
  turncred_cleanse(NULL, 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(base64_published),
                                     cmocka_unit_test(base64_round_trip),
                                     cmocka_unit_test(base64_is_strict),
                                     cmocka_unit_test(hex),
                                     cmocka_unit_test(names),
                                     cmocka_unit_test(errors),
                                     cmocka_unit_test(cleanse)};

  return cmocka_run_group_tests_name("core codecs", tests, NULL, NULL);
}
