/*
 * rest_username.c - usernames of the TURN REST API in every form that coturn takes
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core.h"

/* A number that could be a time of today: every issuer's expiry is larger (9 September 2001). */
#define TIME_MIN INT64_C(1000000000)

int turncred_rest_separator_ok(char c) {
  bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  bool digit = c >= '0' && c <= '9';

  return c > ' ' && c < 127 && !letter && !digit && strchr("+-'\"\\", c) == NULL;
}

static bool all_digits(const char *s, size_t len) {
  size_t i;

  for (i = 0; i < len && s[i] >= '0' && s[i] <= '9'; i++) {
  }
  return len > 0 && i == len;
}

/* The number at the beginning of s, as atol() reads it; it may have leading zeros. 0: there is none of 1 or more, or it
 * is larger than any expiry. */
static int64_t leading_number(const char *s, size_t len) {
  int64_t v = 0;
  size_t i = 0;

  while (i < len && (s[i] == '\v' || s[i] == '\f')) { /* the blanks that coturn leaves in a USERNAME */
    i++;
  }
  if (i < len && s[i] == '+') {
    i++;
  }
  for (; i < len && s[i] >= '0' && s[i] <= '9'; i++) {
    v = v * 10 + (s[i] - '0');
    if (v > TC_EXPIRY_MAX) {
      return 0;
    }
  }
  return v;
}

static int64_t number(const char *s, size_t len) { return all_digits(s, len) ? leading_number(s, len) : 0; }

/* Where a username is cut: what is before the first separator and behind it, what is before the last one and behind. */
struct cut {
  const char *name;
  size_t len, first, last; /* the separators' places */
};

static void time_first(const struct cut *c, struct turncred_username *out) {
  out->expiry = number(c->name, c->first);
  out->user_id = c->name + c->first + 1;
  out->user_id_len = c->len - c->first - 1;
}

static void time_last(const struct cut *c, struct turncred_username *out) {
  out->expiry = leading_number(c->name + c->last + 1, c->len - c->last - 1);
  out->user_id = c->name;
  out->user_id_len = c->last;
}

/* One side is a time, and what is left is no number: else two readings are possible, of which a user could choose one
 * by the choice of a user id. The times need not be those of now: a time that is over would leave the other reading. */
static void either(const struct cut *c, struct turncred_username *out) {
  bool left = number(c->name, c->first) >= TIME_MIN;
  bool right = number(c->name + c->last + 1, c->len - c->last - 1) >= TIME_MIN;

  out->expiry = 0;
  if (left == right) {
    return;
  }
  if (left) {
    time_first(c, out);
  } else {
    time_last(c, out);
  }
  if (all_digits(out->user_id, out->user_id_len)) {
    out->expiry = 0;
  }
}

enum turncred_err turncred_rest_parse(const char *username, size_t len, const struct turncred_rest_form *form,
                                      struct turncred_username *out) {
  struct turncred_username read;
  struct cut cut = {username, len, len, len};
  size_t i;

  if (username == NULL || form == NULL || out == NULL || form->order > TURNCRED_EITHER_ORDER ||
      !turncred_rest_separator_ok(form->separator)) {
    return TURNCRED_BAD_ARGUMENT;
  }
  if (len < 1 || len > TURNCRED_USERNAME_MAX || !turncred_username_coturn_accepts(username, len)) {
    return TURNCRED_BAD_USERNAME;
  }
  for (i = 0; i < len; i++) {
    if (username[i] == form->separator) {
      cut.first = cut.first == len ? i : cut.first;
      cut.last = i;
    }
  }
  if (cut.first == len) {
    read = (struct turncred_username){username, len, leading_number(username, len)};
  } else if (form->order == TURNCRED_EITHER_ORDER) {
    either(&cut, &read);
  } else if (form->order == TURNCRED_TIMESTAMP_USER_ID) {
    time_first(&cut, &read);
  } else {
    time_last(&cut, &read);
  }
  if (read.expiry < 1) {
    return TURNCRED_BAD_USERNAME;
  }
  if (read.user_id_len == 0) {
    read.user_id = username;
    read.user_id_len = len;
  }
  *out = read;
  return TURNCRED_OK;
}

/* Writes the decimal digits of v, at most 15, and no NUL. Returns their number. */
static size_t put_number(int64_t v, char out[16]) {
  char digits[16];
  char *d = digits + sizeof(digits);
  size_t n;

  for (; v > 0; v /= 10) {
    *--d = (char)('0' + v % 10);
  }
  n = (size_t)(digits + sizeof(digits) - d);
  memcpy(out, d, n);
  return n;
}

enum turncred_err turncred_rest_format(const char *user_id, int64_t expiry, const struct turncred_rest_form *form,
                                       char *out, size_t cap) {
  char made[TURNCRED_USERNAME_MAX + 1];
  char digits[16];
  struct turncred_username read;
  size_t id_len;
  size_t digits_len;
  size_t len = 0;

  if (user_id == NULL || form == NULL || out == NULL || expiry < 1 || expiry > TC_EXPIRY_MAX) {
    return TURNCRED_BAD_ARGUMENT;
  }
  id_len = strnlen(user_id, TURNCRED_USER_ID_MAX + 1);
  if (id_len > TURNCRED_USER_ID_MAX) {
    return TURNCRED_BAD_USERNAME;
  }
  digits_len = put_number(expiry, digits);
  if (id_len > 0 && form->order == TURNCRED_USER_ID_TIMESTAMP) {
    memcpy(made, user_id, id_len);
    made[id_len] = form->separator;
    len = id_len + 1;
  }
  memcpy(made + len, digits, digits_len);
  len += digits_len;
  if (id_len > 0 && form->order != TURNCRED_USER_ID_TIMESTAMP) {
    made[len] = form->separator;
    memcpy(made + len + 1, user_id, id_len);
    len += 1 + id_len;
  }
  made[len] = '\0';
  enum turncred_err err = turncred_rest_parse(made, len, form, &read);
  if (err == TURNCRED_OK && (read.expiry != expiry || (id_len > 0 && (read.user_id_len != id_len ||
                                                                      memcmp(read.user_id, user_id, id_len) != 0)))) {
    err = TURNCRED_BAD_USERNAME;
  }
  if (err == TURNCRED_OK && len + 1 > cap) {
    err = TURNCRED_NO_SPACE;
  }
  if (err == TURNCRED_OK) {
    memcpy(out, made, len + 1);
  }
  return err;
}
