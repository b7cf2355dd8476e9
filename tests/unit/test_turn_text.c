/*
 * test_turn_text.c - addresses as people write them, and a remedy for each STUN error
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "turn/error_text.h"
#include "turn/stun.h"
#include "turn/transport.h"

#include <string.h>

static void addresses(void **state) {
  static const struct {
    const char *in, *out, *host; /* out NULL: refused */
  } cases[] = {
      {"127.0.0.1", "127.0.0.1:3478", "127.0.0.1"},
      {"127.0.0.1:5000", "127.0.0.1:5000", "127.0.0.1"},
      {"[::1]", "[::1]:3478", "::1"},
      {"[::1]:99", "[::1]:99", "::1"},
      {"::1", "[::1]:3478", "::1"},
      {"127.0.0.1:", NULL, "127.0.0.1"},
      {":3478", NULL, ""},
      {"", NULL, ""},
      {"[::1", NULL, ""},
      {"[::1]x", NULL, "::1"},
      {"127.0.0.1:http", NULL, "127.0.0.1"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct sockaddr_storage addr;
    socklen_t len = 0;
    char text[256] = "", out[64], host[256];
    int err = turn_resolve(cases[i].in, "3478", SOCK_DGRAM, &addr, &len, text, sizeof text);
    assert_int_equal(!err, cases[i].out != NULL);
    if (!err) {
      assert_string_equal(stun_address_text((struct sockaddr *)&addr, out, sizeof out), cases[i].out);
    } else {
      assert_true(strlen(text) > 0);
    }
    turn_host(cases[i].in, host, sizeof host);
    assert_string_equal(host, cases[i].host);
  }
}

static void every_error_has_a_remedy(void **state) {
  static const unsigned codes[] = {300, 400, 401, 403, 420, 437, 438, 440, 441, 442, 443, 486, 500, 508, 699, 0};
  (void)state;
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    const struct turn_error_text *text = turn_error_text(codes[i]);
    assert_non_null(text);
    assert_true(strlen(text->meaning) > 5 && strlen(text->remedy) > 5);
    if (codes[i] && codes[i] != 699) {
      assert_int_equal(text->code, codes[i]);
    }
  }
  assert_non_null(strstr(turn_error_text(403)->remedy, "allow-loopback-peers"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(addresses),
      cmocka_unit_test(every_error_has_a_remedy),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
