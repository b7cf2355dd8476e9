/*
 * security_lengths.c - coturn's lengths of messages against a second computation
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * stun_get_message_len_str() and stun_is_channel_message_str() for every length that a header can name, and buffers of
 * the sizes around it.
 */

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "client/ns_turn_msg.h"

static unsigned wrong;

static void expect(const char *what, const uint8_t *buf, size_t size, long got, long want) {
  if (got != want && wrong++ < 10) {
    printf("%s: %02x%02x%02x%02x in %zu octets: %ld, not %ld\n", what, buf[0], buf[1], buf[2], buf[3], size, got, want);
  }
}

static long rounded(long n) { return (n + 3) / 4 * 4; }

// octets of the frame at the beginning of a stream, -1 if it is not whole
static long frame(unsigned type, long length, long size, int padding) {
  long total = -1;
  if (type >= 0x4000 && type <= 0x7fff && size >= 4) {
    total = padding ? rounded(length + 4) : length + 4;
  } else if (type < 0x4000 && size >= 20 && length % 4 == 0) {
    total = length + 20;
  }
  return total > size ? -1 : total;
}

static void message_length(uint8_t *buf, unsigned type, long length, size_t size) {
  for (int padding = 0; padding < 2; padding++) {
    size_t octets = 0;
    long got = stun_get_message_len_str(buf, size, padding, &octets);
    expect("message", buf, size, got, frame(type, length, (long)size, padding));
    if (got >= 0) {
      expect("of it", buf, size, (long)octets, type < 0x4000 ? length + 20 : length + 4);
    }
  }
}

// ChannelData, with up to 3 octets of padding behind it
static void channel_data(uint8_t *buf, unsigned type, long length, size_t size) {
  uint16_t number = 0;
  size_t octets = size;
  int is = stun_is_channel_message_str(buf, &octets, &number, 0);
  if (type < 0x4000 || (long)size < length + 4) {
    expect("no channel", buf, size, is, 0);
    expect("untouched", buf, size, (long)octets, (long)size);
  } else if ((long)size == length + 4 || (long)size == rounded(length + 4)) {
    expect("channel", buf, size, is, 1);
    expect("data", buf, size, (long)octets, length + 4);
  }
}

static void try_sizes(uint8_t *buf, size_t room, unsigned type, long length) {
  const long sizes[] = {4,           8,           19,          20,         24,
                        length + 3,  length + 4,  length + 5,  length + 7, rounded(length + 4),
                        length + 19, length + 20, length + 24, 65507,      65535,
                        65540,       65560};
  for (size_t at = 0; at < sizeof(sizes) / sizeof(*sizes); at++) {
    if (sizes[at] < 4 || sizes[at] > (long)room) {
      continue;
    }
    message_length(buf, type, length, (size_t)sizes[at]);
    channel_data(buf, type, length, (size_t)sizes[at]);
  }
}

int main(void) {
  static uint32_t memory[(1 << 17) / 4];
  static const unsigned types[] = {0x0001, 0x0101, 0x3fff, 0x4000, 0x4fff, 0x7fff};
  uint8_t *buf = (uint8_t *)memory;
  uint32_t cookie = htonl(0x2112a442);

  memcpy(buf + 4, &cookie, 4);
  for (size_t at = 0; at < sizeof(types) / sizeof(*types); at++) {
    for (long length = 0; length < 0x10000; length++) {
      uint16_t header[2] = {htons((uint16_t)types[at]), htons((uint16_t)length)};
      memcpy(buf, header, 4);
      try_sizes(buf, sizeof(memory), types[at], length);
    }
  }
  printf("%u wrong\n", wrong);
  return wrong != 0;
}
