/*
 * bench_core.c - verifying a credential against the bare OpenSSL operations it is made of
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * usage: bench_core [ROUNDS [OPERATIONS]]
 *
 * A round times OPERATIONS of both sides, one after the other, in alternating order. Printed are
 * the medians of both, and the median and quartiles of the rounds' ratios. The bare side keeps its
 * contexts keyed and checks nothing but what OpenSSL checks itself.
 */
#include "../unit/allocations.h"
#include "core/turncred.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SERVER "turn.example.net"
#define REALM "ims.example.net"
#define NOW INT64_C(1764000000)
#define ROUND_MAX 1001

static void must(int ok, const char *what) {
  if (!ok) {
    fprintf(stderr, "bench_core: %s failed\n", what);
    exit(1);
  }
}

/* --- the measured operations ------------------------------------------------------------------- */

struct side {
  struct turncred_ws *ws;
  struct turncred_key key;
  uint8_t raw[TURNCRED_TOKEN_MAX];
  size_t raw_len;
  char username[TURNCRED_USERNAME_MAX + 1];
  size_t username_len;

  EVP_CIPHER_CTX *cipher;
  EVP_MAC_CTX *mac;
  EVP_MD_CTX *md5;
  EVP_MD *md5_type;
  uint8_t message[1024]; /* of the HMAC */
  size_t message_len;
  uint8_t hashed[1024]; /* of MD5 */
  size_t hashed_len;
};

static void our_token(struct side *s) {
  struct turncred_token token;
  uint8_t key[20];
  int64_t deadline;

  must(turncred_token_decode(s->ws, &s->key, SERVER, s->raw, s->raw_len, &token) == TURNCRED_OK &&
           turncred_token_check_time(&token, NOW, 3600, &deadline) == TURNCRED_OK &&
           turncred_token_hmac_sha1_key(s->ws, &token, key) == TURNCRED_OK,
       "verifying a token");
  turncred_token_clear(&token);
}

static void bare_gcm(struct side *s) {
  uint8_t plain[64];
  size_t len = s->raw_len - 2 - 12 - 16;
  int n;

  must(EVP_DecryptInit_ex2(s->cipher, NULL, NULL, s->raw + 2, NULL) == 1 &&
           EVP_DecryptUpdate(s->cipher, NULL, &n, (const uint8_t *)SERVER, sizeof(SERVER) - 1) == 1 &&
           EVP_DecryptUpdate(s->cipher, plain, &n, s->raw + 14, (int)len) == 1 &&
           EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_AEAD_SET_TAG, 16, s->raw + 14 + len) == 1 &&
           EVP_DecryptFinal_ex(s->cipher, plain + n, &n) == 1,
       "AES-GCM");
}

static void bare_mac(struct side *s, uint8_t out[64]) {
  size_t n;

  must(EVP_MAC_init(s->mac, NULL, 0, NULL) == 1 && EVP_MAC_update(s->mac, s->message, s->message_len) == 1 &&
           EVP_MAC_final(s->mac, out, &n, 64) == 1,
       "HMAC");
}

static void bare_cbc(struct side *s) {
  uint8_t mac[64];
  uint8_t plain[96];
  size_t len = s->raw_len - 2 - 16 - 32;
  int n;
  int last;

  bare_mac(s, mac);
  must(CRYPTO_memcmp(mac, s->raw + 18 + len, 32) == 0 &&
           EVP_DecryptInit_ex2(s->cipher, NULL, NULL, s->raw + 2, NULL) == 1 &&
           EVP_DecryptUpdate(s->cipher, plain, &n, s->raw + 18, (int)len) == 1 &&
           EVP_DecryptFinal_ex(s->cipher, plain + n, &last) == 1,
       "AES-CBC");
}

static void our_derived(struct side *s) {
  struct turncred_username u;
  uint8_t key[TURNCRED_LONG_TERM_MD5];

  must(turncred_username_parse(s->username, s->username_len, TURNCRED_USER_ID_TIMESTAMP, &u) == TURNCRED_OK &&
           turncred_expiry_check(u.expiry, NOW, 3600) == TURNCRED_OK &&
           turncred_derived_key(s->ws, &s->key, s->username, s->username_len, &u, REALM, key) == TURNCRED_OK,
       "verifying a derived credential");
}

static void our_rest(struct side *s) {
  struct turncred_username u;
  uint8_t key[TURNCRED_LONG_TERM_MD5];

  must(turncred_username_parse(s->username, s->username_len, TURNCRED_TIMESTAMP_USER_ID, &u) == TURNCRED_OK &&
           turncred_expiry_check(u.expiry, NOW, 3600) == TURNCRED_OK &&
           turncred_rest_key(s->ws, &s->key, s->username, s->username_len, REALM, key) == TURNCRED_OK,
       "verifying a rest credential");
}

