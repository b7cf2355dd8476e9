/*
 * mint.h - makes credentials from a key that is ready for use
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Randomness comes from OpenSSL; the time is the caller's. Nothing is recorded here.
 */
#ifndef TURNCRED_MINT_H
#define TURNCRED_MINT_H

#include "core/turncred.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct mint_token {
  struct turncred_token token;
  uint8_t octets[TURNCRED_TOKEN_MAX];
  size_t len;
  char fingerprint[33];
};

/* mac_key_len: 20 or 32. tag_key: the realm's (32 octets), NULL: no subject tag. Cleanse
 * *made after use. */
enum turncred_err mint_token(struct turncred_ws *ws, const struct turncred_key *key, const uint8_t *tag_key,
                             const char *server_name, const char *subject, const struct timespec *now,
                             uint32_t lifetime, size_t mac_key_len, struct mint_token *made);

/* USERNAME and password of a derived or REST key. form: of REST usernames. user_id "" (REST): the time alone.
 * TURNCRED_BAD_USERNAME and TURNCRED_NO_SPACE: user_id is no user id, or none for this form. */
enum turncred_err mint_password(struct turncred_ws *ws, const struct turncred_key *key,
                                const struct turncred_rest_form *form, const char *user_id, const char *realm,
                                int64_t expiry, char username[TURNCRED_USERNAME_MAX + 1],
                                char password[TURNCRED_PASSWORD_MAX]);

/* 32 random octets in base64url, 43 characters and the NUL: passwords and callers' keys. */
#define MINT_SECRET 44
enum turncred_err mint_secret(char text[MINT_SECRET]);

/* Octets of a pushed credential's password. 16 are 128 bits, if they are random. */
#define MINT_PASSWORD_MIN 16
#define MINT_PASSWORD_MAX 256
/* The long-term keys of a pushed credential, MD5 and then SHA-256: sealed under kek, TURNCRED_CREDENTIAL_SEALED octets;
 * kek NULL: plain, TURNCRED_CREDENTIAL_PLAIN octets. ws may be NULL. */
enum turncred_err mint_pushed(struct turncred_ws *ws, const uint8_t *kek, const struct turncred_credential_row *row,
                              const char *password, uint8_t octets[TURNCRED_CREDENTIAL_SEALED]);

#endif
