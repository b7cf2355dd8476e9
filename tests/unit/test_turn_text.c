/*
 * test_turn_text.c - servers as people write them, and a remedy for each STUN error
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
#include "turn/target.h"

#include <errno.h>
#include <string.h>

static void targets(void **state) {
  static const struct {
    const char *in, *host, *port; /* host NULL: refused */
    enum turn_protocol protocol;
  } cases[] = {
      {"127.0.0.1", "127.0.0.1", "", TURN_UDP},
      {"127.0.0.1:5000", "127.0.0.1", "5000", TURN_UDP},
      {"turn.example.org", "turn.example.org", "", TURN_UDP},
      {"turn.example.org:65535", "turn.example.org", "65535", TURN_UDP},
      {"turn.example.org:01", "turn.example.org", "1", TURN_UDP},
      {"[::1]", "::1", "", TURN_UDP},
      {"[::1]:99", "::1", "99", TURN_UDP},
      {"::1", "::1", "", TURN_UDP},
      {"[::ffff:127.0.0.1]:3478", "::ffff:127.0.0.1", "3478", TURN_UDP},
      {"fe80::1%lo", "fe80::1%lo", "", TURN_UDP},
      /* hosts that are called like a scheme */
      {"turn:3478", "turn", "3478", TURN_UDP},
      {"stun", "stun", "", TURN_UDP},
      {"turn.example.org:443", "turn.example.org", "443", TURN_UDP},
      /* RFC 7065, as in iceServers */
      {"turn:turn.example.org", "turn.example.org", "", TURN_UDP},
      {"turn:turn.example.org:3478?transport=udp", "turn.example.org", "3478", TURN_UDP},
      {"turn:turn.example.org?transport=tcp", "turn.example.org", "", TURN_TCP},
      {"TURN:turn.example.org?TRANSPORT=TCP", "turn.example.org", "", TURN_TCP},
      {"turns:turn.example.org", "turn.example.org", "", TURN_TLS},
      {"turns:turn.example.org:443?transport=tcp", "turn.example.org", "443", TURN_TLS},
      {"turns:turn.example.org?transport=udp", "turn.example.org", "", TURN_DTLS},
      {"turn:[2001:db8::1]:3478?transport=tcp", "2001:db8::1", "3478", TURN_TCP},
      {"turn:[2001:db8::1]", "2001:db8::1", "", TURN_UDP},
      {"turns:192.0.2.1", "192.0.2.1", "", TURN_TLS},
      {"turn:turn%2Eexample.org", "turn.example.org", "", TURN_UDP},
      {"turn:[fe80::1%25eth0]:3478", "fe80::1%eth0", "3478", TURN_UDP},
      {"turn:m%C3%BCnchen.example", "m\303\274nchen.example", "", TURN_UDP},
      {"stun:stun.example.org:3478", "stun.example.org", "3478", TURN_UDP},
      {"stuns:stun.example.org", "stun.example.org", "", TURN_TLS},
      {"https://turncredd.example.org:8443/readyz", "turncredd.example.org", "8443", TURN_TLS},
      {"https://[::1]", "::1", "", TURN_TLS},
      {"127.0.0.1:", NULL, NULL, TURN_UDP},
      {":3478", NULL, NULL, TURN_UDP},
      {"", NULL, NULL, TURN_UDP},
      {"turn:", NULL, NULL, TURN_UDP},
      {"turn::3478", NULL, NULL, TURN_UDP},
      {"[::1", NULL, NULL, TURN_UDP},
      {"[::1]x", NULL, NULL, TURN_UDP},
      {"[]:1", NULL, NULL, TURN_UDP},
      {"turn:[2001:db8::1", NULL, NULL, TURN_UDP},
      {"127.0.0.1:http", NULL, NULL, TURN_UDP},
      {"127.0.0.1:0", NULL, NULL, TURN_UDP},
      {"127.0.0.1:00", NULL, NULL, TURN_UDP},
      {"127.0.0.1:65536", NULL, NULL, TURN_UDP},
      {"127.0.0.1:70000", NULL, NULL, TURN_UDP},
      {"127.0.0.1:070000", NULL, NULL, TURN_UDP},
      {"127.0.0.1:99999", NULL, NULL, TURN_UDP},
      {"127.0.0.1:4294970774", NULL, NULL, TURN_UDP},
      {"127.0.0.1:18446744073709555094", NULL, NULL, TURN_UDP},
      {"127.0.0.1:-1", NULL, NULL, TURN_UDP},
      {"127.0.0.1:+1", NULL, NULL, TURN_UDP},
      {"127.0.0.1: 80", NULL, NULL, TURN_UDP},
      {"[::1]:65536", NULL, NULL, TURN_UDP},
      {"turn:turn.example.org:0", NULL, NULL, TURN_UDP},
      {"turn:turn.example.org:99999?transport=udp", NULL, NULL, TURN_UDP},
      {"turn://turn.example.org", NULL, NULL, TURN_UDP},
      {"turn:alice@turn.example.org", NULL, NULL, TURN_UDP},
      {"turn:turn.example.org?transport=sctp", NULL, NULL, TURN_UDP},
      {"turn:turn.example.org?transport=tls", NULL, NULL, TURN_UDP},
      {"turn:turn.example.org?transport=udp&x=1", NULL, NULL, TURN_UDP},
      {"turn:turn.example.org?", NULL, NULL, TURN_UDP},
      {"turn:turn.example.org/x", NULL, NULL, TURN_UDP},
      {"stun:stun.example.org?transport=udp", NULL, NULL, TURN_UDP},
      {"turn:a%2", NULL, NULL, TURN_UDP},
      {"turn:a%zz", NULL, NULL, TURN_UDP},
      {"turn:a%00b", NULL, NULL, TURN_UDP},
      {"turn:a%20b", NULL, NULL, TURN_UDP},
      {"two words", NULL, NULL, TURN_UDP},
      {"http://turn.example.org", NULL, NULL, TURN_UDP},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct turn_target target;
    char text[512] = "";
    int err = turn_target_parse(cases[i].in, &target, text, sizeof text);
    if (!err != (cases[i].host != NULL)) {
      fail_msg("%s: %d %s", cases[i].in, err, text);
    }
    if (err) {
      assert_true(strlen(text) > 10);
      continue;
    }
    assert_string_equal(target.host, cases[i].host);
    assert_string_equal(target.port, cases[i].port);
    assert_int_equal(target.protocol, cases[i].protocol);
  }
}

