/*
 * test_core_vectors.c - every entry of tests/conformance/vectors.json
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "vectors.h"

#include <openssl/evp.h>

static json_t *root;
static struct turncred_ws *ws;

static const json_t *section(const char *name) {
  const json_t *s = json_object_get(root, name);

  if (s == NULL || (json_is_array(s) && json_array_size(s) == 0)) {
    fail_msg("vectors.json has no %s", name);
  }
  return s;
}

/* A new section must not be passed over in silence. */
static void every_section_is_known(void **state) {
  static const char *const known[] = {"_",
                                      "rfc7635_appendix_A",
                                      "rfc3394_4_6",
                                      "rfc5649_6_1",
                                      "rfc8489_9_2_2_md5",
                                      "tokens",
                                      "tokens_refused",
                                      "derived",
                                      "rest",
                                      "derived_usernames_refused",
                                      "key_wrap_rfc5649"};
  const char *name;
  json_t *value;

  (void)state;
  json_object_foreach(root, name, value) {
    size_t i;

    for (i = 0; i < sizeof(known) / sizeof(known[0]) && strcmp(known[i], name) != 0; i++) {
    }
    if (i == sizeof(known) / sizeof(known[0])) {
      fail_msg("vectors.json has a section that this test does not know: %s", name);
    }
  }
}

static struct turncred_key key_of(const json_t *v) {
  struct octets k = vec_hex(v, "K");
  struct turncred_key key;
  enum turncred_alg alg;
  enum turncred_derivation derivation;

  assert_int_equal(turncred_alg_parse(vec_string(v, "algorithm"), &alg), TURNCRED_OK);
  assert_int_equal(turncred_derivation_parse(vec_string(v, "derivation"), &derivation), TURNCRED_OK);
  assert_int_equal(turncred_key_init(&key, TURNCRED_USE_TOKEN, alg, derivation, k.data, k.len), TURNCRED_OK);
  return key;
}

static void check_decodes(const struct turncred_key *key, const char *server_name, const struct octets *raw,
                          const struct octets *mac_key, int64_t timestamp, int64_t lifetime) {
  struct turncred_token token;

  assert_int_equal(turncred_token_decode(ws, key, server_name, raw->data, raw->len, &token), TURNCRED_OK);
  assert_octets(token.mac_key, token.mac_key_len, mac_key);
  assert_int_equal(token.timestamp, timestamp);
  assert_int_equal(token.lifetime, lifetime);
}

/* With the nonce that the token shows, encoding gives the token. */
static void check_encodes(const struct turncred_key *key, const char *server_name, const struct octets *raw,
                          const struct octets *mac_key, int64_t timestamp, int64_t lifetime) {
  struct turncred_token token = {
      .mac_key_len = (uint16_t)mac_key->len, .timestamp = (uint64_t)timestamp, .lifetime = (uint32_t)lifetime};
  size_t nonce_len = (size_t)raw->data[0] * 256 + raw->data[1];
  uint8_t out[TURNCRED_TOKEN_MAX];
  size_t out_len = 0;

  memcpy(token.mac_key, mac_key->data, mac_key->len);
  assert_int_equal(
      turncred_token_encode(ws, key, server_name, raw->data + 2, nonce_len, &token, out, sizeof(out), &out_len),
      TURNCRED_OK);
  assert_octets(out, out_len, raw);
}

