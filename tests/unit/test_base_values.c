/*
 * test_base_values.c - addresses, ports, TURN URIs, origins, names and UTF-8 where they enter
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "testing.h"

#include "base/ip.h"
#include "base/ip_range.h"
#include "base/origin.h"
#include "base/turn_uri.h"
#include "base/user_name.h"
#include "base/utf8.h"

#include <jansson.h>
#include <stdlib.h>

/* The list of this name in tests/conformance/values.json, whose root *root gets. */
static json_t *rows_of(const char *name, json_t **root) {
  const char *top = getenv("top_srcdir");
  char path[4096];
  json_error_t error;
  snprintf(path, sizeof path, "%s/tests/conformance/values.json", top ? top : ".");
  *root = json_load_file(path, 0, &error);
  if (!*root) {
    fail_msg("%s: %s", path, error.text);
  }
  json_t *rows = json_object_get(*root, name);
  assert_true(json_array_size(rows) > 30);
  return rows;
}

typedef int (*canonical_fn)(const char *text, char *out, char *err, size_t cap);

static void check(const char *list, canonical_fn canonical) {
  json_t *root, *rows = rows_of(list, &root), *row;
  size_t i;
  json_array_foreach(rows, i, row) {
    const char *in = json_string_value(json_array_get(row, 0)), *want = json_string_value(json_array_get(row, 1));
    char out[512] = "", again[512] = "", err[300] = "";
    int rc = canonical(in, out, err, sizeof err);
    if (rc != (want ? 0 : -1) || (want && strcmp(out, want) != 0) || (!want && !*err)) {
      fail_msg("%s \"%s\": %d \"%s\" (%s), not \"%s\"", list, in, rc, out, err, want ? want : "refused");
    }
    if (want) { /* the one spelling stays as it is */
      assert_int_equal(canonical(out, again, err, sizeof err), 0);
      assert_string_equal(again, out);
    }
  }
  json_decref(root);
}

static void addresses(void **state) {
  (void)state;
  check("addresses", ip_canonical);
}

static void peers(void **state) {
  (void)state;
  check("peers", ip_range_canonical);
}

static void peers_have_reasons(void **state) {
  (void)state;
  static const char *const rows[][2] = {{"192.0.2.1/24", "the network is 192.0.2.0/24, the address 192.0.2.1"},
                                        {"::ffff:10.0.0.1/104", "the network is 10.0.0.0/8"},
                                        {"::ffff:10.0.0.0/8", "96 to 128"},
                                        {"192.0.2.0/255.255.255.0", "a number of bits"},
                                        {"192.0.2.0-192.0.2.255", "write a range as networks"},
                                        {"192.0.2.0/33", "0 to 32"},
                                        {"turn.example.org", "not an IPv4 or IPv6 address"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char out[IP_RANGE_TEXT], err[200];
    assert_int_equal(ip_range_canonical(rows[i][0], out, err, sizeof err), -1);
    if (!strstr(err, rows[i][1])) {
      fail_msg("%s: %s", rows[i][0], err);
    }
  }
}

/* Each prefix length of each family: its first and last address are held, their neighbours not. */
static void ranges_hold(void **state) {
  (void)state;
  for (int size = 4; size <= 16; size += 12) {
    for (int bits = 0; bits <= size * 8; bits++) {
      struct ip_range range = {.size = (uint8_t)size, .bits = (uint8_t)bits};
      uint8_t first[16], last[16];
      memset(range.octets, 0xa5, (size_t)size);
      for (int i = bits; i < size * 8; i++) {
        range.octets[i / 8] &= (uint8_t)~(0x80 >> (i % 8));
      }
      memcpy(first, range.octets, sizeof first);
      memcpy(last, first, sizeof last);
      for (int i = bits; i < size * 8; i++) {
        last[i / 8] |= (uint8_t)(0x80 >> (i % 8));
      }
      assert_true(ip_range_holds(&range, first, (size_t)size) && ip_range_holds(&range, last, (size_t)size));
      assert_false(ip_range_holds(&range, first, (size_t)(20 - size)));
      if (bits > 0) {
        first[(bits - 1) / 8] ^= (uint8_t)(0x80 >> ((bits - 1) % 8));
        last[0] ^= 0x80;
        assert_false(ip_range_holds(&range, first, (size_t)size) || ip_range_holds(&range, last, (size_t)size));
      }
    }
  }
}

static void uris(void **state) {
  (void)state;
  check("uris", turn_uri_canonical);
}

/* A list where one URI stands is told as what it is, and not as a wrong port. */
static void uri_lists(void **state) {
  (void)state;
  static const char *const lists[] = {"turn:a,turn:b",
                                      "turn:a, turn:b",
                                      "turn:a turn:b",
                                      "turn:a:3478,turns:b:5349",
                                      "turns:a?transport=tcp,turn:b",
                                      "stun:[2001:db8::1],stun:b",
                                      "turn:a\tturn:b"};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    char out[TURN_URI_TEXT], err[300];
    assert_int_equal(turn_uri_canonical(lists[i], out, err, sizeof err), -1);
    assert_non_null(strstr(err, "one URI stands here"));
  }
}