static void too_long(void **state) {
  struct turn_target target;
  char text[512], in[1200];
  (void)state;
  memset(in, 'a', sizeof in);
  in[TURN_HOST_MAX] = '\0';
  assert_int_equal(turn_target_parse(in, &target, text, sizeof text), 0);
  in[TURN_HOST_MAX] = 'a';
  in[TURN_HOST_MAX + 1] = '\0';
  assert_int_equal(turn_target_parse(in, &target, text, sizeof text), EINVAL);
  in[TURN_HOST_MAX + 1] = 'a';
  in[sizeof in - 1] = '\0';
  assert_int_equal(turn_target_parse(in, &target, text, sizeof text), EINVAL);
}

static void addresses(void **state) {
  static const struct {
    const char *in, *out;
  } cases[] = {{"127.0.0.1", "127.0.0.1:3478"}, {"[::1]:99", "[::1]:99"}, {"turn:[::1]", "[::1]:3478"}};
  struct turn_target target;
  struct turn_addresses found;
  char text[512], out[64];
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(turn_target_parse(cases[i].in, &target, text, sizeof text), 0);
    assert_int_equal(turn_target_resolve(&target, "3478", AF_UNSPEC, SOCK_DGRAM, &found, text, sizeof text), 0);
    assert_int_equal(found.count, 1);
    assert_string_equal(stun_address_text((struct sockaddr *)&found.list[0].addr, out, sizeof out), cases[i].out);
  }
  assert_int_equal(turn_target_resolve(&target, "3478", AF_INET, SOCK_DGRAM, &found, text, sizeof text), ENOENT);
  assert_non_null(strstr(text, "::1: "));
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
      cmocka_unit_test(targets),
      cmocka_unit_test(too_long),
      cmocka_unit_test(addresses),
      cmocka_unit_test(every_error_has_a_remedy),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
