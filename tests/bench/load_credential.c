/*
 * load_credential.c - where the credentials of a load run come from
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "load_credential.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct load_source {
  struct load_credential *fixed; /* the static one, or the list */
  size_t fixed_count, line;
  FILE *list; /* still open: more lines may come */
  const char *list_path;
  uint64_t next;
  struct turncred_ws *ws;
  /* mint */
  bool minting;
  enum turncred_use use;
  struct turncred_key key;
  enum turncred_username_format format;
  char kid[TURNCRED_USERNAME_MAX + 1];
  char server_name[TURNCRED_SERVER_NAME_MAX + 1];
  char user_prefix[TURNCRED_USER_ID_MAX + 1];
  uint64_t users;
  uint32_t ttl;
};

__attribute__((format(printf, 3, 4))) static bool fail(char *err, size_t cap, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  vsnprintf(err, cap, format, ap);
  va_end(ap);
  return false;
}

static bool copy(char *to, size_t cap, const char *from) {
  size_t len = strlen(from);
  if (len >= cap) {
    return false;
  }
  memcpy(to, from, len + 1);
  return true;
}

/* The octets of a file that is not longer than cap; NULL result: *len untouched. */
static bool read_file(const char *path, uint8_t *out, size_t cap, size_t *len, char *err, size_t err_cap) {
  FILE *f = fopen(path, "rb");
  if (!f) {
    return fail(err, err_cap, "%s: %s", path, strerror(errno));
  }
  size_t n = fread(out, 1, cap, f);
  bool more = n == cap && fgetc(f) != EOF;
  bool bad = ferror(f) != 0;
  fclose(f);
  if (bad || more) {
    return fail(err, err_cap, "%s: %s", path, bad ? "cannot be read" : "is too long");
  }
  *len = n;
  return true;
}

static bool add(struct load_source *s, const struct load_credential *credential) {
  if ((s->fixed_count & (s->fixed_count - 1)) == 0) { /* grow at powers of two */
    size_t cap = s->fixed_count ? s->fixed_count * 2 : 1;
    struct load_credential *p = realloc(s->fixed, cap * sizeof(*p));
    if (!p) {
      return false;
    }
    s->fixed = p;
  }
  s->fixed[s->fixed_count++] = *credential;
  return true;
}

static bool open_static(struct load_source *s, const struct load_source_options *o, char *err, size_t cap) {
  struct load_credential c = {.key_len = 0};
  size_t len;
  if (!o->password_file) {
    return fail(err, cap, "--user needs --password-file");
  }
  if (!copy(c.username, sizeof(c.username), o->user)) {
    return fail(err, cap, "--user: longer than %d octets", TURNCRED_USERNAME_MAX);
  }
  if (!read_file(o->password_file, (uint8_t *)c.password, LOAD_PASSWORD_MAX, &len, err, cap)) {
    return false;
  }
  c.password[len] = '\0';
  c.password[strcspn(c.password, "\r\n")] = '\0';
  if (c.password[0] == '\0') {
    return fail(err, cap, "%s: the first line must be the password", o->password_file);
  }
  return add(s, &c) || fail(err, cap, "no memory");
}

static const char *member(const json_t *line, const char *name, const char *other) {
  const char *value = json_string_value(json_object_get(line, name));
  return value || !other ? value : json_string_value(json_object_get(line, other));
}

/* {"username", "password"}, or {"kid", "key" or "mac_key", "access_token"}; base64 as RFC 7635
 * appendix B gives them. Other members are ignored. */
static const char *parse_line(const json_t *line, struct load_credential *c) {
  const char *token = member(line, "access_token", NULL);
  if (!token) {
    const char *username = member(line, "username", NULL);
    const char *password = member(line, "password", "credential");
    if (!username || !password) {
      return "needs username and password, or kid, key and access_token";
    }
    if (!copy(c->username, sizeof(c->username), username)) {
      return "username is too long";
    }
    return copy(c->password, sizeof(c->password), password) ? NULL : "password is too long";
  }
  const char *kid = member(line, "kid", NULL), *key = member(line, "key", "mac_key");
  struct turncred_token session = {.mac_key_len = 0};
  size_t len;
  if (!kid || !key) {
    return "access_token needs kid and key beside it";
  }
  if (!copy(c->username, sizeof(c->username), kid)) {
    return "kid is too long";
  }
  if (turncred_base64_decode(token, strlen(token), c->token, sizeof(c->token), &c->token_len)) {
    return "access_token is no base64, or too long";
  }
  if (turncred_base64_decode(key, strlen(key), session.mac_key, sizeof(session.mac_key), &len)) {
    return "key is no base64, or too long";
  }
  session.mac_key_len = (uint16_t)len;
  if (turncred_token_hmac_sha1_key(NULL, &session, c->key)) {
    return "key must be 20 or 32 octets";
  }
  c->key_len = sizeof(c->key);
  return NULL;
}