static void rfc7635_appendix_a(void **state) {
  const json_t *v = section("rfc7635_appendix_A");
  static const char *const names[] = {"A256GCM", "A128GCM"};
  struct octets k = vec_hex(v, "K_hex");
  struct octets mac_key = vec_hex(v, "mac_key_hex");
  const char *server_name = vec_string(v, "server_name_AAD");
  size_t i;

  (void)state;
  assert_int_equal(vec_int(v, "timestamp") >> 16, vec_int(v, "timestamp_seconds"));
  for (i = 0; i < 2; i++) {
    const json_t *t = json_object_get(v, names[i]);
    struct octets raw = vec_hex(t, "token_hex");
    struct turncred_key key;
    enum turncred_alg alg;
    char base64[TURNCRED_TOKEN_BASE64_MAX];
    uint8_t back[TURNCRED_TOKEN_MAX];
    size_t back_len = 0;

    assert_int_equal(turncred_alg_parse(names[i], &alg), TURNCRED_OK);
    assert_int_equal(turncred_key_init(&key, TURNCRED_USE_TOKEN, alg, TURNCRED_DERIVATION_NONE, k.data,
                                       alg == TURNCRED_A128GCM ? 16 : k.len),
                     TURNCRED_OK);
    check_decodes(&key, server_name, &raw, &mac_key, vec_int(v, "timestamp"), vec_int(v, "lifetime"));
    check_encodes(&key, server_name, &raw, &mac_key, vec_int(v, "timestamp"), vec_int(v, "lifetime"));
    assert_int_equal(turncred_base64_encode(raw.data, raw.len, base64, sizeof(base64)), TURNCRED_OK);
    assert_string_equal(base64, vec_string(t, "token_base64"));
    assert_int_equal(turncred_base64_decode(base64, strlen(base64), back, sizeof(back), &back_len), TURNCRED_OK);
    assert_octets(back, back_len, &raw);
  }
}

static void wrap_with(const json_t *v, const EVP_CIPHER *cipher, size_t kek_len) {
  struct octets kek = vec_hex(v, "kek");
  struct octets key = vec_hex(v, "key");
  struct octets want = vec_hex(v, "wrap");
  uint8_t out[128];
  int n = 0;
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

  assert_int_equal(kek.len, kek_len);
  EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  assert_int_equal(EVP_EncryptInit_ex2(ctx, cipher, kek.data, NULL, NULL), 1);
  assert_int_equal(EVP_EncryptUpdate(ctx, out, &n, key.data, (int)key.len), 1);
  EVP_CIPHER_CTX_free(ctx);
  assert_octets(out, (size_t)n, &want);
}

/* Published with a 192-bit key and without padding: they show that OpenSSL's ciphers, of which
 * turncred_wrap uses one, are the RFCs'. */
static void published_key_wraps(void **state) {
  (void)state;
  wrap_with(section("rfc3394_4_6"), EVP_aes_256_wrap(), 32);
  wrap_with(section("rfc5649_6_1"), EVP_aes_192_wrap_pad(), 24);
}

static void rfc8489_md5(void **state) {
  const json_t *v = section("rfc8489_9_2_2_md5");
  struct octets want = vec_hex(v, "key");
  const char *username = vec_string(v, "username");
  uint8_t key[TURNCRED_LONG_TERM_MD5];

  (void)state;
  assert_int_equal(
      turncred_long_term_md5(ws, username, strlen(username), vec_string(v, "realm"), vec_string(v, "password"), key),
      TURNCRED_OK);
  assert_octets(key, sizeof(key), &want);
  memset(key, 0, sizeof(key));
  assert_int_equal(
      turncred_long_term_md5(NULL, username, strlen(username), vec_string(v, "realm"), vec_string(v, "password"), key),
      TURNCRED_OK);
  assert_octets(key, sizeof(key), &want);
}

