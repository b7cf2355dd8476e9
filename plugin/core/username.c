/*
 * username.c - usernames made of a user id and an expiry
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core.h"

#define EXPIRY_DIGITS 15
#define EXPIRY_MAX TC_EXPIRY_MAX

/* The lower case of an ASCII letter, in every locale. */
static char lower(char c) { return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); }

static bool contains(const char *s, size_t len, const char *word) {
  size_t n = strlen(word);
  size_t i;
  size_t j;

  for (i = 0; n <= len && i <= len - n; i++) {
    for (j = 0; j < n && lower(s[i + j]) == word[j]; j++) {
    }
    if (j == n) {
      return true;
    }
  }
  return false;
}

/* The rule of coturn's is_secure_string(), which coturn applies to every USERNAME. */
int turncred_username_coturn_accepts(const char *s, size_t len) {
  size_t i;

  if (s == NULL) {
    return 0;
  }
  for (i = 0; i < len; i++) {
    switch (s[i]) {
    case '\0': /* coturn ends the name at the NUL, and would see a shorter one than was signed */
    case ' ':
    case '\t':
    case '\'':
    case '"':
    case '\n':
    case '\r':
    case '\\':
      return 0;
    default:
      break;
    }
  }
  return !(contains(s, len, "union") && contains(s, len, "select"));
}

static bool user_id_ok(const char *s, size_t len) {
  return len >= 1 && len <= TURNCRED_USER_ID_MAX && turncred_username_coturn_accepts(s, len);
}

/* The number that s is: 1 to 15 digits without leading zero. 0: s is anything else. */
static int64_t parse_expiry(const char *s, size_t len) {
  int64_t v = 0;
  size_t i;

  if (len < 1 || len > EXPIRY_DIGITS || s[0] == '0') {
    return 0;
  }
  for (i = 0; i < len; i++) {
    if (s[i] < '0' || s[i] > '9') {
      return 0;
    }
    v = v * 10 + (s[i] - '0');
  }
  return v;
}

enum turncred_err turncred_username_parse(const char *username, size_t len, enum turncred_username_format format,
                                          struct turncred_username *out) {
  size_t colon = len;
  size_t i;
  const char *id;
  const char *time;
  size_t id_len;
  size_t time_len;
  int64_t expiry;

  if (username == NULL || out == NULL || format > TURNCRED_TIMESTAMP_USER_ID) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (len > TURNCRED_USERNAME_MAX) {
    return TURNCRED_BAD_USERNAME;
  }
  /* user ids such as SIP URIs may hold colons, times never do */
  for (i = 0; i < len; i++) {
    if (username[i] == ':') {
      colon = i;
      if (format == TURNCRED_TIMESTAMP_USER_ID) {
        break;
      }
    }
  }
  if (colon == len) {
    return TURNCRED_BAD_USERNAME;
  }
  if (format == TURNCRED_TIMESTAMP_USER_ID) {
    time = username;
    time_len = colon;
    id = username + colon + 1;
    id_len = len - colon - 1;
  } else {
    id = username;
    id_len = colon;
    time = username + colon + 1;
    time_len = len - colon - 1;
  }
  expiry = parse_expiry(time, time_len);
  if (expiry == 0 || !user_id_ok(id, id_len)) {
    return TURNCRED_BAD_USERNAME;
  }
  out->user_id = id;
  out->user_id_len = id_len;
  out->expiry = expiry;
  return TURNCRED_OK;
}

enum turncred_err turncred_username_format(const char *user_id, int64_t expiry, enum turncred_username_format format,
                                           char *out, size_t cap) {
  char digits[EXPIRY_DIGITS];
  char *d = digits + sizeof(digits);
  size_t digits_len;
  size_t id_len;

  if (user_id == NULL || out == NULL || expiry < 1 || expiry > EXPIRY_MAX || format > TURNCRED_TIMESTAMP_USER_ID) {
    return TURNCRED_BAD_ARGUMENT;
  }
  id_len = strnlen(user_id, TURNCRED_USER_ID_MAX + 1);
  if (!user_id_ok(user_id, id_len)) {
    return TURNCRED_BAD_USERNAME;
  }
  for (; expiry > 0; expiry /= 10) {
    *--d = (char)('0' + expiry % 10);
  }
  digits_len = (size_t)(digits + sizeof(digits) - d);
  if (id_len + 1 + digits_len + 1 > cap) {
    return TURNCRED_NO_SPACE;
  }
  if (format == TURNCRED_TIMESTAMP_USER_ID) {
    memcpy(out, d, digits_len);
    out[digits_len] = ':';
    memcpy(out + digits_len + 1, user_id, id_len);
  } else {
    memcpy(out, user_id, id_len);
    out[id_len] = ':';
    memcpy(out + id_len + 1, d, digits_len);
  }
  out[id_len + 1 + digits_len] = '\0';
  return TURNCRED_OK;
}

enum turncred_err turncred_expiry_check(int64_t expiry, int64_t now, uint32_t max_ttl) {
  if (expiry <= now) {
    return TURNCRED_EXPIRED;
  }
  /* unsigned: the difference of two int64_t does not overflow it */
  if ((uint64_t)expiry - (uint64_t)now > (uint64_t)max_ttl + TURNCRED_AHEAD_SLACK) {
    return TURNCRED_TOO_FAR_AHEAD;
  }
  return TURNCRED_OK;
}
