/* SPDX-License-Identifier: BSD-3-Clause
 * mint.c - a derived TURN credential for one user, as RTCPeerConnection wants it
 * usage: mint KEY-FILE REALM USER-ID SECONDS    (KEY-FILE: the realm's 32 raw octets)
 * build: cc -o mint mint.c $(pkg-config --cflags --libs turncred) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <turncred.h>

int main(int argc, char **argv) {
  char username[TURNCRED_USERNAME_MAX + 1], password[TURNCRED_PASSWORD_MAX];
  uint8_t k[TURNCRED_KEY_MAX + 1]; /* one more: too long a file is refused, not cut */
  struct turncred_key key;
  FILE *f = argc == 5 ? fopen(argv[1], "rb") : NULL;

  if (f == NULL) {
    fprintf(stderr, "usage: mint KEY-FILE REALM USER-ID SECONDS\n");
    return 2;
  }
  size_t k_len = fread(k, 1, sizeof(k), f);
  fclose(f);
  int64_t expiry = (int64_t)time(NULL) + atol(argv[4]);
  enum turncred_err err =
      turncred_key_init(&key, TURNCRED_USE_DERIVED, TURNCRED_HMAC_SHA256, TURNCRED_DERIVATION_NONE, k, k_len);
  if (!err) {
    err = turncred_username_format(argv[3], expiry, TURNCRED_USER_ID_TIMESTAMP, username, sizeof(username));
  }
  if (!err) {
    err = turncred_derived_password(NULL, &key, argv[3], strlen(argv[3]), argv[2], expiry, password);
  }
  if (!err) {
    printf("{\"username\": \"%s\", \"credential\": \"%s\"}\n", username, password);
  } else {
    fprintf(stderr, "mint: %s: %s\n", turncred_err_name(err), turncred_err_text(err));
  }
  turncred_key_clear(&key);
  turncred_cleanse(k, sizeof(k));
  return err != TURNCRED_OK;
}
