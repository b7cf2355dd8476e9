/*
 * test_core_username.c - usernames with a time, what coturn accepts, derived and rest passwords
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "testing.h"

#include <ctype.h>
#include <openssl/hmac.h>
#include <stdlib.h>

/* Says what coturn 4.6.1's is_secure_string(string, 1) says (ns_turn_utils.c): lower case, then no
 * blank, tab, quote, double quote, line feed, carriage return or backslash, and not both words. */
static int coturn_says(const char *string) {
  char *s = strdup(string);
  char *p;
  int ok;

  assert_non_null(s);
  for (p = s; *p != '\0'; p++) {
    *p = (char)tolower((unsigned char)*p);
  }
  ok = strstr(s, " ") == NULL && strstr(s, "\t") == NULL && strstr(s, "'") == NULL && strstr(s, "\"") == NULL &&
       strstr(s, "\n") == NULL && strstr(s, "\r") == NULL && strstr(s, "\\") == NULL &&
       !(strstr(s, "union") != NULL && strstr(s, "select") != NULL);
  free(s);
  return ok;
}

static void secure_as_coturn_says(void **state) {
  static const char *const pieces[] = {"union",    "UNION", "uNioN", "select", "SELECT",    "sElect", "unio",
                                       "n",        "selec", "t",     "uunion", "selselect", ":",      "a",
                                       "\xc3\xab", "\x7f",  "\x01",  "'",      " ",         ""};
  uint32_t seed = 7;
  int accepted = 0;
  int refused = 0;
  char s[200];
  int i;
  int j;

  (void)state;
  for (i = 1; i < 256; i++) {
    for (j = 1; j < 256; j++) {
      s[0] = (char)i;
      s[1] = (char)j;
      s[2] = '\0';
      assert_int_equal(turncred_username_coturn_accepts(s, 2), coturn_says(s));
    }
  }
  for (i = 0; i < 200000; i++) {
    size_t n = next_random(&seed) % 8;

    size_t used = 0;

    s[0] = '\0';
    while (n-- > 0) {
      /* the last three, which are refused or empty, come seldom */
      used += (size_t)snprintf(s + used, sizeof(s) - used, "%s", pieces[next_random(&seed) % (n == 0 ? 20 : 17)]);
    }
    j = coturn_says(s);
    accepted += j;
    refused += !j;
    if (turncred_username_coturn_accepts(s, strlen(s)) != j) {
      fail_msg("\"%s\": coturn says %d", s, j);
    }
  }
  assert_true(accepted > 10000 && refused > 10000);
  assert_int_equal(turncred_username_coturn_accepts("a\0b", 3), 0);
  assert_int_equal(turncred_username_coturn_accepts(NULL, 0), 0);
  assert_int_equal(turncred_username_coturn_accepts("", 0), 1);
}

static void assert_parses(const char *username, enum turncred_username_format format, const char *user_id,
                          int64_t expiry) {
  struct turncred_username u;

  if (turncred_username_parse(username, strlen(username), format, &u) != TURNCRED_OK) {
    fail_msg("refused: %s", username);
  }
  assert_int_equal(u.user_id_len, strlen(user_id));
  assert_memory_equal(u.user_id, user_id, u.user_id_len);
  assert_true(u.user_id >= username && u.user_id <= username + strlen(username));
  assert_int_equal(u.expiry, expiry);
}

static void assert_refused(const char *username, size_t len, enum turncred_username_format format) {
  struct turncred_username u = {"untouched", 9, 99};

  if (turncred_username_parse(username, len, format, &u) != TURNCRED_BAD_USERNAME) {
    fail_msg("accepted: %s", username);
  }
  assert_int_equal(u.expiry, 99);
  assert_int_equal(u.user_id_len, 9);
}

