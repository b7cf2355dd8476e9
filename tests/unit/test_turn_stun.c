/*
 * test_turn_stun.c - STUN messages: published vectors, and octets that must be refused
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/turncred.h"
#include "turn/stun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* RFC 5769 2.1 to 2.4 */
static const char request_hex[] =
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001"
    "ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3"
    "f249c1b571a280280004e57a3bcf";
static const char ipv4_hex[] =
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a6"
    "43000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
static const char ipv6_hex[] =
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9"
    "faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";
static const char long_term_hex[] =
    "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b90000001500"
    "1c662f2f3439396b39353464364f4c33346f4c39465354767936347341001400"
    "0b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666";
static const char short_term_key[] = "VOkJxbRl1RmTxUk/WvJxBt";

static size_t unhex(const char *hex, uint8_t *out, size_t cap) {
  size_t len = 0;
  assert_int_equal(turncred_hex_decode(hex, strlen(hex), out, cap, &len), TURNCRED_OK);
  return len;
}

static const uint8_t *key(void) { return (const uint8_t *)short_term_key; }

static void rfc5769_request(void **state) {
  uint8_t raw[256];
  struct stun_message msg;
  struct stun_attr attr;
  (void)state;
  size_t len = unhex(request_hex, raw, sizeof raw);
  assert_int_equal(stun_parse(raw, len, &msg), 0);
  assert_int_equal(msg.cls, STUN_REQUEST);
  assert_int_equal(msg.method, STUN_BINDING);
  assert_int_equal(stun_find(&msg, STUN_USERNAME, &attr), 0);
  assert_int_equal(attr.len, 9);
  assert_memory_equal(attr.value, "evtj:h6vY", 9);
  assert_int_equal(stun_check_integrity(&msg, key(), strlen(short_term_key)), 0);
  assert_int_equal(stun_check_fingerprint(&msg), 0);
  assert_int_equal(stun_check_integrity(&msg, key(), strlen(short_term_key) - 1), EBADMSG);
}

static void rfc5769_responses(void **state) {
  uint8_t raw[256];
  char text[64];
  struct stun_message msg;
  struct sockaddr_storage addr;
  socklen_t addr_len;
  (void)state;
  size_t len = unhex(ipv4_hex, raw, sizeof raw);
  assert_int_equal(stun_parse(raw, len, &msg), 0);
  assert_int_equal(msg.cls, STUN_SUCCESS);
  assert_int_equal(stun_check_integrity(&msg, key(), strlen(short_term_key)), 0);
  assert_int_equal(stun_check_fingerprint(&msg), 0);
  assert_int_equal(stun_get_xor_address(&msg, STUN_XOR_MAPPED_ADDRESS, &addr, &addr_len), 0);
  assert_string_equal(stun_address_text((struct sockaddr *)&addr, text, sizeof text), "192.0.2.1:32853");

  len = unhex(ipv6_hex, raw, sizeof raw);
  assert_int_equal(stun_parse(raw, len, &msg), 0);
  assert_int_equal(stun_check_integrity(&msg, key(), strlen(short_term_key)), 0);
  assert_int_equal(stun_check_fingerprint(&msg), 0);
  assert_int_equal(stun_get_xor_address(&msg, STUN_XOR_MAPPED_ADDRESS, &addr, &addr_len), 0);
  assert_string_equal(stun_address_text((struct sockaddr *)&addr, text, sizeof text),
                      "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
}

static void rfc5769_long_term(void **state) {
  static const char username[] = "\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf"
                                 "\xe3\x82\xb9";
  uint8_t raw[256], md5[TURNCRED_LONG_TERM_MD5];
  char realm[128];
  struct stun_message msg;
  (void)state;
  size_t len = unhex(long_term_hex, raw, sizeof raw);
  assert_int_equal(stun_parse(raw, len, &msg), 0);
  assert_int_equal(stun_get_text(&msg, STUN_REALM, realm, sizeof realm), 0);
  assert_string_equal(realm, "example.org");
  assert_int_equal(turncred_long_term_md5(NULL, username, strlen(username), realm, "TheMatrIX", md5), TURNCRED_OK);
  assert_int_equal(stun_check_integrity(&msg, md5, sizeof md5), 0);
}

/* The encoded message equals the RFC's example. */
static void encodes_rfc5769_response(void **state) {
  uint8_t want[256], buf[256];
  struct stun_writer w;
  struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(32853)};
  (void)state;
  size_t len = unhex(ipv4_hex, want, sizeof want);
  /* the RFC pads with blanks, we with zeros: leave SOFTWARE out of both */
  inet_pton(AF_INET, "192.0.2.1", &addr.sin_addr);
  stun_begin(&w, buf, sizeof buf, STUN_SUCCESS, STUN_BINDING, want + 8);
  stun_add_xor_address(&w, STUN_XOR_MAPPED_ADDRESS, (struct sockaddr *)&addr);
  assert_int_equal(w.err, 0);
  assert_memory_equal(buf + 20, want + 36, 12);
  (void)len;
  /* the request's octets, attribute by attribute, without its padding of blanks */
  len = unhex(request_hex, want, sizeof want);
  stun_begin(&w, buf, sizeof buf, STUN_REQUEST, STUN_BINDING, want + 8);
  stun_add(&w, STUN_SOFTWARE, "STUN test client", 16);
  stun_add_u32(&w, 0x0024, 0x6e0001ff);
  assert_int_equal(w.err, 0);
  assert_memory_equal(buf + 20, want + 20, 28);
}