static void origins(void **state) {
  (void)state;
  check("origins", origin_canonical);
}

/* Whatever the octets are, an answer comes, and what is accepted has one spelling. */
static void random_texts(void **state) {
  (void)state;
  static const char alphabet[] = "aA0.:/?[]@%-_ #\xc3\xa4"
                                 "1transport=udp*,";
  static const char *const begin[] = {"turn:", "turns:", "https://", "http://[", "", "::ffff:"};
  static const canonical_fn functions[] = {ip_canonical, turn_uri_canonical, origin_canonical, ip_range_canonical};
  uint32_t random = 1;
  for (int i = 0; i < 80000; i++) {
    char text[64], out[512], again[512], err[300];
    size_t n = (size_t)snprintf(text, 32, "%s", begin[next_random(&random) % 6]), more = next_random(&random) % 20;
    for (; more--; n++) {
      text[n] = alphabet[next_random(&random) % (sizeof alphabet - 1)];
    }
    text[n] = '\0';
    canonical_fn canonical = functions[i % 4];
    if (!canonical(text, out, err, sizeof err)) {
      assert_int_equal(canonical(out, again, err, sizeof err), 0);
      assert_string_equal(out, again);
    }
  }
}

static void ports(void **state) {
  (void)state;
  static const struct {
    const char *text;
    uint16_t port;
  } rows[] = {{"1", 1},     {"3478", 3478}, {"65535", 65535}, {"03478", 3478},   {"0", 0},       {"65536", 0},
              {"99999", 0}, {"070000", 0},  {"", 0},          {" 1", 0},         {"1 ", 0},      {"+1", 0},
              {"-1", 0},    {"0x50", 0},    {"3478a", 0},     {"4294967297", 0}, {"\xd9\xa3", 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint16_t port = 7;
    assert_int_equal(ip_port(rows[i].text, strlen(rows[i].text), &port), rows[i].port != 0);
    assert_true(!rows[i].port || port == rows[i].port);
  }
}

static void names(void **state) {
  (void)state;
  json_t *root, *rows = rows_of("names", &root), *row;
  size_t i;
  json_array_foreach(rows, i, row) {
    const char *name = json_string_value(json_array_get(row, 0));
    for (int wire = 0; wire < 2; wire++) {
      char err[200] = "";
      bool want = json_is_true(json_array_get(row, wire ? 1 : 2));
      bool got = !user_name_check(name, 492, wire, err, sizeof err);
      if (got != want || got != !*err) {
        fail_msg("name \"%s\", wire %d: %d (%s)", name, wire, got, err);
      }
    }
  }
  json_decref(root);
}

static void names_have_reasons(void **state) {
  (void)state;
  static const char *const rows[][2] = {{"a b", "it holds a blank"},
                                        {"union+select", "both \"union\" and \"select\""},
                                        {"a\xc2\x85", "control character U+0085"},
                                        {"a\xe2\x80\xae", "format character U+202E"},
                                        {"jos\xe9", "it is not UTF-8"},
                                        {"", "1 to 8"},
                                        {"123456789", "1 to 8"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char err[200];
    assert_int_equal(user_name_check(rows[i][0], i < 5 ? 508 : 8, true, err, sizeof err), -1);
    assert_non_null(strstr(err, rows[i][1]));
  }
}

static void utf8(void **state) {
  (void)state;
  static const char *const right[] = {"",
                                      "a",
                                      "\xc3\xa4",
                                      "\xe2\x82\xac",
                                      "\xf0\x9f\x93\x9e",
                                      "\xed\x9f\xbf",
                                      "\xee\x80\x80",
                                      "\xf4\x8f\xbf\xbf",
                                      "\xc2\x80"};
  static const char *const wrong[] = {"\xe9",
                                      "jos\xe9",
                                      "\xc3",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "\x80",
                                      "\xff",
                                      "\xe2\x82",
                                      "\xe2\x28\xa1",
                                      "a\xc3(",
                                      "\xf0\x8f\xbf\xbf"};
  for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
    assert_true(utf8_is(right[i], strlen(right[i])));
  }
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_false(utf8_is(wrong[i], strlen(wrong[i])));
  }
  uint32_t c = 0;
  assert_int_equal(utf8_next("\xf0\x9f\x93\x9e!", 5, &c), 4);
  assert_int_equal(c, 0x1f4de);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(addresses),
      cmocka_unit_test(peers),
      cmocka_unit_test(peers_have_reasons),
      cmocka_unit_test(ranges_hold),
      cmocka_unit_test(uris),
      cmocka_unit_test(uri_lists),
      cmocka_unit_test(origins),
      cmocka_unit_test(random_texts),
      cmocka_unit_test(ports),
      cmocka_unit_test(names),
      cmocka_unit_test(names_have_reasons),
      cmocka_unit_test(utf8),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
