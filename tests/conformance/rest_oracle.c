/*
 * rest_oracle.c - the verdicts of stock coturn and of libturncred about TURN REST usernames, line by line
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * In:  NOW MAX_TTL SEPARATOR ORDER SECRET USERNAME, the last two in hex.
 * Out: ACCEPTED USER PASSWORD of coturn, ACCEPTED USER PASSWORD of the library; names in hex, - for none.
 *
 * test_rest.py compiles it with stock_rest.c, which has get_rest_api_timestamp() and get_real_username() of a coturn
 * tree word for word, and with is_secure_string() and the password as get_user_key() makes it.
 */
#include "core/turncred.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int stock_accepts(char *username, char separator, long now);
char *stock_user(char *username, char separator);
char *stock_password(const char *username, const char *secret);

/* An octet string in hex becomes one with a NUL behind it, which the caller frees. */
static char *unhex(const char *hex, size_t *len) {
  size_t cap = strlen(hex) / 2 + 1;
  char *text = calloc(1, cap);
  *len = 0;
  if (!text || (*hex != '-' && turncred_hex_decode(hex, strlen(hex), (uint8_t *)text, cap, len))) {
    abort();
  }
  return text;
}

static void put(bool accepted, const char *user, size_t len, const char *password) {
  char hex[2 * 2048 + 1] = "";
  turncred_hex_encode((const uint8_t *)user, len, hex, sizeof hex);
  printf("%d %s %s ", accepted, accepted && len ? hex : "-", accepted ? password : "-");
}

static void ask_stock(char *name, char separator, long now, const char *secret) {
  bool accepted = stock_accepts(name, separator, now);
  char *user = stock_user(name, separator), *password = stock_password(name, secret);
  put(accepted, user, strlen(user), password);
  free(user);
  free(password);
}

static void ask_library(const char *name, size_t len, const struct turncred_rest_form *form, long now, unsigned max_ttl,
                        const char *secret) {
  struct turncred_username parsed = {NULL, 0, 0};
  struct turncred_key key;
  char password[TURNCRED_PASSWORD_MAX] = "";
  bool accepted = turncred_rest_parse(name, len, form, &parsed) == TURNCRED_OK &&
                  turncred_expiry_check(parsed.expiry, now, max_ttl) == TURNCRED_OK &&
                  turncred_key_init(&key, TURNCRED_USE_REST, TURNCRED_HMAC_SHA1, TURNCRED_DERIVATION_NONE,
                                    (const uint8_t *)secret, strlen(secret)) == TURNCRED_OK &&
                  turncred_rest_password(NULL, &key, name, len, password) == TURNCRED_OK;
  put(accepted, parsed.user_id, parsed.user_id_len, password);
}

int main(void) {
  static char line[16384], secret_hex[8192], name_hex[4096];
  char order[32], separator;
  long now;
  unsigned max_ttl;
  while (fgets(line, sizeof line, stdin)) {
    struct turncred_rest_form form;
    size_t len, secret_len;
    if (sscanf(line, "%ld %u %c %31s %8191s %4095s", &now, &max_ttl, &separator, order, secret_hex, name_hex) != 6 ||
        turncred_username_format_parse(order, &form.order)) {
      fprintf(stderr, "not a question: %s\n", line);
      return 1;
    }
    form.separator = separator;
    char *name = unhex(name_hex, &len), *secret = unhex(secret_hex, &secret_len);
    ask_stock(name, separator, now, secret);
    ask_library(name, len, &form, now, max_ttl, secret);
    putchar('\n');
    free(name);
    free(secret);
  }
  return 0;
}