static void parses(void **state) {
  (void)state;
  assert_parses("491711234567:1764003600", TURNCRED_USER_ID_TIMESTAMP, "491711234567", 1764003600);
  assert_parses("1764003600:1764003601", TURNCRED_USER_ID_TIMESTAMP, "1764003600", 1764003601);
  assert_parses("1764003600:1764003601", TURNCRED_TIMESTAMP_USER_ID, "1764003601", 1764003600);
  assert_parses("sip:alice@ims.example:5061:1764003600", TURNCRED_USER_ID_TIMESTAMP, "sip:alice@ims.example:5061",
                1764003600);
  assert_parses("1764003600:sip:alice@ims.example:5061", TURNCRED_TIMESTAMP_USER_ID, "sip:alice@ims.example:5061",
                1764003600);
  assert_parses("::1", TURNCRED_USER_ID_TIMESTAMP, ":", 1);
  assert_parses("1::", TURNCRED_TIMESTAMP_USER_ID, ":", 1);
  assert_parses("a:999999999999999", TURNCRED_USER_ID_TIMESTAMP, "a", INT64_C(999999999999999));
  assert_parses("a:4294967296", TURNCRED_USER_ID_TIMESTAMP, "a", INT64_C(4294967296));
  assert_parses("zo\xc3\xab:1", TURNCRED_USER_ID_TIMESTAMP, "zo\xc3\xab", 1);
}

static void refuses(void **state) {
  static const char *const after[] = {"",
                                      ":",
                                      "a",
                                      "a:",
                                      "a:0",
                                      "a:01",
                                      "a:00",
                                      "a:-1",
                                      "a:+1",
                                      "a: 1",
                                      "a:1 ",
                                      "a:1\t",
                                      "a:1\n",
                                      "a:1x",
                                      "a:x1",
                                      "a:1:",
                                      "a:1:x",
                                      "a:0x10",
                                      "a:1e5",
                                      "a:1.0",
                                      ":1",
                                      "a b:1",
                                      "a'b:1",
                                      "a\"b:1",
                                      "a\\b:1",
                                      "a\rb:1",
                                      "a\tb:1",
                                      "a\nb:1",
                                      " a:1",
                                      "a:1764003600junk",
                                      "union-select:1",
                                      "SELECTunion:1",
                                      "a:1000000000000000",
                                      "a:99999999999999999999999999",
                                      "a:18446744073709551617",
                                      "a:\xd9\xa1",
                                      "a:1\x01"};
  static const char *const before[] = {"",
                                       ":",
                                       "a",
                                       "1",
                                       "1:",
                                       "0:a",
                                       "01:a",
                                       "-1:a",
                                       "+1:a",
                                       " 1:a",
                                       "1 :a",
                                       "1x:a",
                                       "a:1",
                                       ":a",
                                       "1:a b",
                                       "1:a'",
                                       "1:\xe2\x80\x8b ",
                                       "1000000000000000:a"};
  char s[TURNCRED_USERNAME_MAX + 10];
  size_t i;

  (void)state;
  for (i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
    assert_refused(after[i], strlen(after[i]), TURNCRED_USER_ID_TIMESTAMP);
  }
  for (i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
    assert_refused(before[i], strlen(before[i]), TURNCRED_TIMESTAMP_USER_ID);
  }
  assert_refused("a\0b:1", 5, TURNCRED_USER_ID_TIMESTAMP);
  assert_refused("a:1\0", 4, TURNCRED_USER_ID_TIMESTAMP);
  assert_refused("a:\0001", 4, TURNCRED_USER_ID_TIMESTAMP);
  assert_refused("1:a\0", 4, TURNCRED_TIMESTAMP_USER_ID);
  assert_int_equal(
      turncred_username_parse(NULL, 0, TURNCRED_USER_ID_TIMESTAMP, &(struct turncred_username){NULL, 0, 0}),
      TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_username_parse("a:1", 3, TURNCRED_USER_ID_TIMESTAMP, NULL), TURNCRED_BAD_ARGUMENT);

  /* 492 octets, not 493; in either order */
  memset(s, 'x', sizeof(s));
  memcpy(s + 492, ":1", 3);
  s[0] = 's';
  {
    char id[493];

    memcpy(id, s, 492);
    id[492] = '\0';
    assert_parses(s, TURNCRED_USER_ID_TIMESTAMP, id, 1);
    memcpy(s + 492, ":999999999999999", 17);
    assert_int_equal(strlen(s), TURNCRED_USERNAME_MAX);
    assert_parses(s, TURNCRED_USER_ID_TIMESTAMP, id, INT64_C(999999999999999));
  }
  memset(s, 'x', sizeof(s));
  memcpy(s + 493, ":1", 3);
  assert_refused(s, strlen(s), TURNCRED_USER_ID_TIMESTAMP);
  memset(s, 'x', sizeof(s));
  memcpy(s, "1:", 2);
  s[2 + 492] = '\0';
  assert_parses(s, TURNCRED_TIMESTAMP_USER_ID, s + 2, 1);
  s[2 + 492] = 'x';
  s[2 + 493] = '\0';
  assert_refused(s, strlen(s), TURNCRED_TIMESTAMP_USER_ID);
}

