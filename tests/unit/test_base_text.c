/*
 * test_base_text.c - base64url, TURN URIs taken apart, names of regions, and one way to fail
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "testing.h"

#include "base/base64url.h"
#include "base/fail.h"
#include "base/region.h"
#include "base/turn_uri.h"

#include <errno.h>
#include <string.h>

static void encodes_and_decodes_every_length(void **state) {
  (void)state;
  uint8_t octets[100], back[100];
  char text[BASE64URL_SIZE(sizeof octets)];
  for (size_t i = 0; i < sizeof octets; i++) {
    octets[i] = (uint8_t)(251 * i + 255); /* every character of the alphabet, '-' and '_' too */
  }
  for (size_t n = 0; n <= sizeof octets; n++) {
    size_t len = 77;
    assert_int_equal(base64url_encode(octets, n, text, BASE64URL_SIZE(n)), TURNCRED_OK);
    assert_int_equal(strlen(text), BASE64URL_SIZE(n) - 1);
    assert_null(strpbrk(text, "+/="));
    assert_int_equal(base64url_decode(text, strlen(text), back, n, &len), TURNCRED_OK);
    assert_int_equal(len, n);
    assert_memory_equal(back, octets, n);
    assert_int_equal(base64url_encode(octets, n, text, BASE64URL_SIZE(n) - 1), TURNCRED_NO_SPACE);
    if (n > 0) {
      assert_int_equal(base64url_decode(text, strlen(text), back, n - 1, &len), TURNCRED_NO_SPACE);
    }
  }
}

static void vectors(void **state) {
  (void)state;
  char text[8];
  assert_int_equal(base64url_encode((const uint8_t *)"\xfb\xff\xfe", 3, text, sizeof text), TURNCRED_OK);
  assert_string_equal(text, "-__-");
  assert_int_equal(base64url_encode((const uint8_t *)"f", 1, text, sizeof text), TURNCRED_OK);
  assert_string_equal(text, "Zg");
}

static void refuses_other_alphabets(void **state) {
  (void)state;
  static const char *const wrong[] = {"+__-", "-/_-", "Zg==", "Zg=",   "Z",         "AAAAA",
                                      "Zh",   "Zg-",  "Z g0", "Z\ng0", "\xc3\xa4__"};
  uint8_t out[16];
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    size_t len = 0;
    assert_int_equal(base64url_decode(wrong[i], strlen(wrong[i]), out, sizeof out, &len), TURNCRED_BAD_ARGUMENT);
  }
}

static void takes_turn_uris_apart(void **state) {
  (void)state;
  static const struct {
    const char *uri, *host, *port;
    bool tls, udp, tcp;
  } right[] = {
      {"turn:a.example", "a.example", "3478", false, true, true},
      {"turns:a.example", "a.example", "5349", true, true, true},
      {"turns:a.example:443?transport=tcp", "a.example", "443", true, false, true},
      {"turn:192.0.2.1:1?transport=udp", "192.0.2.1", "1", false, true, false},
      {"turn:[2001:db8::1]:65535", "2001:db8::1", "65535", false, true, true},
      {"turn:[2001:db8::1]?transport=tcp", "2001:db8::1", "3478", false, false, true},
  };
  struct turn_uri uri;
  for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
    assert_int_equal(turn_uri_split(right[i].uri, &uri), 0);
    assert_string_equal(uri.host, right[i].host);
    assert_string_equal(uri.port, right[i].port);
    assert_int_equal(uri.tls, right[i].tls);
    assert_int_equal(uri.udp, right[i].udp);
    assert_int_equal(uri.tcp, right[i].tcp);
  }
  assert_int_equal(turn_uri_split("stun:a.example", &uri), -1);
  assert_int_equal(turn_uri_split("turn", &uri), -1);
}

static void knows_names_of_regions(void **state) {
  (void)state;
  char longest[65];
  memset(longest, 'a', 64);
  longest[63] = longest[64] = '\0';
  assert_true(region_is_name("") && region_is_name("eu-west.1_b") && region_is_name(longest));
  longest[63] = 'a';
  assert_false(region_is_name(longest) || region_is_name("e u") || region_is_name("\xc3\xa4") || region_is_name("a,b"));
}

static void fails_with_a_sentence(void **state) {
  (void)state;
  char err[8] = "before";
  assert_int_equal(fail_with(ENOENT, err, sizeof err, "%s: %d", "a", 1), ENOENT);
  assert_string_equal(err, "a: 1");
  assert_int_equal(fail_with(0, err, sizeof err, "longer than there is room"), EIO);
  assert_string_equal(err, "longer ");
  assert_int_equal(fail_with(EPERM, err, 0, "unseen"), EPERM);
  assert_string_equal(err, "longer ");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(encodes_and_decodes_every_length), cmocka_unit_test(vectors),
      cmocka_unit_test(refuses_other_alphabets),          cmocka_unit_test(takes_turn_uris_apart),
      cmocka_unit_test(knows_names_of_regions),           cmocka_unit_test(fails_with_a_sentence),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
