/*
 * test_core_token.c - tokens: what is refused, the time rules, keys, workspaces
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core/core.h"
#include "testing.h"

#include <openssl/err.h>

#define SERVER "turn.example.net"

static struct turncred_ws *ws;

/* Every way to protect a token. */
static const struct kind {
  enum turncred_alg alg;
  enum turncred_derivation derivation;
  size_t nonce_len;
  uint16_t mac_key_len;
} kinds[] = {
    {TURNCRED_A256GCM, TURNCRED_DERIVATION_NONE, 12, 20},
    {TURNCRED_A256GCM, TURNCRED_DERIVATION_HKDF_SHA256, 12, 32},
    {TURNCRED_A128GCM, TURNCRED_DERIVATION_NONE, 12, 32},
    {TURNCRED_A128GCM, TURNCRED_DERIVATION_HKDF_SHA256, 12, 20},
    {TURNCRED_A256CBC_HS512, TURNCRED_DERIVATION_NONE, 16, 20},
    {TURNCRED_A256CBC_HS512, TURNCRED_DERIVATION_HKDF_SHA256, 16, 32},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct turncred_token a_token(uint16_t mac_key_len) {
  struct turncred_token token = {.mac_key_len = mac_key_len, .timestamp = UINT64_C(1764000000) << 16, .lifetime = 1800};

  memset(token.mac_key, 0x5c, mac_key_len);
  return token;
}

static struct octets make(const struct turncred_key *key, size_t nonce_len, const struct turncred_token *token) {
  static const uint8_t nonce[16] = "nonce nonce nonc";
  struct octets o = {{0}, 0};

  assert_int_equal(turncred_token_encode(ws, key, SERVER, nonce, nonce_len, token, o.data, TURNCRED_TOKEN_MAX, &o.len),
                   TURNCRED_OK);
  return o;
}

static void assert_refused(const struct turncred_key *key, const uint8_t *in, size_t len) {
  struct turncred_token token;

  memset(&token, 0xaa, sizeof(token));
  assert_int_equal(turncred_token_decode(ws, key, SERVER, in, len, &token), TURNCRED_BAD_TOKEN);
  assert_true(is_zero(&token, sizeof(token)));
}

static void round_trip(void **state) {
  size_t i;

  (void)state;
  for (i = 0; i < KINDS; i++) {
    struct turncred_key key = a_key(TURNCRED_USE_TOKEN, kinds[i].alg, kinds[i].derivation, 1);
    struct turncred_token in = a_token(kinds[i].mac_key_len);
    struct turncred_token out;
    struct octets raw = make(&key, kinds[i].nonce_len, &in);

    assert_int_equal(turncred_token_decode(ws, &key, SERVER, raw.data, raw.len, &out), TURNCRED_OK);
    assert_int_equal(out.mac_key_len, in.mac_key_len);
    assert_memory_equal(out.mac_key, in.mac_key, in.mac_key_len);
    assert_int_equal(out.timestamp, in.timestamp);
    assert_int_equal(out.lifetime, in.lifetime);
  }
}

static void every_truncation_is_refused(void **state) {
  size_t i;
  size_t len;

  (void)state;
  for (i = 0; i < KINDS; i++) {
    struct turncred_key key = a_key(TURNCRED_USE_TOKEN, kinds[i].alg, kinds[i].derivation, 2);
    struct turncred_token token = a_token(kinds[i].mac_key_len);
    struct octets raw = make(&key, kinds[i].nonce_len, &token);

    for (len = 0; len < raw.len; len++) {
      uint8_t *exact = test_malloc(len + 1); /* so that valgrind sees a read beyond the end */

      memcpy(exact + 1, raw.data, len);
      assert_refused(&key, exact + 1, len);
      test_free(exact);
    }
  }
}

static void every_flipped_bit_is_refused(void **state) {
  size_t i;
  size_t bit;

  (void)state;
  for (i = 0; i < KINDS; i++) {
    struct turncred_key key = a_key(TURNCRED_USE_TOKEN, kinds[i].alg, kinds[i].derivation, 3);
    struct turncred_token token = a_token(kinds[i].mac_key_len);
    struct octets raw = make(&key, kinds[i].nonce_len, &token);

    key.allow_zero_iv = 1;
    for (bit = 0; bit < raw.len * 8; bit++) {
      raw.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
      assert_refused(&key, raw.data, raw.len);
      raw.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
  }
}

static void longer_ones_are_refused(void **state) {
  size_t i;
  size_t len;

  (void)state;
  for (i = 0; i < KINDS; i++) {
    struct turncred_key key = a_key(TURNCRED_USE_TOKEN, kinds[i].alg, kinds[i].derivation, 4);
    struct turncred_token token = a_token(kinds[i].mac_key_len);
    struct octets raw = make(&key, kinds[i].nonce_len, &token);

    for (len = raw.len + 1; len <= sizeof(raw.data); len++) {
      assert_refused(&key, raw.data, len);
    }
  }
  {
    static uint8_t huge[1 << 20];
    struct turncred_key key = a_key(TURNCRED_USE_TOKEN, TURNCRED_A256GCM, TURNCRED_DERIVATION_NONE, 4);

    for (i = 0; i < 65536; i += 257) {
      huge[0] = (uint8_t)(i >> 8);
      huge[1] = (uint8_t)i;
      assert_refused(&key, huge, sizeof(huge));
      assert_refused(&key, huge, 65535);
    }
  }
}

/* Seals any plaintext under the right key, as a faulty or hostile issuer could. */
static struct octets seal(const struct kind *kind, const struct turncred_key *key, const uint8_t *plain, size_t len) {
  struct octets o = {{0}, 0};
  struct tc_aead a = {.ws = ws,
                      .key = key,
                      .nonce = o.data + 2,
                      .nonce_len = kind->nonce_len,
                      .aad = (const uint8_t *)SERVER,
                      .aad_len = strlen(SERVER)};

  tc_put16(o.data, (uint16_t)kind->nonce_len);
  assert_true(tc_aead_seal(&a, plain, len, o.data + 2 + kind->nonce_len));
  o.len = 2 + kind->nonce_len + tc_aead_sealed_len(key->alg, len);
  return o;
}

static void authentic_nonsense_is_refused(void **state) {
  uint8_t plain[64];
  size_t i;
  size_t len;
  size_t key_length;

  (void)state;
  memset(plain, 1, sizeof(plain));
  for (i = 0; i < KINDS; i++) {
    struct turncred_key key = a_key(TURNCRED_USE_TOKEN, kinds[i].alg, kinds[i].derivation, 5);

    for (len = 0; len <= sizeof(plain); len++) {
      for (key_length = 0; key_length <= 70; key_length++) {
        struct octets raw;
        struct turncred_token token;

        tc_put16(plain, (uint16_t)key_length);
        raw = seal(&kinds[i], &key, plain, len);
        if ((key_length == 20 || key_length == 32) && len == key_length + 14) {
          assert_int_equal(turncred_token_decode(ws, &key, SERVER, raw.data, raw.len, &token), TURNCRED_OK);
        } else {
          assert_refused(&key, raw.data, raw.len);
        }
      }
    }
  }
}

/* A right tag over a block that ends in anything: only PKCS 7 padding is taken. */
static void cbc_padding(void **state) {
  const struct kind *kind = &kinds[4];
  struct turncred_key key = a_key(TURNCRED_USE_TOKEN, kind->alg, kind->derivation, 6);
  uint8_t plain[48];
  int last;
  int accepted = 0;

  (void)state;
  for (last = 0; last < 3 * 256; last++) {
    struct octets raw = {{0, 16}, 2 + 16 + 48 + 32};
    struct tc_part parts[4];
    struct turncred_token token;
    uint8_t bits[8];
    uint8_t mac[TC_DIGEST_MAX];
    EVP_CIPHER_CTX *ctx = tc_ws_cipher(ws, &key, true);
    int n;

    memset(plain, 0, sizeof(plain));
    plain[1] = 20;
    memset(plain + 34, last / 2, 14);
    plain[40] = (uint8_t)(plain[40] ^ last % 2); /* every second one is uneven */
    if (last >= 2 * 256) {
      memset(plain, last % 256, sizeof(plain)); /* padding that would begin before the block */
    }
    assert_int_equal(EVP_EncryptInit_ex2(ctx, NULL, NULL, raw.data + 2, NULL), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, raw.data + 18, &n, plain, sizeof(plain)), 1);
    tc_put64(bits, strlen(SERVER) * 8);
    parts[0] = (struct tc_part){SERVER, strlen(SERVER)};
    parts[1] = (struct tc_part){raw.data + 2, 16};
    parts[2] = (struct tc_part){raw.data + 18, 48};
    parts[3] = (struct tc_part){bits, 8};
    assert_true(tc_hmac(ws, TC_SHA512, key.auth, key.auth_len, parts, 4, mac, NULL));
    memcpy(raw.data + 66, mac, TC_CBC_TAG);
    if (last == 2 * 14) {
      assert_int_equal(turncred_token_decode(ws, &key, SERVER, raw.data, raw.len, &token), TURNCRED_OK);
      accepted++;
    } else {
      assert_refused(&key, raw.data, raw.len);
    }
  }
  assert_int_equal(accepted, 1);
}

static void nonce_lengths(void **state) {
  static const uint8_t nonce[64];
  size_t i;
  size_t n;

  (void)state;
  for (i = 0; i < KINDS; i++) {
    struct turncred_key key = a_key(TURNCRED_USE_TOKEN, kinds[i].alg, kinds[i].derivation, 5);
    struct turncred_token token = a_token(kinds[i].mac_key_len);
    uint8_t out[256];
    size_t out_len;

    for (n = 0; n <= sizeof(nonce); n++) {
      assert_int_equal(turncred_token_encode(ws, &key, SERVER, nonce, n, &token, out, sizeof(out), &out_len),
                       n == kinds[i].nonce_len ? TURNCRED_OK : TURNCRED_BAD_ARGUMENT);
    }
    /* a GCM key does not take RFC 7635's CBC form, whatever the row says */
    key.allow_zero_iv = 1;
    assert_int_equal(turncred_token_encode(ws, &key, SERVER, nonce, 0, &token, out, sizeof(out), &out_len),
                     kinds[i].alg == TURNCRED_A256CBC_HS512 ? TURNCRED_OK : TURNCRED_BAD_ARGUMENT);
  }
}

static void other_keys_and_names_are_refused(void **state) {
  size_t i;

  (void)state;
  for (i = 0; i < KINDS; i++) {
    struct turncred_key key = a_key(TURNCRED_USE_TOKEN, kinds[i].alg, kinds[i].derivation, 6);
    struct turncred_key other = a_key(TURNCRED_USE_TOKEN, kinds[i].alg, kinds[i].derivation, 7);
    struct turncred_token token = a_token(kinds[i].mac_key_len);
    struct octets raw = make(&key, kinds[i].nonce_len, &token);

    assert_refused(&other, raw.data, raw.len);
    assert_int_equal(turncred_token_decode(ws, &key, "turn.example.ne", raw.data, raw.len, &token), TURNCRED_BAD_TOKEN);
    assert_int_equal(turncred_token_decode(ws, &key, "turn.example.nett", raw.data, raw.len, &token),
                     TURNCRED_BAD_TOKEN);
    assert_int_equal(turncred_token_decode(ws, &key, "TURN.example.net", raw.data, raw.len, &token),
                     TURNCRED_BAD_TOKEN);
  }
}

static void caller_mistakes(void **state) {
  struct turncred_key key = a_key(TURNCRED_USE_TOKEN, TURNCRED_A256GCM, TURNCRED_DERIVATION_NONE, 8);
  struct turncred_key rest = a_key(TURNCRED_USE_REST, TURNCRED_HMAC_SHA1, TURNCRED_DERIVATION_NONE, 8);
  struct turncred_key unset;
  struct turncred_token token = a_token(20);
  struct turncred_token odd = a_token(20);
  struct octets raw = make(&key, 12, &token);
  char name[TURNCRED_SERVER_NAME_MAX + 2];
  uint8_t out[TURNCRED_TOKEN_MAX];
  uint8_t sha1[20];
  char hex[33];
  size_t len;
  size_t cap;

  (void)state;
  memset(&unset, 0, sizeof(unset));
  memset(name, 'a', sizeof(name));
  name[sizeof(name) - 1] = '\0';
  assert_int_equal(turncred_token_decode(NULL, &key, SERVER, raw.data, raw.len, &token), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_token_decode(ws, NULL, SERVER, raw.data, raw.len, &token), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_token_decode(ws, &key, NULL, raw.data, raw.len, &token), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_token_decode(ws, &key, "", raw.data, raw.len, &token), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_token_decode(ws, &key, name, raw.data, raw.len, &token), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_token_decode(ws, &key, SERVER, NULL, 1, &token), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_token_decode(ws, &key, SERVER, raw.data, raw.len, NULL), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_token_decode(ws, &key, SERVER, NULL, 0, &token), TURNCRED_BAD_TOKEN);
  assert_int_equal(turncred_token_decode(ws, &rest, SERVER, raw.data, raw.len, &token), TURNCRED_BAD_KEY);
  assert_int_equal(turncred_token_decode(ws, &unset, SERVER, raw.data, raw.len, &token), TURNCRED_BAD_KEY);

  token = a_token(20);
  name[TURNCRED_SERVER_NAME_MAX] = '\0';
  assert_int_equal(turncred_token_encode(ws, &key, name, raw.data, 12, &token, out, sizeof(out), &len), TURNCRED_OK);
  for (cap = 0; cap < raw.len; cap++) {
    memset(out, 0xaa, sizeof(out));
    assert_int_equal(turncred_token_encode(ws, &key, SERVER, raw.data, 12, &token, out, cap, &len), TURNCRED_NO_SPACE);
    assert_int_equal(out[0], 0xaa);
  }
  for (odd.mac_key_len = 0; odd.mac_key_len < 100; odd.mac_key_len++) {
    enum turncred_err want = odd.mac_key_len == 20 || odd.mac_key_len == 32 ? TURNCRED_OK : TURNCRED_BAD_ARGUMENT;

    assert_int_equal(turncred_token_encode(ws, &key, SERVER, raw.data, 12, &odd, out, sizeof(out), &len), want);
    assert_int_equal(turncred_token_hmac_sha1_key(NULL, &odd, sha1), want);
  }
  assert_int_equal(turncred_token_hmac_sha1_key(NULL, NULL, sha1), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_token_fingerprint(NULL, NULL, 1, hex), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_token_fingerprint(NULL, raw.data, raw.len, NULL), TURNCRED_BAD_ARGUMENT);
}

/* RFC 7635 section 7, seconds s and fraction f of the timestamp */
static enum turncred_err check(uint64_t s, uint16_t f, uint32_t lifetime, int64_t now, uint32_t max_ttl,
                               int64_t *deadline) {
  struct turncred_token token = {.mac_key_len = 20, .timestamp = s << 16 | f, .lifetime = lifetime};

  *deadline = -1;
  return turncred_token_check_time(&token, now, max_ttl, deadline);
}

static void time_borders(void **state) {
  const uint64_t s = 1764000000;
  const int64_t t = 1764000000;
  int64_t d;

  (void)state;
  assert_int_equal(check(s, 0, 100, t, 3600, &d), TURNCRED_OK);
  assert_int_equal(d, t + 105);
  /* late: 105 > age */
  assert_int_equal(check(s, 0, 100, t + 104, 3600, &d), TURNCRED_OK);
  assert_int_equal(check(s, 0, 100, t + 105, 3600, &d), TURNCRED_EXPIRED);
  assert_int_equal(d, -1);
  /* one 65536th younger */
  assert_int_equal(check(s, 1, 100, t + 105, 3600, &d), TURNCRED_OK);
  assert_int_equal(d, t + 105);
  assert_int_equal(check(s, 65535, 100, t + 105, 3600, &d), TURNCRED_OK);
  assert_int_equal(check(s, 65535, 100, t + 106, 3600, &d), TURNCRED_EXPIRED);
  /* early: 105 > time ahead */
  assert_int_equal(check(s, 0, 100, t - 104, 3600, &d), TURNCRED_OK);
  assert_int_equal(check(s, 65535, 100, t - 104, 3600, &d), TURNCRED_OK);
  assert_int_equal(check(s, 0, 100, t - 105, 3600, &d), TURNCRED_NOT_YET_VALID);
  assert_int_equal(d, -1);
  assert_int_equal(check(s, 1, 100, t - 105, 3600, &d), TURNCRED_NOT_YET_VALID);
}

static void lifetime_borders(void **state) {
  const uint64_t s = 1764000000;
  const int64_t t = 1764000000;
  int64_t d;

  (void)state;
  assert_int_equal(check(s, 0, 0, t, 3600, &d), TURNCRED_LIFETIME_REFUSED);
  assert_int_equal(check(s, 0, 0, t, 0, &d), TURNCRED_LIFETIME_REFUSED);
  assert_int_equal(check(s, 0, 3600, t, 3600, &d), TURNCRED_OK);
  assert_int_equal(check(s, 0, 3601, t, 3600, &d), TURNCRED_LIFETIME_REFUSED);
  assert_int_equal(check(s, 0, 1, t, 0, &d), TURNCRED_LIFETIME_REFUSED);
  assert_int_equal(check(s, 0, UINT32_MAX, t, UINT32_MAX, &d), TURNCRED_OK);
  assert_int_equal(d, t + INT64_C(4294967300));
  /* lifetime + 5 does not wrap at 2^32 */
  assert_int_equal(check(s, 0, UINT32_MAX, t + INT64_C(4294967299), UINT32_MAX, &d), TURNCRED_OK);
  assert_int_equal(check(s, 0, UINT32_MAX, t + INT64_C(4294967300), UINT32_MAX, &d), TURNCRED_EXPIRED);
  assert_int_equal(turncred_token_check_time(NULL, t, 1, &d), TURNCRED_BAD_ARGUMENT);
}

static void times_do_not_wrap(void **state) {
  const uint64_t top = (UINT64_C(1) << 48) - 1;
  int64_t d;

  (void)state;
  /* 2^32 apart is not the same time */
  assert_int_equal(check(1764000000, 0, 100, INT64_C(1764000000) + (INT64_C(1) << 32), 3600, &d), TURNCRED_EXPIRED);
  assert_int_equal(check(UINT64_C(1764000000) + (UINT64_C(1) << 32), 0, 100, 1764000000, 3600, &d),
                   TURNCRED_NOT_YET_VALID);
  /* around 2^32 */
  assert_int_equal(check((UINT64_C(1) << 32) - 1, 0, 100, (INT64_C(1) << 32) + 103, 3600, &d), TURNCRED_OK);
  assert_int_equal(d, (INT64_C(1) << 32) + 104);
  assert_int_equal(check((UINT64_C(1) << 32) - 1, 0, 100, (INT64_C(1) << 32) + 104, 3600, &d), TURNCRED_EXPIRED);
  /* the largest timestamp */
  assert_int_equal(check(top, 65535, UINT32_MAX, (int64_t)top, UINT32_MAX, &d), TURNCRED_OK);
  assert_int_equal(d, (int64_t)top + INT64_C(4294967300));
  assert_int_equal(check(top, 0, 100, 1764000000, 3600, &d), TURNCRED_NOT_YET_VALID);
  assert_int_equal(check(top, 0, 100, (INT64_C(1) << 48) + 103, 3600, &d), TURNCRED_OK);
  assert_int_equal(check(0, 0, 100, INT64_C(1) << 48, 3600, &d), TURNCRED_EXPIRED);
  /* clocks that are out of their mind */
  assert_int_equal(check(0, 0, 100, INT64_MAX, UINT32_MAX, &d), TURNCRED_EXPIRED);
  assert_int_equal(check(top, 65535, 100, INT64_MIN, UINT32_MAX, &d), TURNCRED_NOT_YET_VALID);
  assert_int_equal(check(0, 0, 100, -104, 3600, &d), TURNCRED_OK);
  assert_int_equal(check(0, 0, 100, -105, 3600, &d), TURNCRED_NOT_YET_VALID);
}

static void key_lengths(void **state) {
  static const enum turncred_use uses[] = {TURNCRED_USE_TOKEN, TURNCRED_USE_DERIVED, TURNCRED_USE_REST,
                                           TURNCRED_USE_TAG};
  uint8_t k[TURNCRED_KEY_MAX + 8];
  size_t u;
  int alg;
  int derivation;
  size_t len;
  int combinations = 0;

  (void)state;
  memset(k, 0x77, sizeof(k));
  for (u = 0; u < sizeof(uses) / sizeof(*uses); u++) {
    for (alg = -1; alg <= TURNCRED_HMAC_SHA512 + 1; alg++) {
      for (derivation = -1; derivation <= 2; derivation++) {
        size_t need = turncred_key_length(uses[u], (enum turncred_alg)alg, (enum turncred_derivation)derivation);
        struct turncred_key key;
        int known = need > 0 || (uses[u] == TURNCRED_USE_REST && alg >= TURNCRED_HMAC_SHA1 &&
                                 alg <= TURNCRED_HMAC_SHA512 && derivation == 0);

        combinations += known;
        for (len = 0; len <= sizeof(k); len++) {
          enum turncred_err want = TURNCRED_BAD_KEY;
          enum turncred_err got;

          memset(&key, 0xaa, sizeof(key));
          if (!known) {
            want = TURNCRED_BAD_ALGORITHM;
          } else if (need > 0 ? len == need : len >= 1) {
            want = TURNCRED_OK;
          }
          got = turncred_key_init(&key, uses[u], (enum turncred_alg)alg, (enum turncred_derivation)derivation, k, len);
          assert_int_equal(got, want);
          if (got != TURNCRED_OK) {
            assert_true(is_zero(&key, sizeof(key)));
          }
        }
      }
    }
  }
  assert_int_equal(combinations, 6 + 1 + 4 + 1);
  assert_int_equal(turncred_key_length(TURNCRED_USE_TOKEN, TURNCRED_A256CBC_HS512, TURNCRED_DERIVATION_NONE), 64);
  assert_int_equal(turncred_key_length(TURNCRED_USE_TOKEN, TURNCRED_A128GCM, TURNCRED_DERIVATION_NONE), 16);
  assert_int_equal(turncred_key_init(NULL, TURNCRED_USE_TOKEN, TURNCRED_A256GCM, TURNCRED_DERIVATION_NONE, k, 32),
                   TURNCRED_BAD_ARGUMENT);
  {
    struct turncred_key key;

    assert_int_equal(turncred_key_init(&key, TURNCRED_USE_TOKEN, TURNCRED_A256GCM, TURNCRED_DERIVATION_NONE, NULL, 32),
                     TURNCRED_BAD_ARGUMENT);
    key = a_key(TURNCRED_USE_TOKEN, TURNCRED_A256GCM, TURNCRED_DERIVATION_NONE, 1);
    turncred_key_clear(&key);
    assert_true(is_zero(&key, sizeof(key)));
    turncred_key_clear(NULL);
    turncred_token_clear(NULL);
  }
}

/* Whatever the number of slots, and however keys and directions alternate, results are the same. */
static void workspaces_of_any_size(void **state) {
  static const size_t sizes[] = {0, 1, 2, 3, 16};
  uint32_t seed = 20240607;
  size_t s;
  int round;

  (void)state;
  for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
    struct turncred_ws *w = turncred_ws_new(sizes[s]);

    assert_non_null(w);
    for (round = 0; round < 2000; round++) {
      const struct kind *kind = &kinds[next_random(&seed) % KINDS];
      struct turncred_key key =
          a_key(TURNCRED_USE_TOKEN, kind->alg, kind->derivation, (uint8_t)(next_random(&seed) % 9));
      struct turncred_token token = a_token(kind->mac_key_len);
      struct turncred_token back;
      struct octets raw = make(&key, kind->nonce_len, &token);
      uint8_t again[TURNCRED_TOKEN_MAX];
      size_t len = 0;

      if (round % 3 == 0) {
        assert_int_equal(
            turncred_token_encode(w, &key, SERVER, raw.data + 2, kind->nonce_len, &token, again, sizeof(again), &len),
            TURNCRED_OK);
        assert_octets(again, len, &raw);
      }
      assert_int_equal(turncred_token_decode(w, &key, SERVER, raw.data, raw.len, &back), TURNCRED_OK);
      assert_memory_equal(back.mac_key, token.mac_key, token.mac_key_len);
      raw.data[raw.len - 1] ^= 1; /* a refusal leaves the slot usable */
      assert_int_equal(turncred_token_decode(w, &key, SERVER, raw.data, raw.len, &back), TURNCRED_BAD_TOKEN);
    }
    turncred_ws_free(w);
  }
  turncred_ws_free(NULL);
}