static void formats(void **state) {
  char out[TURNCRED_USERNAME_MAX + 1];
  char id[TURNCRED_USER_ID_MAX + 2];
  size_t cap;

  (void)state;
  assert_int_equal(turncred_username_format("sip:a@b", 17, TURNCRED_USER_ID_TIMESTAMP, out, sizeof(out)), TURNCRED_OK);
  assert_string_equal(out, "sip:a@b:17");
  assert_int_equal(turncred_username_format("sip:a@b", 17, TURNCRED_TIMESTAMP_USER_ID, out, sizeof(out)), TURNCRED_OK);
  assert_string_equal(out, "17:sip:a@b");
  for (cap = 0; cap < 11; cap++) {
    memset(out, 0x55, sizeof(out));
    assert_int_equal(turncred_username_format("sip:a@b", 17, TURNCRED_USER_ID_TIMESTAMP, out, cap), TURNCRED_NO_SPACE);
    assert_int_equal(out[0], 0x55);
  }
  assert_int_equal(turncred_username_format("sip:a@b", 17, TURNCRED_USER_ID_TIMESTAMP, out, 11), TURNCRED_OK);
  memset(id, 'i', sizeof(id));
  id[TURNCRED_USER_ID_MAX + 1] = '\0';
  assert_int_equal(turncred_username_format(id, 1, TURNCRED_USER_ID_TIMESTAMP, out, sizeof(out)),
                   TURNCRED_BAD_USERNAME);
  id[TURNCRED_USER_ID_MAX] = '\0';
  assert_int_equal(turncred_username_format(id, INT64_C(999999999999999), TURNCRED_USER_ID_TIMESTAMP, out, sizeof(out)),
                   TURNCRED_OK);
  assert_parses(out, TURNCRED_USER_ID_TIMESTAMP, id, INT64_C(999999999999999));
  assert_int_equal(turncred_username_format("", 1, TURNCRED_USER_ID_TIMESTAMP, out, sizeof(out)),
                   TURNCRED_BAD_USERNAME);
  assert_int_equal(turncred_username_format("a b", 1, TURNCRED_USER_ID_TIMESTAMP, out, sizeof(out)),
                   TURNCRED_BAD_USERNAME);
  assert_int_equal(turncred_username_format("a", 0, TURNCRED_USER_ID_TIMESTAMP, out, sizeof(out)),
                   TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_username_format("a", -1, TURNCRED_USER_ID_TIMESTAMP, out, sizeof(out)),
                   TURNCRED_BAD_ARGUMENT);
  assert_int_equal(
      turncred_username_format("a", INT64_C(1000000000000000), TURNCRED_USER_ID_TIMESTAMP, out, sizeof(out)),
      TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_username_format(NULL, 1, TURNCRED_USER_ID_TIMESTAMP, out, sizeof(out)),
                   TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_username_format("a", 1, TURNCRED_USER_ID_TIMESTAMP, NULL, 9), TURNCRED_BAD_ARGUMENT);
}

