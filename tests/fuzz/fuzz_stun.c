/*
 * fuzz_stun.c - libFuzzer: STUN messages and ChannelData that a server might send
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Nothing is read outside the octets (AddressSanitizer looks), every getter can be asked, and a
 * message that parses parses the same way again after its attributes have been written anew.
 */
#include "turn/stun.h"

#include <stdlib.h>
#include <string.h>

static void ask(const struct stun_message *msg) {
  struct sockaddr_storage addr;
  socklen_t len = 0;
  char text[128], small[4];
  uint32_t value = 0;
  unsigned code = 0;
  static const uint8_t key[20] = {1, 2, 3};
  stun_get_xor_address(msg, STUN_XOR_MAPPED_ADDRESS, &addr, &len);
  if (!stun_get_xor_address(msg, STUN_XOR_RELAYED_ADDRESS, &addr, &len)) {
    stun_address_text((struct sockaddr *)&addr, text, sizeof text);
  }
  stun_get_u32(msg, STUN_LIFETIME, &value);
  if (!stun_get_error(msg, &code, small, sizeof small) && (code < 300 || code > 699)) {
    abort();
  }
  if (!stun_get_text(msg, STUN_REALM, text, sizeof text) && strlen(text) >= sizeof text) {
    abort();
  }
  stun_get_text(msg, STUN_NONCE, small, sizeof small);
  stun_check_integrity(msg, key, sizeof key);
  stun_check_integrity_sha256(msg, key, sizeof key);
  stun_check_fingerprint(msg);
}

static void rewrite(const struct stun_message *msg) {
  uint8_t *buf = malloc(msg->len);
  struct stun_writer w;
  struct stun_attr attr, again;
  struct stun_message copy;
  size_t offset = 0, other = 0;
  if (!buf) {
    abort();
  }
  stun_begin(&w, buf, msg->len, msg->cls, msg->method, msg->transaction_id);
  while (stun_next(msg, &offset, &attr)) {
    stun_add(&w, attr.type, attr.value, attr.len);
  }
  if (w.err || w.len != msg->len || stun_parse(buf, w.len, &copy) || copy.cls != msg->cls ||
      copy.method != msg->method) {
    abort();
  }
  offset = 0;
  while (stun_next(msg, &offset, &attr)) {
    if (!stun_next(&copy, &other, &again) || again.type != attr.type || again.len != attr.len ||
        (attr.len && memcmp(again.value, attr.value, attr.len) != 0)) {
      abort();
    }
  }
  free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  /* a copy of exactly this size, so that the sanitizer sees a read beyond the end */
  uint8_t *octets = malloc(size ? size : 1);
  struct stun_message msg;
  uint16_t channel = 0;
  const uint8_t *payload = NULL;
  size_t len = 0;
  if (!octets) {
    abort();
  }
  if (size) {
    memcpy(octets, data, size);
  }
  size_t frame = stun_frame_size(octets, size);
  if (!stun_parse(octets, size, &msg)) {
    if (frame != size) {
      abort();
    }
    ask(&msg);
    rewrite(&msg);
  }
  if (!stun_parse_channel_data(octets, size, &channel, &payload, &len) &&
      (channel < STUN_CHANNEL_MIN || channel > STUN_CHANNEL_MAX || payload != octets + 4 || len > size - 4)) {
    abort();
  }
  free(octets);
  return 0;
}