static void bare_mac_md5(struct side *s) {
  uint8_t out[64];
  unsigned n;

  bare_mac(s, out);
  must(EVP_DigestInit_ex2(s->md5, s->md5_type, NULL) == 1 && EVP_DigestUpdate(s->md5, s->hashed, s->hashed_len) == 1 &&
           EVP_DigestFinal_ex(s->md5, out, &n) == 1,
       "MD5");
}

/* --- preparation -------------------------------------------------------------------------- */

static void keyed_mac(struct side *s, const char *digest) {
  EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
  OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest, 0),
                         OSSL_PARAM_construct_end()};

  s->mac = EVP_MAC_CTX_new(mac);
  must(EVP_MAC_init(s->mac, s->key.auth, s->key.auth_len, params), "EVP_MAC_init");
  EVP_MAC_free(mac);
}

static void prepare(struct side *s, enum turncred_use use, enum turncred_alg alg) {
  static const uint8_t k[TURNCRED_KEY_MAX] = "a key";
  size_t len = turncred_key_length(use, alg, TURNCRED_DERIVATION_NONE);

  memset(s, 0, sizeof(*s));
  s->ws = turncred_ws_new(8);
  must(s->ws != NULL &&
           turncred_key_init(&s->key, use, alg, TURNCRED_DERIVATION_NONE, k, len > 0 ? len : 20) == TURNCRED_OK,
       "preparation");
}

static void prepare_token(struct side *s, enum turncred_alg alg) {
  static const uint8_t nonce[16];
  struct turncred_token token = {.mac_key_len = 20, .timestamp = (uint64_t)NOW << 16, .lifetime = 1800};
  size_t nonce_len = alg == TURNCRED_A256CBC_HS512 ? 16 : 12;
  const char *name = alg == TURNCRED_A256GCM ? "AES-256-GCM" : alg == TURNCRED_A128GCM ? "AES-128-GCM" : "AES-256-CBC";
  EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);

  prepare(s, TURNCRED_USE_TOKEN, alg);
  must(turncred_token_encode(s->ws, &s->key, SERVER, nonce, nonce_len, &token, s->raw, sizeof(s->raw), &s->raw_len) ==
           TURNCRED_OK,
       "making a token");
  s->cipher = EVP_CIPHER_CTX_new();
  must(EVP_DecryptInit_ex2(s->cipher, cipher, s->key.enc, nonce, NULL), "EVP_DecryptInit_ex2");
  EVP_CIPHER_free(cipher);
  if (alg == TURNCRED_A256CBC_HS512) {
    size_t sealed = s->raw_len - 2 - 16 - 32;
    uint8_t *p = s->message;

    keyed_mac(s, "SHA512");
    memcpy(p, SERVER, sizeof(SERVER) - 1);
    p += sizeof(SERVER) - 1;
    memcpy(p, s->raw + 2, 16 + sealed);
    p += 16 + sealed;
    memset(p, 0, 8);
    p[7] = (sizeof(SERVER) - 1) * 8;
    s->message_len = (size_t)(p + 8 - s->message);
  }
}

static void prepare_md5(struct side *s, const char *password) {
  s->md5 = EVP_MD_CTX_new();
  s->md5_type = EVP_MD_fetch(NULL, "MD5", NULL);
  s->hashed_len = (size_t)snprintf((char *)s->hashed, sizeof(s->hashed), "%s:%s:%s", s->username, REALM, password);
}

static void prepare_derived(struct side *s) {
  static const char user_id[] = "sip:alice@ims.example";
  char password[TURNCRED_PASSWORD_MAX];

  prepare(s, TURNCRED_USE_DERIVED, TURNCRED_HMAC_SHA256);
  s->username_len = (size_t)snprintf(s->username, sizeof(s->username), "%s:%lld", user_id, (long long)NOW + 1800);
  must(turncred_derived_password(s->ws, &s->key, user_id, sizeof(user_id) - 1, REALM, NOW + 1800, password) ==
           TURNCRED_OK,
       "deriving");
  keyed_mac(s, "SHA256");
  /* as long as the real message; its contents do not matter for the time */
  s->message_len = 20 + 2 + sizeof(user_id) - 1 + 2 + sizeof(REALM) - 1 + 8;
  prepare_md5(s, password);
}