static void expiry_borders(void **state) {
  const int64_t now = 1764000000;

  (void)state;
  assert_int_equal(turncred_expiry_check(now, now, 3600), TURNCRED_EXPIRED);
  assert_int_equal(turncred_expiry_check(now - 1, now, 3600), TURNCRED_EXPIRED);
  assert_int_equal(turncred_expiry_check(now + 1, now, 3600), TURNCRED_OK);
  assert_int_equal(turncred_expiry_check(now + 3600 + 300, now, 3600), TURNCRED_OK);
  assert_int_equal(turncred_expiry_check(now + 3600 + 301, now, 3600), TURNCRED_TOO_FAR_AHEAD);
  assert_int_equal(turncred_expiry_check(now + 300, now, 0), TURNCRED_OK);
  assert_int_equal(turncred_expiry_check(now + 301, now, 0), TURNCRED_TOO_FAR_AHEAD);
  /* not modulo 2^32, and nothing overflows */
  assert_int_equal(turncred_expiry_check(now + (INT64_C(1) << 32) + 60, now, 3600), TURNCRED_TOO_FAR_AHEAD);
  assert_int_equal(turncred_expiry_check(now + 60 - (INT64_C(1) << 32), now, 3600), TURNCRED_EXPIRED);
  assert_int_equal(turncred_expiry_check(now + INT64_C(4294967595), now, UINT32_MAX), TURNCRED_OK);
  assert_int_equal(turncred_expiry_check(now + INT64_C(4294967596), now, UINT32_MAX), TURNCRED_TOO_FAR_AHEAD);
  assert_int_equal(turncred_expiry_check(INT64_MAX, INT64_MIN, UINT32_MAX), TURNCRED_TOO_FAR_AHEAD);
  assert_int_equal(turncred_expiry_check(INT64_MIN, INT64_MAX, UINT32_MAX), TURNCRED_EXPIRED);
  assert_int_equal(turncred_expiry_check(INT64_MAX, INT64_MAX - 1, 0), TURNCRED_OK);
}

/* All that goes into a derived password changes it, and fields cannot be shifted into another. */
static void derived_binds_everything(void **state) {
  struct turncred_key key = a_key(TURNCRED_USE_DERIVED, TURNCRED_HMAC_SHA256, TURNCRED_DERIVATION_NONE, 1);
  struct turncred_key other = a_key(TURNCRED_USE_DERIVED, TURNCRED_HMAC_SHA256, TURNCRED_DERIVATION_NONE, 2);
  char p[7][TURNCRED_PASSWORD_MAX];
  size_t i;
  size_t j;

  (void)state;
  assert_int_equal(turncred_derived_password(NULL, &key, "alice", 5, "realm", 1000, p[0]), 0);
  assert_int_equal(turncred_derived_password(NULL, &other, "alice", 5, "realm", 1000, p[1]), 0);
  assert_int_equal(turncred_derived_password(NULL, &key, "alicE", 5, "realm", 1000, p[2]), 0);
  assert_int_equal(turncred_derived_password(NULL, &key, "alice", 5, "realn", 1000, p[3]), 0);
  assert_int_equal(turncred_derived_password(NULL, &key, "alice", 5, "realm", 1001, p[4]), 0);
  assert_int_equal(turncred_derived_password(NULL, &key, "alic", 4, "realm", 1000, p[5]), 0);
  assert_int_equal(turncred_derived_password(NULL, &key, "aliceR", 6, "ealm", 1000, p[6]), 0);
  for (i = 0; i < 7; i++) {
    assert_int_equal(strlen(p[i]), 43);
    for (j = 0; j < i; j++) {
      assert_string_not_equal(p[i], p[j]);
    }
  }
}