static void every_class_and_method(void **state) {
  uint8_t buf[64];
  static const uint8_t id[12] = {1};
  (void)state;
  for (unsigned cls = 0; cls < 4; cls++) {
    for (unsigned method = 0; method <= 0xFFF; method++) {
      struct stun_writer w;
      struct stun_message msg;
      assert_int_equal(stun_begin(&w, buf, sizeof buf, (enum stun_class)cls, method, id), 0);
      assert_int_equal(stun_parse(buf, w.len, &msg), 0);
      assert_int_equal(msg.cls, cls);
      assert_int_equal(msg.method, method);
    }
  }
  /* RFC 8489 section 5: Binding request 0x0001, its success response 0x0101 */
  struct stun_writer w;
  stun_begin(&w, buf, sizeof buf, STUN_SUCCESS, STUN_BINDING, id);
  assert_int_equal(buf[0] << 8 | buf[1], 0x0101);
  stun_begin(&w, buf, sizeof buf, STUN_ERROR, STUN_ALLOCATE, id);
  assert_int_equal(buf[0] << 8 | buf[1], 0x0113);
}

static size_t signed_message(uint8_t *buf, size_t cap, size_t key_len) {
  static const uint8_t id[12] = "transaction";
  uint8_t k[64];
  struct stun_writer w;
  memset(k, 0x5A, sizeof k);
  stun_begin(&w, buf, cap, STUN_REQUEST, STUN_ALLOCATE, id);
  stun_add(&w, STUN_USERNAME, "alice:1764003600", 16);
  stun_add(&w, STUN_ACCESS_TOKEN, k, 61);
  stun_add_integrity(&w, k, key_len);
  stun_add_integrity_sha256(&w, k, key_len);
  stun_add_fingerprint(&w);
  assert_int_equal(w.err, 0);
  return w.len;
}

/* 16 octets (stock coturn), 20 (RFC 7635), 64: all of them count. */
static void integrity_keys_of_any_length(void **state) {
  uint8_t buf[512], k[65];
  (void)state;
  memset(k, 0x5A, sizeof k);
  for (size_t n = 1; n <= 64; n++) {
    struct stun_message msg;
    size_t len = signed_message(buf, sizeof buf, n);
    assert_int_equal(stun_parse(buf, len, &msg), 0);
    assert_int_equal(stun_check_integrity(&msg, k, n), 0);
    assert_int_equal(stun_check_integrity_sha256(&msg, k, n), 0);
    assert_int_equal(stun_check_integrity(&msg, k, n + 1), EBADMSG);
    if (n > 1) {
      assert_int_equal(stun_check_integrity(&msg, k, n - 1), EBADMSG);
    }
    assert_int_equal(stun_check_fingerprint(&msg), 0);
  }
  assert_int_equal(stun_check_integrity(&(struct stun_message){.raw = buf, .len = 20}, k, 16), ENOENT);
}