static void prepare_rest(struct side *s, enum turncred_alg alg) {
  char password[TURNCRED_PASSWORD_MAX];
  char digest[16];

  prepare(s, TURNCRED_USE_REST, alg);
  s->username_len = (size_t)snprintf(s->username, sizeof(s->username), "%lld:alice", (long long)NOW + 1800);
  must(turncred_rest_password(s->ws, &s->key, s->username, s->username_len, password) == TURNCRED_OK, "rest password");
  snprintf(digest, sizeof(digest), "%s", turncred_alg_name(alg));
  keyed_mac(s, digest);
  s->message_len = s->username_len;
  memcpy(s->message, s->username, s->message_len);
  prepare_md5(s, password);
}

static void finish(struct side *s) {
  turncred_ws_free(s->ws);
  EVP_CIPHER_CTX_free(s->cipher);
  EVP_MAC_CTX_free(s->mac);
  EVP_MD_CTX_free(s->md5);
  EVP_MD_free(s->md5_type);
}

/* --- measuring ------------------------------------------------------------------------------ */

static double time_of(void (*run)(struct side *), struct side *s, long operations) {
  struct timespec a;
  struct timespec b;
  long i;

  clock_gettime(CLOCK_MONOTONIC, &a);
  for (i = 0; i < operations; i++) {
    run(s);
  }
  clock_gettime(CLOCK_MONOTONIC, &b);
  return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / (double)operations;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a;
  double y = *(const double *)b;

  return (x > y) - (x < y);
}

static double quantile(const double *sorted, int n, double q) { return sorted[(int)(q * (n - 1))]; }

static void compare(const char *name, void (*ours)(struct side *), void (*bare)(struct side *), struct side *s,
                    int rounds, long operations) {
  static double our_ns[ROUND_MAX];
  static double bare_ns[ROUND_MAX];
  static double ratio[ROUND_MAX];
  long before;
  int i;

  time_of(ours, s, operations / 10 + 1);
  time_of(bare, s, operations / 10 + 1);
  before = allocations;
  time_of(ours, s, 100);
  before = allocations - before;
  for (i = 0; i < rounds; i++) {
    if (i % 2 == 0) {
      our_ns[i] = time_of(ours, s, operations);
      bare_ns[i] = time_of(bare, s, operations);
    } else {
      bare_ns[i] = time_of(bare, s, operations);
      our_ns[i] = time_of(ours, s, operations);
    }
    ratio[i] = our_ns[i] / bare_ns[i];
  }
  qsort(our_ns, (size_t)rounds, sizeof(double), ascending);
  qsort(bare_ns, (size_t)rounds, sizeof(double), ascending);
  qsort(ratio, (size_t)rounds, sizeof(double), ascending);
  printf("%-22s %8.0f %8.0f %8.2f   %5.2f to %5.2f %11.2f\n", name, quantile(our_ns, rounds, 0.5),
         quantile(bare_ns, rounds, 0.5), quantile(ratio, rounds, 0.5), quantile(ratio, rounds, 0.25),
         quantile(ratio, rounds, 0.75), (double)before / 100);
  finish(s);
}

int main(int argc, char **argv) {
  static const enum turncred_alg rest[] = {TURNCRED_HMAC_SHA1, TURNCRED_HMAC_SHA256, TURNCRED_HMAC_SHA384,
                                           TURNCRED_HMAC_SHA512};
  int rounds = argc > 1 ? atoi(argv[1]) : 31;
  long operations = argc > 2 ? atol(argv[2]) : 50000;
  struct side s;
  size_t i;

  if (rounds < 1 || rounds > ROUND_MAX || operations < 1) {
    fprintf(stderr, "usage: bench_core [ROUNDS (1 to %d) [OPERATIONS]]\n", ROUND_MAX);
    return 2;
  }
  must(count_allocations(), "counting");
  printf("%s; %d rounds of %ld\n", OpenSSL_version(OPENSSL_VERSION), rounds, operations);
  printf("%-22s %8s %8s %8s   %14s %11s\n", "verify", "ours ns", "bare ns", "ratio", "quartiles", "allocations");
  prepare_token(&s, TURNCRED_A256GCM);
  compare("token A256GCM", our_token, bare_gcm, &s, rounds, operations);
  prepare_token(&s, TURNCRED_A128GCM);
  compare("token A128GCM", our_token, bare_gcm, &s, rounds, operations);
  prepare_token(&s, TURNCRED_A256CBC_HS512);
  compare("token A256CBC-HS512", our_token, bare_cbc, &s, rounds, operations);
  prepare_derived(&s);
  compare("derived", our_derived, bare_mac_md5, &s, rounds, operations);
  for (i = 0; i < 4; i++) {
    char name[32];

    prepare_rest(&s, rest[i]);
    snprintf(name, sizeof(name), "rest %s", turncred_alg_name(rest[i]));
    compare(name, our_rest, bare_mac_md5, &s, rounds, operations);
  }
  return 0;
}