static void caller_mistakes(void **state) {
  struct turncred_key derived = a_key(TURNCRED_USE_DERIVED, TURNCRED_HMAC_SHA256, TURNCRED_DERIVATION_NONE, 1);
  struct turncred_key rest = a_key(TURNCRED_USE_REST, TURNCRED_HMAC_SHA1, TURNCRED_DERIVATION_NONE, 1);
  struct turncred_key token = a_key(TURNCRED_USE_TOKEN, TURNCRED_A256GCM, TURNCRED_DERIVATION_NONE, 1);
  struct turncred_username u = {"a", 1, 5};
  char realm[TURNCRED_REALM_MAX + 2];
  char name[TURNCRED_USERNAME_MAX + 1];
  char p[TURNCRED_PASSWORD_MAX];
  uint8_t md5[TURNCRED_LONG_TERM_MD5];
  uint8_t sha[TURNCRED_LONG_TERM_SHA256];

  (void)state;
  memset(realm, 'r', sizeof(realm));
  realm[sizeof(realm) - 1] = '\0';
  memset(name, 'n', sizeof(name));
  assert_int_equal(turncred_derived_password(NULL, &rest, "a", 1, "r", 5, p), TURNCRED_BAD_KEY);
  assert_int_equal(turncred_derived_password(NULL, &token, "a", 1, "r", 5, p), TURNCRED_BAD_KEY);
  assert_int_equal(turncred_derived_password(NULL, &derived, "a", 1, realm, 5, p), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_derived_password(NULL, &derived, "a", 0, "r", 5, p), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_derived_password(NULL, &derived, name, 493, "r", 5, p), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_derived_password(NULL, &derived, "a", 1, "r", 0, p), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_derived_password(NULL, &derived, "a", 1, "r", -5, p), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_derived_key(NULL, &derived, "a:5", 3, NULL, "r", md5), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_derived_key(NULL, &derived, name, 509, &u, "r", md5), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_rest_password(NULL, &derived, "a:5", 3, p), TURNCRED_BAD_KEY);
  assert_int_equal(turncred_rest_password(NULL, &rest, "a:5", 0, p), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_rest_password(NULL, &rest, name, 509, p), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_rest_key(NULL, &rest, "a:5", 3, realm, md5), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_long_term_md5(NULL, name, 509, "r", "p", md5), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_long_term_md5(NULL, "a", 1, realm, "p", md5), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_long_term_md5(NULL, "a", 1, "r", NULL, md5), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_long_term_sha256(NULL, NULL, 1, "r", "p", sha), TURNCRED_BAD_ARGUMENT);
  realm[TURNCRED_REALM_MAX] = '\0';
  assert_int_equal(turncred_long_term_sha256(NULL, name, 508, realm, "p", sha), TURNCRED_OK);
}

/* --- REST ------------------------------------------------------------------------------- */

static void assert_rest(const char *username, enum turncred_username_format order, char separator, const char *user_id,
                        int64_t expiry) {
  const struct turncred_rest_form form = {order, separator};
  struct turncred_username u = {NULL, 0, 0};
  enum turncred_err err = turncred_rest_parse(username, strlen(username), &form, &u);

  if (user_id == NULL ? err != TURNCRED_BAD_USERNAME
                      : err != TURNCRED_OK || u.expiry != expiry || u.user_id_len != strlen(user_id) ||
                            memcmp(u.user_id, user_id, u.user_id_len) != 0) {
    fail_msg("%s in order %d: %s, expiry %lld, user id %.*s", username, (int)order, turncred_err_name(err),
             (long long)u.expiry, (int)u.user_id_len, u.user_id == NULL ? "" : u.user_id);
  }
}

