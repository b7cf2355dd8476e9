/*
 * fuzz_username.c - libFuzzer: usernames; formatting an accepted name gives the same text
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core/turncred.h"

#include <stdlib.h>
#include <string.h>

static void try_format(const char *in, size_t size, enum turncred_username_format format) {
  struct turncred_username u;
  char id[TURNCRED_USER_ID_MAX + 1];
  char again[TURNCRED_USERNAME_MAX + 1];
  enum turncred_err err = turncred_username_parse(in, size, format, &u);

  if (err == TURNCRED_BAD_USERNAME) {
    return;
  }
  if (err != TURNCRED_OK || u.user_id < in || u.user_id + u.user_id_len > in + size || u.user_id_len < 1 ||
      u.user_id_len > TURNCRED_USER_ID_MAX || u.expiry < 1) {
    abort();
  }
  memcpy(id, u.user_id, u.user_id_len);
  id[u.user_id_len] = '\0';
  if (turncred_username_format(id, u.expiry, format, again, sizeof(again)) != TURNCRED_OK || strlen(again) != size ||
      memcmp(again, in, size) != 0) {
    abort();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  try_format((const char *)data, size, TURNCRED_USER_ID_TIMESTAMP);
  try_format((const char *)data, size, TURNCRED_TIMESTAMP_USER_ID);
  return 0;
}