static void every_bit_matters(void **state) {
  uint8_t buf[512], k[20];
  struct stun_message msg;
  (void)state;
  memset(k, 0x5A, sizeof k);
  size_t len = signed_message(buf, sizeof buf, sizeof k);
  for (size_t bit = 0; bit < len * 8; bit++) {
    buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
    bool accepted =
        !stun_parse(buf, len, &msg) && !stun_check_integrity(&msg, k, sizeof k) && !stun_check_fingerprint(&msg);
    assert_false(accepted);
    buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
}

static void every_truncation_is_refused(void **state) {
  uint8_t buf[512];
  struct stun_message msg;
  (void)state;
  size_t len = signed_message(buf, sizeof buf, 20);
  for (size_t n = 0; n < len; n++) {
    assert_int_equal(stun_parse(buf, n, &msg), EBADMSG);
  }
  /* an attribute that claims more than there is, with a right header */
  buf[23] = 0xFF;
  buf[22] = 0xFF;
  assert_int_equal(stun_parse(buf, len, &msg), EBADMSG);
}

/* RFC 8489 14.5: attributes after MESSAGE-INTEGRITY do not count. */
static void attributes_after_integrity_are_ignored(void **state) {
  static const uint8_t id[12] = "transaction";
  uint8_t buf[256];
  struct stun_writer w;
  struct stun_message msg;
  struct stun_attr attr;
  (void)state;
  stun_begin(&w, buf, sizeof buf, STUN_SUCCESS, STUN_ALLOCATE, id);
  stun_add_integrity(&w, id, sizeof id);
  stun_add(&w, STUN_REALM, "forged", 6);
  stun_add_fingerprint(&w);
  assert_int_equal(stun_parse(buf, w.len, &msg), 0);
  assert_int_equal(stun_find(&msg, STUN_REALM, &attr), ENOENT);
  assert_int_equal(stun_find(&msg, STUN_FINGERPRINT, &attr), 0);
}

static void error_codes(void **state) {
  static const uint8_t id[12] = "transaction";
  static const uint8_t good[] = {0, 0, 4, 38, 'S', 't', 7, 'l', 'e'};
  static const uint8_t bad_class[] = {0, 0, 7, 0}, bad_number[] = {0, 0, 4, 100};
  uint8_t buf[256];
  char reason[4];
  unsigned code = 0;
  struct stun_writer w;
  struct stun_message msg;
  (void)state;
  stun_begin(&w, buf, sizeof buf, STUN_ERROR, STUN_ALLOCATE, id);
  stun_add(&w, STUN_ERROR_CODE, good, sizeof good);
  assert_int_equal(stun_parse(buf, w.len, &msg), 0);
  assert_int_equal(stun_get_error(&msg, &code, reason, sizeof reason), 0);
  assert_int_equal(code, 438);
  assert_string_equal(reason, "St?");
  const uint8_t *bad[] = {bad_class, bad_number, good};
  const size_t lens[] = {4, 4, 3};
  for (size_t i = 0; i < 3; i++) {
    stun_begin(&w, buf, sizeof buf, STUN_ERROR, STUN_ALLOCATE, id);
    stun_add(&w, STUN_ERROR_CODE, bad[i], lens[i]);
    assert_int_equal(stun_parse(buf, w.len, &msg), 0);
    assert_int_equal(stun_get_error(&msg, &code, reason, sizeof reason), EBADMSG);
  }
}

static void text_with_nul_or_too_long_is_refused(void **state) {
  static const uint8_t id[12] = "transaction";
  uint8_t buf[256];
  char text[8];
  struct stun_writer w;
  struct stun_message msg;
  (void)state;
  stun_begin(&w, buf, sizeof buf, STUN_ERROR, STUN_ALLOCATE, id);
  stun_add(&w, STUN_REALM, "a\0b", 3);
  stun_add(&w, STUN_NONCE, "12345678", 8);
  assert_int_equal(stun_parse(buf, w.len, &msg), 0);
  assert_int_equal(stun_get_text(&msg, STUN_REALM, text, sizeof text), EBADMSG);
  assert_int_equal(stun_get_text(&msg, STUN_NONCE, text, sizeof text), EBADMSG);
  assert_int_equal(stun_get_text(&msg, STUN_SOFTWARE, text, sizeof text), ENOENT);
}

static void writer_keeps_its_fault(void **state) {
  static const uint8_t id[12] = "transaction";
  uint8_t buf[32];
  struct stun_writer w;
  (void)state;
  stun_begin(&w, buf, sizeof buf, STUN_REQUEST, STUN_ALLOCATE, id);
  assert_int_equal(stun_add(&w, STUN_REALM, "0123456789", 10), ENOSPC);
  assert_int_equal(stun_add_u32(&w, STUN_LIFETIME, 1), ENOSPC);
  assert_int_equal(w.len, STUN_HEADER_SIZE);
  assert_int_equal(stun_begin(&w, buf, 19, STUN_REQUEST, STUN_ALLOCATE, id), EINVAL);
}

static void channel_data(void **state) {
  uint8_t buf[64];
  uint16_t channel = 0;
  const uint8_t *data = NULL;
  size_t len = 0, data_len = 0;
  (void)state;
  assert_int_equal(stun_channel_data(0x4001, "hello", 5, buf, sizeof buf, &len), 0);
  assert_int_equal(len, 12);
  assert_int_equal(stun_parse_channel_data(buf, len, &channel, &data, &data_len), 0);
  assert_int_equal(channel, 0x4001);
  assert_int_equal(data_len, 5);
  assert_memory_equal(data, "hello", 5);
  assert_int_equal(stun_parse_channel_data(buf, 9, &channel, &data, &data_len), 0);
  assert_int_equal(stun_parse_channel_data(buf, 8, &channel, &data, &data_len), EBADMSG);
  assert_int_equal(stun_channel_data(0x3FFF, "x", 1, buf, sizeof buf, &len), EINVAL);
  assert_int_equal(stun_channel_data(0x5000, "x", 1, buf, sizeof buf, &len), EINVAL);
  assert_int_equal(stun_channel_data(0x4001, buf, 61, buf, sizeof buf, &len), ENOSPC);
}

static void frames_in_a_stream(void **state) {
  static const uint8_t stun[] = {0x01, 0x13, 0x00, 0x08, 0x21}, chan[] = {0x40, 0x01, 0x00, 0x05};
  static const uint8_t junk[] = {'H', 'T', 'T', 'P'}, junk2[] = {0x80, 0, 0, 0};
  (void)state;
  assert_int_equal(stun_frame_size(stun, 3), 0);
  assert_int_equal(stun_frame_size(stun, 4), 28);
  assert_int_equal(stun_frame_size(chan, 4), 12);
  assert_true(stun_frame_size(junk2, 4) == SIZE_MAX);
  /* "HTTP" looks like a channel; its length then ends the wait */
  assert_int_equal(stun_frame_size(junk, 4), 4 + 0x5450);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc5769_request),
      cmocka_unit_test(rfc5769_responses),
      cmocka_unit_test(rfc5769_long_term),
      cmocka_unit_test(encodes_rfc5769_response),
      cmocka_unit_test(every_class_and_method),
      cmocka_unit_test(integrity_keys_of_any_length),
      cmocka_unit_test(every_bit_matters),
      cmocka_unit_test(every_truncation_is_refused),
      cmocka_unit_test(attributes_after_integrity_are_ignored),
      cmocka_unit_test(error_codes),
      cmocka_unit_test(text_with_nul_or_too_long_is_refused),
      cmocka_unit_test(writer_keeps_its_fault),
      cmocka_unit_test(channel_data),
      cmocka_unit_test(frames_in_a_stream),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