static void rest_forms(void **state) {
  static const struct {
    const char *name, *user_id; /* user_id NULL: refused */
    int64_t expiry;
  } first[] =
      {
          {"1795965304:alice", "alice", 1795965304},
          {"1795965304", "1795965304", 1795965304},
          {"1795965304:", "1795965304:", 1795965304},
          {"0001795965304:alice", "alice", 1795965304},
          {"000000000000000000001795965304", "000000000000000000001795965304", 1795965304},
          {"1795965304:1795965305", "1795965305", 1795965304},
          {"1795965304:sip:a@b:5060", "sip:a@b:5060", 1795965304},
          {"1795965304::", ":", 1795965304},
          {"1795965304@alice", "1795965304@alice", 1795965304},
          {"1795965304.25", "1795965304.25", 1795965304},
          {"+1795965304", "+1795965304", 1795965304},
          {"\v\f1795965304", "\v\f1795965304", 1795965304},
          {"999999999999999:a", "a", INT64_C(999999999999999)},
          {"alice:1795965304", NULL, 0},
          {":1795965304", NULL, 0},
          {"1795965304.25:alice", NULL, 0},
          {"+1795965304:alice", NULL, 0},
          {"-1795965304", NULL, 0},
          {"0:alice", NULL, 0},
          {"1000000000000000:a", NULL, 0},
          {"18446744073709551617:a", NULL, 0},
          {"alice", NULL, 0},
          {"+", NULL, 0},
          {":", NULL, 0},
          {"1795965304:a b", NULL, 0},
          {"1795965304:union-select", NULL, 0},
      },
    last[] =
        {
            {"alice:1795965304", "alice", 1795965304},
            {"1795965304", "1795965304", 1795965304},
            {":1795965304", ":1795965304", 1795965304},
            {"alice:0001795965304", "alice", 1795965304},
            {"1795965304:1795965305", "1795965304", 1795965305},
            {"sip:a@b:5060:1795965304", "sip:a@b:5060", 1795965304},
            {"alice:1795965304x", "alice", 1795965304},
            {"1795965304:alice", NULL, 0},
            {"1795965304:", NULL, 0},
            {"alice:", NULL, 0},
        },
    either[] = {
        {"alice:1795965304", "alice", 1795965304},
        {"1795965304:alice", "alice", 1795965304},
        {"1795965304", "1795965304", 1795965304},
        {"1795965304:", "1795965304:", 1795965304},
        {":1795965304", ":1795965304", 1795965304},
        {"01795965304:alice", "alice", 1795965304},
        {"1795965304:sip:a@b:5060", "sip:a@b:5060", 1795965304},
        {"sip:a@b:5060:1795965304", "sip:a@b:5060", 1795965304},
        /* two readings: a user id must not become an expiry, now or when the other time is over */
        {"1795965304:1795965305", NULL, 0},
        {"1795965304:5060", NULL, 0},
        {"5060:1795965304", NULL, 0},
        {"1795965304:x:1795965305", NULL, 0},
        {"1000000000:x:1795965305", NULL, 0},
        {"alice:999999999", NULL, 0},
        {"alice:bob", NULL, 0},
        {"alice:1795965304x", NULL, 0},
    };
  size_t i;

  (void)state;
  for (i = 0; i < sizeof(first) / sizeof(*first); i++) {
    assert_rest(first[i].name, TURNCRED_TIMESTAMP_USER_ID, ':', first[i].user_id, first[i].expiry);
  }
  for (i = 0; i < sizeof(last) / sizeof(*last); i++) {
    assert_rest(last[i].name, TURNCRED_USER_ID_TIMESTAMP, ':', last[i].user_id, last[i].expiry);
  }
  for (i = 0; i < sizeof(either) / sizeof(*either); i++) {
    assert_rest(either[i].name, TURNCRED_EITHER_ORDER, ':', either[i].user_id, either[i].expiry);
  }
  assert_rest("1795965304@a:b", TURNCRED_TIMESTAMP_USER_ID, '@', "a:b", 1795965304);
  assert_rest("1795965304:a@b", TURNCRED_TIMESTAMP_USER_ID, '@', NULL, 0);
  assert_rest("a@b@1795965304", TURNCRED_USER_ID_TIMESTAMP, '@', "a@b", 1795965304);
  assert_rest("a|1795965304", TURNCRED_EITHER_ORDER, '|', "a", 1795965304);
}