/* Reads the list's lines. With --follow, leaves a last line without newline for later. */
static bool read_list(struct load_source *s, char *err, size_t cap) {
  char *text = NULL;
  size_t text_cap = 0;
  ssize_t len;
  bool ok = true;
  clearerr(s->list);
  while (ok && (len = getline(&text, &text_cap, s->list)) >= 0) {
    struct load_credential c = {.key_len = 0};
    json_error_t problem;
    if (s->fixed_count > 0 && text[len - 1] != '\n') {
      ok = fseek(s->list, -(long)len, SEEK_CUR) == 0;
      break;
    }
    s->line++;
    if (text[strspn(text, " \t\r\n")] == '\0') {
      continue;
    }
    json_t *line = json_loads(text, 0, &problem);
    const char *why = line ? parse_line(line, &c) : problem.text;
    json_decref(line);
    if (why) {
      ok = fail(err, cap, "%s line %zu: %s", s->list_path, s->line, why);
    } else if (!add(s, &c)) {
      ok = fail(err, cap, "no memory");
    }
    turncred_cleanse(&c, sizeof(c));
  }
  free(text);
  return ok;
}

static bool open_list(struct load_source *s, const struct load_source_options *o, char *err, size_t cap) {
  s->list_path = o->list;
  s->list = fopen(o->list, "r");
  if (!s->list) {
    return fail(err, cap, "%s: %s", o->list, strerror(errno));
  }
  if (!read_list(s, err, cap)) {
    return false;
  }
  if (!o->follow) {
    fclose(s->list);
    s->list = NULL;
  }
  return s->fixed_count > 0 || fail(err, cap, "%s: holds no credential", o->list);
}

static bool open_mint(struct load_source *s, const struct load_source_options *o, char *err, size_t cap) {
  uint8_t k[TURNCRED_KEY_MAX];
  size_t k_len;
  enum turncred_alg alg;
  enum turncred_derivation derivation;
  if (turncred_use_parse(o->mint, &s->use) || s->use == TURNCRED_USE_TAG) {
    return fail(err, cap, "--mint: derived, rest or token, not %s", o->mint);
  }
  if (!o->key_file) {
    return fail(err, cap, "--mint needs --key-file, a file of raw octets");
  }
  const char *alg_name = o->alg                           ? o->alg
                         : s->use == TURNCRED_USE_TOKEN   ? "A256GCM"
                         : s->use == TURNCRED_USE_DERIVED ? "sha256"
                                                          : "sha1";
  if (turncred_alg_parse(alg_name, &alg)) {
    return fail(err, cap, "--algorithm: unknown: %s", alg_name);
  }
  if (turncred_derivation_parse(o->derivation ? o->derivation : "none", &derivation)) {
    return fail(err, cap, "--derivation: none or hkdf-sha256, not %s", o->derivation);
  }
  if (o->username_format &&
      (turncred_username_format_parse(o->username_format, &s->format) || s->format > TURNCRED_TIMESTAMP_USER_ID)) {
    return fail(err, cap, "--username-format: user-id:timestamp or timestamp:user-id, not %s", o->username_format);
  }
  if (s->use == TURNCRED_USE_TOKEN && (!o->kid || !o->server_name)) {
    return fail(err, cap, "--mint token needs --kid and --server-name");
  }
  if (!copy(s->kid, sizeof(s->kid), o->kid ? o->kid : "") ||
      !copy(s->server_name, sizeof(s->server_name), o->server_name ? o->server_name : "") ||
      !copy(s->user_prefix, sizeof(s->user_prefix), o->user_prefix ? o->user_prefix : "load")) {
    return fail(err, cap, "--kid, --server-name or --user-prefix is too long");
  }
  if (!read_file(o->key_file, k, sizeof(k), &k_len, err, cap)) {
    return false;
  }
  enum turncred_err bad = turncred_key_init(&s->key, s->use, alg, derivation, k, k_len);
  turncred_cleanse(k, sizeof(k));
  if (bad) {
    return fail(err, cap, "%s: %s", o->key_file, turncred_err_text(bad));
  }
  s->users = o->users ? o->users : 1;
  s->ttl = o->ttl;
  s->minting = true;
  return true;
}