/* TLS code of the same thread asks the error queue: refusals leave no trace in it. */
static void error_queue_is_left_alone(void **state) {
  size_t i;

  (void)state;
  ERR_clear_error();
  ERR_raise(ERR_LIB_USER, 7);
  for (i = 0; i < KINDS; i++) {
    struct turncred_key key = a_key(TURNCRED_USE_TOKEN, kinds[i].alg, kinds[i].derivation, 9);
    struct turncred_token token = a_token(kinds[i].mac_key_len);
    struct octets raw = make(&key, kinds[i].nonce_len, &token);

    raw.data[20] ^= 1;
    assert_refused(&key, raw.data, raw.len);
  }
  assert_int_equal(ERR_GET_REASON(ERR_get_error()), 7);
  assert_int_equal(ERR_peek_error(), 0);
}

static void names_of_tokens_and_subjects(void **state) {
  static const uint8_t k[32] = "key key key key key key key key";
  uint8_t a[TURNCRED_SUBJECT_TAG];
  uint8_t b[TURNCRED_SUBJECT_TAG];
  uint8_t other_k[32];
  char hex[33];
  /* calculated with an independent implementation, see tests/conformance/check_core.py */
  static const uint8_t alice[TURNCRED_SUBJECT_TAG] = {0x95, 0x7f, 0x83, 0x7b};

  (void)state;
  memcpy(other_k, k, sizeof(k));
  other_k[31] ^= 1;
  assert_int_equal(turncred_subject_tag(k, sizeof(k), "alice", a), TURNCRED_OK);
  assert_memory_equal(a, alice, sizeof(a));
  assert_int_equal(turncred_subject_tag(k, sizeof(k), "alicf", b), TURNCRED_OK);
  assert_memory_not_equal(a, b, sizeof(a));
  assert_int_equal(turncred_subject_tag(other_k, sizeof(k), "alice", b), TURNCRED_OK);
  assert_memory_not_equal(a, b, sizeof(a));
  assert_int_equal(turncred_subject_tag(k, 0, "alice", b), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_subject_tag(k, TURNCRED_KEY_MAX + 1, "alice", b), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_subject_tag(NULL, 32, "alice", b), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_subject_tag(k, 32, NULL, b), TURNCRED_BAD_ARGUMENT);

  /* SHA-256 of nothing and of "abc" */
  assert_int_equal(turncred_token_fingerprint(NULL, NULL, 0, hex), TURNCRED_OK);
  assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb924");
  assert_int_equal(turncred_token_fingerprint(NULL, (const uint8_t *)"abc", 3, hex), TURNCRED_OK);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223");
  assert_int_equal(turncred_token_fingerprint(ws, (const uint8_t *)"abc", 3, hex), TURNCRED_OK);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223");
}

static int setup(void **state) {
  (void)state;
  ws = turncred_ws_new(4);
  return ws == NULL;
}

static int teardown(void **state) {
  (void)state;
  turncred_ws_free(ws);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip),
                                     cmocka_unit_test(every_truncation_is_refused),
                                     cmocka_unit_test(every_flipped_bit_is_refused),
                                     cmocka_unit_test(longer_ones_are_refused),
                                     cmocka_unit_test(authentic_nonsense_is_refused),
                                     cmocka_unit_test(cbc_padding),
                                     cmocka_unit_test(nonce_lengths),
                                     cmocka_unit_test(other_keys_and_names_are_refused),
                                     cmocka_unit_test(caller_mistakes),
                                     cmocka_unit_test(time_borders),
                                     cmocka_unit_test(lifetime_borders),
                                     cmocka_unit_test(times_do_not_wrap),
                                     cmocka_unit_test(key_lengths),
                                     cmocka_unit_test(workspaces_of_any_size),
                                     cmocka_unit_test(error_queue_is_left_alone),
                                     cmocka_unit_test(names_of_tokens_and_subjects)};

  return cmocka_run_group_tests_name("core tokens", tests, setup, teardown);
}