static void rest_limits(void **state) {
  static const char separators[] = "!#$%&()*,./:;<=>?@[]^_`{|}~";
  const struct turncred_rest_form form = {TURNCRED_TIMESTAMP_USER_ID, ':'};
  const struct turncred_rest_form none = {(enum turncred_username_format)3, ':'};
  struct turncred_username u;
  char name[TURNCRED_USERNAME_MAX + 2];
  int c;

  (void)state;
  for (c = -128; c < 128; c++) {
    assert_int_equal(turncred_rest_separator_ok((char)c), c > 0 && strchr(separators, c) != NULL);
  }
  memset(name, 'x', sizeof(name));
  memcpy(name, "1795965304:", 11);
  assert_int_equal(turncred_rest_parse(name, TURNCRED_USERNAME_MAX, &form, &u), TURNCRED_OK);
  assert_int_equal(u.user_id_len, TURNCRED_USERNAME_MAX - 11);
  assert_int_equal(turncred_rest_parse(name, TURNCRED_USERNAME_MAX + 1, &form, &u), TURNCRED_BAD_USERNAME);
  assert_int_equal(turncred_rest_parse(name, 0, &form, &u), TURNCRED_BAD_USERNAME);
  assert_int_equal(turncred_rest_parse("1795965304:a\0b", 14, &form, &u), TURNCRED_BAD_USERNAME);
  assert_int_equal(turncred_rest_parse(name, 11, &none, &u), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_rest_parse(name, 11, NULL, &u), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_rest_parse(NULL, 11, &form, &u), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_rest_parse(name, 11, &form, NULL), TURNCRED_BAD_ARGUMENT);
}

static void assert_made(const char *user_id, enum turncred_username_format order, char separator, const char *want) {
  const struct turncred_rest_form form = {order, separator};
  char out[TURNCRED_USERNAME_MAX + 1] = "unchanged";
  enum turncred_err err = turncred_rest_format(user_id, 1795965304, &form, out, sizeof(out));

  if (err != (want == NULL ? TURNCRED_BAD_USERNAME : TURNCRED_OK) || strcmp(out, want == NULL ? "unchanged" : want)) {
    fail_msg("%s in order %d: %s, %s", user_id, (int)order, turncred_err_name(err), out);
  }
}

static void rest_made(void **state) {
  const struct turncred_rest_form form = {TURNCRED_TIMESTAMP_USER_ID, ':'};
  char out[32];

  (void)state;
  assert_made("alice", TURNCRED_TIMESTAMP_USER_ID, ':', "1795965304:alice");
  assert_made("alice", TURNCRED_TIMESTAMP_USER_ID, '@', "1795965304@alice");
  assert_made("alice", TURNCRED_USER_ID_TIMESTAMP, '|', "alice|1795965304");
  assert_made("alice", TURNCRED_EITHER_ORDER, ':', "1795965304:alice");
  assert_made("sip:a@b:5060", TURNCRED_USER_ID_TIMESTAMP, ':', "sip:a@b:5060:1795965304");
  assert_made("491711234567", TURNCRED_USER_ID_TIMESTAMP, ':', "491711234567:1795965304");
  assert_made("491711234567", TURNCRED_TIMESTAMP_USER_ID, ':', "1795965304:491711234567");
  assert_made("", TURNCRED_TIMESTAMP_USER_ID, ':', "1795965304");
  assert_made("", TURNCRED_EITHER_ORDER, ':', "1795965304");
  /* under either order the server would refuse them */
  assert_made("491711234567", TURNCRED_EITHER_ORDER, ':', NULL);
  assert_made("x:1795965305", TURNCRED_EITHER_ORDER, ':', NULL);
  assert_made("a b", TURNCRED_TIMESTAMP_USER_ID, ':', NULL);
  assert_int_equal(turncred_rest_format("alice", 1795965304, &form, out, 16), TURNCRED_NO_SPACE);
  assert_int_equal(turncred_rest_format("alice", 1795965304, &form, out, 17), TURNCRED_OK);
  assert_int_equal(turncred_rest_format("alice", 0, &form, out, sizeof(out)), TURNCRED_BAD_ARGUMENT);
  assert_int_equal(turncred_rest_format(NULL, 1, &form, out, sizeof(out)), TURNCRED_BAD_ARGUMENT);
}

