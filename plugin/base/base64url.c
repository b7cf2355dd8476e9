/*
 * base64url.c - RFC 4648 section 5: the URL alphabet without padding
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Core's base64 does the work, four characters at a time: what is encoded here may be secret, and core's base64 reads
 * no memory by the value of a secret.
 */
#include "config.h"

#include "base64url.h"

#include <string.h>

enum turncred_err base64url_encode(const uint8_t *octets, size_t len, char *out, size_t cap) {
  if (cap < BASE64URL_SIZE(len)) {
    return TURNCRED_NO_SPACE;
  }
  for (size_t i = 0; i < len; i += 3) {
    char quad[5];
    size_t n = len - i < 3 ? len - i : 3;
    enum turncred_err err = turncred_base64_encode(octets + i, n, quad, sizeof quad);
    if (err) {
      return err;
    }
    for (size_t j = 0; j <= n; j++) {
      *out++ = (char)(quad[j] == '+' ? '-' : quad[j] == '/' ? '_' : quad[j]);
    }
    turncred_cleanse(quad, sizeof quad);
  }
  *out = '\0';
  return TURNCRED_OK;
}

/* At most four characters at text. */
static enum turncred_err decode_quad(const char *text, size_t n, uint8_t out[3], size_t *len) {
  char quad[4] = {'=', '=', '=', '='};
  for (size_t i = 0; i < n; i++) {
    if (text[i] == '+' || text[i] == '/' || text[i] == '=') {
      return TURNCRED_BAD_ARGUMENT;
    }
    quad[i] = (char)(text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
  }
  return turncred_base64_decode(quad, sizeof quad, out, 3, len);
}

enum turncred_err base64url_decode(const char *text, size_t n, uint8_t *out, size_t cap, size_t *len) {
  size_t done = 0;
  for (size_t i = 0; i < n; i += 4) {
    uint8_t octets[3];
    size_t got = 0;
    enum turncred_err err = decode_quad(text + i, n - i < 4 ? n - i : 4, octets, &got);
    if (!err && got > cap - done) {
      err = TURNCRED_NO_SPACE;
    }
    if (err) {
      turncred_cleanse(out, done);
      return err;
    }
    memcpy(out + done, octets, got);
    done += got;
  }
  *len = done;
  return TURNCRED_OK;
}