struct load_source *load_source_new(const struct load_source_options *o, char *err, size_t err_cap) {
  struct load_source *s = calloc(1, sizeof(*s));
  bool ok = false;
  if (!s || !(s->ws = turncred_ws_new(4))) {
    fail(err, err_cap, "no memory");
  } else if (!!o->user + !!o->list + !!o->mint != 1) {
    fail(err, err_cap, "give one of --user, --list and --mint");
  } else if (o->user) {
    ok = open_static(s, o, err, err_cap);
  } else if (o->list) {
    ok = open_list(s, o, err, err_cap);
  } else {
    ok = open_mint(s, o, err, err_cap);
  }
  if (ok) {
    return s;
  }
  load_source_free(s);
  return NULL;
}

void load_source_free(struct load_source *s) {
  if (!s) {
    return;
  }
  if (s->fixed) {
    turncred_cleanse(s->fixed, s->fixed_count * sizeof(*s->fixed));
  }
  free(s->fixed);
  if (s->list) {
    fclose(s->list);
  }
  turncred_key_clear(&s->key);
  turncred_ws_free(s->ws);
  free(s);
}

static bool mint_token(struct load_source *s, struct load_credential *c) {
  struct timespec now;
  struct turncred_token token = {.mac_key_len = 20, .lifetime = s->ttl};
  uint8_t nonce[16];
  size_t nonce_len = s->key.alg == TURNCRED_A256CBC_HS512 ? 16 : 12;
  clock_gettime(CLOCK_REALTIME, &now);
  token.timestamp = (uint64_t)now.tv_sec << 16 | ((uint64_t)now.tv_nsec << 16) / 1000000000u;
  bool ok = RAND_bytes(token.mac_key, 20) == 1 && RAND_bytes(nonce, (int)nonce_len) == 1 &&
            turncred_token_encode(s->ws, &s->key, s->server_name, nonce, nonce_len, &token, c->token, sizeof(c->token),
                                  &c->token_len) == TURNCRED_OK &&
            turncred_token_hmac_sha1_key(NULL, &token, c->key) == TURNCRED_OK;
  memcpy(c->username, s->kid, sizeof(s->kid));
  c->key_len = sizeof(c->key);
  turncred_token_clear(&token);
  return ok;
}

/* Credentials in turn; with --follow, every other one is the newest, as of a client that has just got it. */
static bool next_fixed(struct load_source *s, uint64_t n, struct load_credential *out) {
  char err[512];
  if (s->list && !read_list(s, err, sizeof(err))) {
    fprintf(stderr, "turnload: %s\n", err);
    return false;
  }
  *out = s->list && n % 2 == 0 ? s->fixed[s->fixed_count - 1] : s->fixed[(s->list ? n / 2 : n) % s->fixed_count];
  return true;
}

bool load_source_next(struct load_source *s, struct load_credential *out) {
  uint64_t n = s->next++;
  if (!s->minting) {
    return next_fixed(s, n, out);
  }
  out->password[0] = '\0';
  out->key_len = out->token_len = 0;
  if (s->use == TURNCRED_USE_TOKEN) {
    return mint_token(s, out);
  }
  char user[TURNCRED_USER_ID_MAX + 1];
  int len = snprintf(user, sizeof(user), "%s%llu", s->user_prefix, (unsigned long long)(n % s->users));
  out->expiry = (int64_t)time(NULL) + s->ttl;
  return len > 0 && (size_t)len < sizeof(user) &&
         turncred_username_format(user, out->expiry, s->format, out->username, sizeof(out->username)) == TURNCRED_OK;
}

static bool make_password(struct load_source *s, struct load_credential *c, const char *realm) {
  struct turncred_username parsed;
  size_t len = strlen(c->username);
  if (s->use == TURNCRED_USE_REST) {
    return turncred_rest_password(s->ws, &s->key, c->username, len, c->password) == TURNCRED_OK;
  }
  return turncred_username_parse(c->username, len, s->format, &parsed) == TURNCRED_OK &&
         turncred_derived_password(s->ws, &s->key, parsed.user_id, parsed.user_id_len, realm, parsed.expiry,
                                   c->password) == TURNCRED_OK;
}

bool load_credential_key(struct load_source *s, struct load_credential *c, const char *realm, bool wrong) {
  if (c->key_len == 0) {
    if (c->password[0] == '\0' && !make_password(s, c, realm)) {
      return false;
    }
    if (turncred_long_term_md5(s->ws, c->username, strlen(c->username), realm, c->password, c->key)) {
      return false;
    }
    c->key_len = TURNCRED_LONG_TERM_MD5;
  }
  if (wrong) {
    c->key[0] ^= 1;
  }
  return true;
}