static void tokens(void **state) {
  const json_t *list = section("tokens");
  size_t i;
  json_t *v;

  (void)state;
  json_array_foreach(list, i, v) {
    struct turncred_key key = key_of(v);
    struct octets raw = vec_hex(v, "token");
    struct octets mac_key = vec_hex(v, "mac_key");
    struct octets as_rs = vec_hex(v, "as_rs_key");
    struct octets hmac_key = vec_hex(v, "hmac_sha1_key");
    const char *server_name = vec_string(v, "server_name");
    struct turncred_token token;
    uint8_t got[20];

    assert_octets(key.enc, key.enc_len, &as_rs);
    if (json_object_get(v, "auth_key") != NULL) {
      struct octets auth = vec_hex(v, "auth_key");

      assert_octets(key.auth, key.auth_len, &auth);
    }
    check_decodes(&key, server_name, &raw, &mac_key, vec_int(v, "timestamp"), vec_int(v, "lifetime"));
    check_encodes(&key, server_name, &raw, &mac_key, vec_int(v, "timestamp"), vec_int(v, "lifetime"));
    assert_int_equal(turncred_token_decode(ws, &key, server_name, raw.data, raw.len, &token), TURNCRED_OK);
    assert_int_equal(turncred_token_hmac_sha1_key(NULL, &token, got), TURNCRED_OK);
    assert_octets(got, sizeof(got), &hmac_key);
    memset(got, 0, sizeof(got));
    assert_int_equal(turncred_token_hmac_sha1_key(ws, &token, got), TURNCRED_OK);
    assert_octets(got, sizeof(got), &hmac_key);
    if (json_object_get(v, "token_rfc7635_literal_zero_iv") != NULL) {
      struct octets literal = vec_hex(v, "token_rfc7635_literal_zero_iv");

      assert_int_equal(turncred_token_decode(ws, &key, server_name, literal.data, literal.len, &token),
                       TURNCRED_BAD_TOKEN);
      key.allow_zero_iv = 1;
      check_decodes(&key, server_name, &literal, &mac_key, vec_int(v, "timestamp"), vec_int(v, "lifetime"));
      check_encodes(&key, server_name, &literal, &mac_key, vec_int(v, "timestamp"), vec_int(v, "lifetime"));
    }
  }
}

static void tokens_refused(void **state) {
  const json_t *list = section("tokens_refused");
  size_t i;
  json_t *v;

  (void)state;
  json_array_foreach(list, i, v) {
    struct turncred_key key = key_of(v);
    struct octets raw = vec_hex(v, "token");
    struct turncred_token token;
    enum turncred_err err;

    memset(&token, 0xaa, sizeof(token));
    err = turncred_token_decode(ws, &key, vec_string(v, "server_name"), raw.data, raw.len, &token);
    if (err != TURNCRED_BAD_TOKEN) {
      fail_msg("%s: %s", vec_string(v, "why"), turncred_err_name(err));
    }
    assert_true(is_zero(&token, sizeof(token)));
  }
}

static void derived(void **state) {
  const json_t *list = section("derived");
  size_t i;
  json_t *v;

  (void)state;
  json_array_foreach(list, i, v) {
    struct octets k = vec_hex(v, "K");
    struct octets md5 = vec_hex(v, "long_term_key_md5");
    struct octets sha256 = vec_hex(v, "long_term_key_sha256");
    const char *user_id = vec_string(v, "user_id");
    const char *username = vec_string(v, "username");
    const char *realm = vec_string(v, "realm");
    struct turncred_username parsed;
    struct turncred_key key;
    char made[TURNCRED_USERNAME_MAX + 1];
    char password[TURNCRED_PASSWORD_MAX];
    uint8_t got[32];

    assert_int_equal(
        turncred_key_init(&key, TURNCRED_USE_DERIVED, TURNCRED_HMAC_SHA256, TURNCRED_DERIVATION_NONE, k.data, k.len),
        TURNCRED_OK);
    assert_int_equal(
        turncred_username_format(user_id, vec_int(v, "expiry"), TURNCRED_USER_ID_TIMESTAMP, made, sizeof(made)),
        TURNCRED_OK);
    assert_string_equal(made, username);
    assert_int_equal(turncred_username_parse(username, strlen(username), TURNCRED_USER_ID_TIMESTAMP, &parsed),
                     TURNCRED_OK);
    assert_int_equal(parsed.user_id_len, strlen(user_id));
    assert_memory_equal(parsed.user_id, user_id, parsed.user_id_len);
    assert_int_equal(parsed.expiry, vec_int(v, "expiry"));
    assert_int_equal(
        turncred_derived_password(ws, &key, parsed.user_id, parsed.user_id_len, realm, parsed.expiry, password),
        TURNCRED_OK);
    assert_string_equal(password, vec_string(v, "password"));
    assert_int_equal(turncred_derived_key(ws, &key, username, strlen(username), &parsed, realm, got), TURNCRED_OK);
    assert_octets(got, 16, &md5);
    assert_int_equal(turncred_long_term_sha256(ws, username, strlen(username), realm, password, got), TURNCRED_OK);
    assert_octets(got, 32, &sha256);
  }
}

