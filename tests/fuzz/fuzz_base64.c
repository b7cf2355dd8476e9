/*
 * fuzz_base64.c - libFuzzer: base64 and hex; encoding an accepted value gives the same text
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core/turncred.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  size_t cap = size + 4;
  uint8_t *octets = malloc(cap);
  char *text = malloc(2 * cap);
  const char *in = (const char *)data;
  size_t len;

  if (octets == NULL || text == NULL) {
    abort();
  }
  if (turncred_base64_decode(in, size, octets, size / 4 * 3, &len) == TURNCRED_OK &&
      (turncred_base64_encode(octets, len, text, size + 1) != TURNCRED_OK || strlen(text) != size ||
       memcmp(text, in, size) != 0)) {
    abort();
  }
  if (turncred_hex_decode(in, size, octets, size / 2, &len) == TURNCRED_OK &&
      (turncred_hex_encode(octets, len, text, size + 1) != TURNCRED_OK || strlen(text) != size ||
       strncasecmp(text, in, size) != 0)) {
    abort();
  }
  free(octets);
  free(text);
  return 0;
}
