/*
 * security_alignment.c - coturn's readers of a message, on a message that begins at any octet
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * For a build with -fsanitize=alignment, which ends the program at the first load that some processors cannot do.
 */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "client/ns_turn_msg.h"

static const uint8_t message[] = {0x00, 0x09, 0x00, 0x54, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
                                  // USERNAME "abc", padded
                                  0x00, 0x06, 0x00, 0x03, 'a', 'b', 'c', 0,
                                  // CHANNEL-NUMBER 0x4001, REQUESTED-ADDRESS-FAMILY IPv6, RESPONSE-PORT 9, bandwidth 5
                                  0x00, 0x0c, 0x00, 0x04, 0x40, 0x01, 0, 0, 0x00, 0x17, 0x00, 0x04, 2, 0, 0, 0, 0x00,
                                  0x27, 0x00, 0x04, 0, 9, 0, 0, 0x80, 0x10, 0x00, 0x04, 0, 0, 0, 5,
                                  // XOR-PEER-ADDRESS 192.0.2.1:32853
                                  0x00, 0x12, 0x00, 0x08, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43,
                                  // MAPPED-ADDRESS [::1]:9
                                  0x00, 0x01, 0x00, 0x14, 0, 2, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
                                  // FINGERPRINT, which is wrong
                                  0x80, 0x28, 0x00, 0x04, 1, 2, 3, 4};

static const uint8_t channel_data[] = {0x40, 0x01, 0x00, 0x05, 'h', 'e', 'l', 'l', 'o', 0, 0, 0};

static int failed;

#define EXPECT(is, want) expect(#is, (long)(is), (long)(want))

static void expect(const char *what, long is, long want) {
  if (is != want) {
    printf("%s is %ld, not %ld\n", what, is, want);
    failed = 1;
  }
}

static stun_attr_ref attribute(const uint8_t *m, uint16_t type) {
  return stun_attr_get_first_by_type_str(m, sizeof(message), type);
}

static void read_message(uint8_t *m) {
  size_t octets = 0;
  uint32_t cookie = 0;
  int fingerprint = 0;

  EXPECT(stun_get_message_len_str(m, sizeof(message), 1, &octets), sizeof(message));
  EXPECT(stun_get_command_message_len_str(m, sizeof(message)), sizeof(message));
  EXPECT(stun_is_command_message_str(m, sizeof(message)), 1);
  EXPECT(old_stun_is_command_message_str(m, sizeof(message), &cookie), 0);
  EXPECT(stun_is_command_message_full_check_str(m, sizeof(message), 0, &fingerprint), 0);
  EXPECT(stun_get_method_str(m, sizeof(message)), 9);
  EXPECT(stun_is_request_str(m, sizeof(message)), 1);
  EXPECT(is_channel_msg_str(m, sizeof(message)), 0);
}

static void read_attributes(const uint8_t *m) {
  ioa_addr peer, mapped;

  EXPECT(stun_attr_get_len(attribute(m, STUN_ATTRIBUTE_USERNAME)), 3);
  EXPECT(stun_attr_get_value(attribute(m, STUN_ATTRIBUTE_USERNAME))[2], 'c');
  EXPECT(stun_attr_get_channel_number(attribute(m, STUN_ATTRIBUTE_CHANNEL_NUMBER)), 0x4001);
  EXPECT(stun_get_requested_address_family(attribute(m, 0x0017)), 2);
  EXPECT(stun_attr_get_response_port_str(attribute(m, STUN_ATTRIBUTE_RESPONSE_PORT)), 9);
  EXPECT(stun_attr_get_bandwidth(attribute(m, STUN_ATTRIBUTE_NEW_BANDWIDTH)), 5 << 7);
  memset(&peer, 0, sizeof(peer));
  memset(&mapped, 0, sizeof(mapped));
  EXPECT(stun_attr_get_first_addr_str(m, sizeof(message), STUN_ATTRIBUTE_XOR_PEER_ADDRESS, &peer, NULL), 0);
  EXPECT(nswap16(peer.s4.sin_port), 32853);
  EXPECT(nswap32(peer.s4.sin_addr.s_addr), 0xc0000201);
  EXPECT(stun_attr_get_first_addr_str(m, sizeof(message), STUN_ATTRIBUTE_MAPPED_ADDRESS, &mapped, NULL), 0);
  EXPECT(nswap16(mapped.s6.sin6_port), 9);
  EXPECT(mapped.s6.sin6_addr.s6_addr[15], 1);
}

static void read_channel_data(uint8_t *m) {
  size_t octets = sizeof(channel_data);
  uint16_t number = 0;

  EXPECT(stun_get_message_len_str(m, sizeof(channel_data), 1, &octets), sizeof(channel_data));
  EXPECT(octets, 9);
  EXPECT(stun_is_channel_message_str(m, &octets, &number, 0), 1);
  EXPECT(number, 0x4001);
}

int main(void) {
  static uint64_t memory[32];

  for (int shift = 0; shift < 8; shift++) {
    uint8_t *m = (uint8_t *)memory + shift;
    memcpy(m, message, sizeof(message));
    read_message(m);
    read_attributes(m);
    memcpy(m, channel_data, sizeof(channel_data));
    read_channel_data(m);
  }
  return failed;
}