static void rest(void **state) {
  const json_t *list = section("rest");
  size_t i;
  json_t *v;

  (void)state;
  json_array_foreach(list, i, v) {
    const char *secret = vec_string(v, "secret");
    const char *username = vec_string(v, "username");
    struct octets md5 = vec_hex(v, "long_term_key_md5");
    struct turncred_username parsed;
    struct turncred_rest_form form = {.separator = ':'};
    enum turncred_alg alg;
    struct turncred_key key;
    char password[TURNCRED_PASSWORD_MAX];
    uint8_t got[TURNCRED_LONG_TERM_MD5];

    assert_int_equal(turncred_alg_parse(vec_string(v, "hash"), &alg), TURNCRED_OK);
    assert_int_equal(turncred_username_format_parse(vec_string(v, "username_format"), &form.order), TURNCRED_OK);
    assert_int_equal(turncred_key_init(&key, TURNCRED_USE_REST, alg, TURNCRED_DERIVATION_NONE, (const uint8_t *)secret,
                                       strlen(secret)),
                     TURNCRED_OK);
    assert_int_equal(turncred_rest_parse(username, strlen(username), &form, &parsed), TURNCRED_OK);
    assert_int_equal(parsed.expiry, 1764003600);
    assert_int_equal(turncred_rest_password(ws, &key, username, strlen(username), password), TURNCRED_OK);
    assert_string_equal(password, vec_string(v, "password"));
    assert_int_equal(turncred_rest_key(ws, &key, username, strlen(username), vec_string(v, "realm"), got), TURNCRED_OK);
    assert_octets(got, sizeof(got), &md5);
  }
}

static void usernames_refused(void **state) {
  const json_t *list = section("derived_usernames_refused");
  struct turncred_username parsed;
  size_t i;
  json_t *v;

  (void)state;
  json_array_foreach(list, i, v) {
    if (turncred_username_parse(json_string_value(v), json_string_length(v), TURNCRED_USER_ID_TIMESTAMP, &parsed) !=
        TURNCRED_BAD_USERNAME) {
      fail_msg("accepted: %s", json_string_value(v));
    }
  }
}

static void key_wrap(void **state) {
  const json_t *list = section("key_wrap_rfc5649");
  size_t i;
  json_t *v;

  (void)state;
  json_array_foreach(list, i, v) {
    struct octets kek = vec_hex(v, "kek");
    struct octets key = vec_hex(v, "key");
    struct octets want = vec_hex(v, "wrapped");
    uint8_t out[TURNCRED_WRAPPED_MAX];
    size_t out_len = 0;

    assert_int_equal(kek.len, TURNCRED_KEK);
    assert_int_equal(turncred_wrap(kek.data, key.data, key.len, out, sizeof(out), &out_len), TURNCRED_OK);
    assert_octets(out, out_len, &want);
    assert_int_equal(turncred_unwrap(kek.data, want.data, want.len, out, sizeof(out), &out_len), TURNCRED_OK);
    assert_octets(out, out_len, &key);
  }
}

static int setup(void **state) {
  (void)state;
  root = vectors_load();
  ws = turncred_ws_new(4);
  return ws == NULL;
}

static int teardown(void **state) {
  (void)state;
  json_decref(root);
  turncred_ws_free(ws);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_section_is_known),
                                     cmocka_unit_test(rfc7635_appendix_a),
                                     cmocka_unit_test(published_key_wraps),
                                     cmocka_unit_test(rfc8489_md5),
                                     cmocka_unit_test(tokens),
                                     cmocka_unit_test(tokens_refused),
                                     cmocka_unit_test(derived),
                                     cmocka_unit_test(rest),
                                     cmocka_unit_test(usernames_refused),
                                     cmocka_unit_test(key_wrap)};

  return cmocka_run_group_tests_name("core vectors", tests, setup, teardown);
}