/* A secret of every length makes the password that OpenSSL's HMAC makes of the whole secret. */
static void rest_secrets(void **state) {
  static const struct {
    enum turncred_alg alg;
    const char *name;
    size_t block;
  } algs[] = {{TURNCRED_HMAC_SHA1, "SHA1", 64},
              {TURNCRED_HMAC_SHA256, "SHA256", 64},
              {TURNCRED_HMAC_SHA384, "SHA384", 128},
              {TURNCRED_HMAC_SHA512, "SHA512", 128}};
  static const char name[] = "1795965304:alice";
  uint8_t secret[TURNCRED_SECRET_MAX + 1], mac[64], k[TURNCRED_KEY_MAX];
  char want[TURNCRED_PASSWORD_MAX], got[TURNCRED_PASSWORD_MAX];
  struct turncred_key key;
  size_t i, len, k_len;
  unsigned mac_len;

  (void)state;
  for (i = 0; i < sizeof(secret); i++) {
    secret[i] = (uint8_t)(i * 7 + 1);
  }
  for (i = 0; i < sizeof(algs) / sizeof(*algs); i++) {
    for (len = 1; len <= TURNCRED_SECRET_MAX; len += len < 140 ? 1 : 97) {
      assert_non_null(HMAC(EVP_get_digestbyname(algs[i].name), secret, (int)len, (const uint8_t *)name,
                           sizeof(name) - 1, mac, &mac_len));
      assert_int_equal(turncred_base64_encode(mac, mac_len, want, sizeof(want)), TURNCRED_OK);
      assert_int_equal(turncred_key_init(&key, TURNCRED_USE_REST, algs[i].alg, TURNCRED_DERIVATION_NONE, secret, len),
                       TURNCRED_OK);
      assert_int_equal(turncred_rest_password(NULL, &key, name, sizeof(name) - 1, got), TURNCRED_OK);
      assert_string_equal(got, want);
      assert_int_equal(turncred_rest_secret(algs[i].alg, secret, len, k, &k_len), TURNCRED_OK);
      assert_true(k_len <= algs[i].block && (len > algs[i].block || k_len == len));
      /* what a sealed row holds makes the same key */
      assert_int_equal(turncred_key_init(&key, TURNCRED_USE_REST, algs[i].alg, TURNCRED_DERIVATION_NONE, k, k_len),
                       TURNCRED_OK);
      assert_int_equal(turncred_rest_password(NULL, &key, name, sizeof(name) - 1, got), TURNCRED_OK);
      assert_string_equal(got, want);
    }
    assert_int_equal(turncred_rest_secret(algs[i].alg, secret, 0, k, &k_len), TURNCRED_BAD_KEY);
    assert_int_equal(turncred_rest_secret(algs[i].alg, secret, sizeof(secret), k, &k_len), TURNCRED_BAD_KEY);
  }
  assert_int_equal(turncred_rest_secret(TURNCRED_A256GCM, secret, 32, k, &k_len), TURNCRED_BAD_ALGORITHM);
  assert_int_equal(turncred_rest_secret(TURNCRED_HMAC_SHA1, NULL, 32, k, &k_len), TURNCRED_BAD_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rest_forms),
                                     cmocka_unit_test(rest_limits),
                                     cmocka_unit_test(rest_made),
                                     cmocka_unit_test(rest_secrets),
                                     cmocka_unit_test(secure_as_coturn_says),
                                     cmocka_unit_test(parses),
                                     cmocka_unit_test(refuses),
                                     cmocka_unit_test(formats),
                                     cmocka_unit_test(expiry_borders),
                                     cmocka_unit_test(derived_binds_everything),
                                     cmocka_unit_test(caller_mistakes)};

  return cmocka_run_group_tests_name("core usernames", tests, NULL, NULL);
}
