/*
 * channel.c - ChannelData (RFC 8656 12.4), and finding the end of a frame in a stream (12.5)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "stun.h"

#include "wire.h"

#include <errno.h>
#include <string.h>

int stun_channel_data(uint16_t channel, const void *data, size_t len, uint8_t *out, size_t cap, size_t *out_len) {
  size_t padded = wire_padded(len);
  if (channel < STUN_CHANNEL_MIN || channel > STUN_CHANNEL_MAX || len > 0xFFFF) {
    return EINVAL;
  }
  if (cap < 4 || cap - 4 < padded) {
    return ENOSPC;
  }
  wire_put16(out, channel);
  wire_put16(out + 2, (unsigned)len);
  memset(out + 4, 0, padded);
  if (len) {
    memcpy(out + 4, data, len);
  }
  *out_len = 4 + padded;
  return 0;
}

bool stun_is_channel_data(const uint8_t *raw, size_t len) {
  return len >= 4 && raw[0] >= STUN_CHANNEL_MIN >> 8 && raw[0] <= STUN_CHANNEL_MAX >> 8;
}

int stun_parse_channel_data(const uint8_t *raw, size_t len, uint16_t *channel, const uint8_t **data, size_t *data_len) {
  if (!stun_is_channel_data(raw, len) || wire_get16(raw + 2) > len - 4) {
    return EBADMSG;
  }
  *channel = (uint16_t)wire_get16(raw);
  *data = raw + 4;
  *data_len = wire_get16(raw + 2);
  return 0;
}

size_t stun_frame_size(const uint8_t *raw, size_t len) {
  if (len < 4) {
    return 0;
  }
  if (!(raw[0] & 0xC0)) {
    return STUN_HEADER_SIZE + (size_t)wire_get16(raw + 2);
  }
  if (stun_is_channel_data(raw, len)) {
    return 4 + wire_padded(wire_get16(raw + 2));
  }
  return SIZE_MAX;
}
