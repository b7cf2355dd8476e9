/*
 * request.c - one HTTP request from its first octet to its answer
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "request.h"

#include "base/utf8.h"
#include "turncredd/library_memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- answers ------------------------------------------------------------------------------ */

void request_forget(struct request *r) {
  if (r->answer) {
    turncred_cleanse(r->answer, r->answer_len);
    free(r->answer);
  }
  if (r->link) {
    turncred_cleanse(r->link, strlen(r->link));
    free(r->link);
  }
  r->answer = r->link = NULL;
  r->answer_len = 0;
}

static void set_answer(struct request *r, unsigned status, char *text, const char *type) {
  request_forget(r);
  r->status = text ? status : 500;
  r->answer = text;
  r->answer_len = text ? strlen(text) : 0;
  r->content_type = type;
}

/* "Unknown", "malformed" or "forbidden" would be a lie, on which clients drop what they have. */
void request_no_memory(struct request *r) {
  set_answer(r, 503, NULL, "application/json");
  r->status = 503;
  r->no_memory = true;
  r->retry_after = 1;
  r->www_authenticate[0] = '\0';
}

void request_text(struct request *r, unsigned status, char *text, const char *type) {
  if (text) {
    set_answer(r, status, text, type);
  } else {
    request_no_memory(r);
  }
}

void request_answer(struct request *r, unsigned status, json_t *body) {
  char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
  json_decref(body);
  if (!library_memory_was_short()) {
    set_answer(r, status, text, "application/json");
    return;
  }
  if (text) { /* it may lack a member */
    turncred_cleanse(text, strlen(text));
    free(text);
  }
  request_no_memory(r);
}

void request_error(struct request *r, unsigned status, const char *code, const char *format, ...) {
  char text[1200];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (r->no_memory || library_memory_was_short()) {
    request_no_memory(r);
    return;
  }
  request_answer(r, status, json_pack("{s:s, s:s+}", "error", code, "error_description", text, ""));
  if (!r->answer && !r->no_memory) { /* the sentence repeats a name that is not UTF-8 */
    request_answer(r, status, json_pack("{s:s}", "error", code));
  }
}

void request_too_many(struct request *r, int64_t wait_ms, const char *what) {
  metric_count(&r->daemon->metrics.limited);
  r->retry_after = (wait_ms + 999) / 1000;
  if (r->retry_after < 1) {
    r->retry_after = 1;
  }
  request_error(r, 429, "too_many_requests", "%s; try again in %lld s", what, (long long)r->retry_after);
}

/* --- waiting ------------------------------------------------------------------------------ */

void request_wait(struct request *r) {
  r->suspended = true;
  if (!r->whole) {
    MHD_suspend_connection(r->connection);
  }
}

void request_part_done(struct request *whole) {
  if (atomic_fetch_sub(&whole->parts, 1) == 1) {
    whole->parts_done(whole);
    request_resume(whole);
  }
}

void request_resume(struct request *r) {
  struct daemon *daemon = r->daemon;
  if (r->whole) {
    request_part_done(r->whole);
    return;
  }
  MHD_resume_connection(r->connection);
  atomic_fetch_sub(&daemon->pending, 1);
}

/* --- input -------------------------------------------------------------------------------- */

const char *request_header(const struct request *r, const char *name) {
  return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *request_query(const struct request *r, const char *name) {
  return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

static bool is_utf8(const char *text) { return !text || utf8_is(text, strlen(text)); }

static void not_utf8(struct request *r, const char *field) {
  request_error(r, 400, "invalid_request", "%s is not UTF-8", is_utf8(field) ? field : "a parameter's name");
}

static enum MHD_Result check_parameter(void *cls, enum MHD_ValueKind kind, const char *name, const char *value) {
  struct request *r = cls;
  (void)kind;
  if (is_utf8(name) && is_utf8(value)) {
    return MHD_YES;
  }
  not_utf8(r, name);
  return MHD_NO;
}

bool request_is_text(struct request *r) {
  unsigned before = r->status;
  if (!is_utf8(r->realm)) {
    not_utf8(r, "realm");
  } else if (!is_utf8(r->username)) {
    not_utf8(r, "username");
  } else {
    MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, check_parameter, r);
  }
  return r->status == before;
}

static bool has_type(const struct request *r, const char *type) {
  const char *given = request_header(r, "Content-Type");
  size_t n = strlen(type);
  return given && !strncasecmp(given, type, n) && (!given[n] || given[n] == ';' || given[n] == ' ');
}

bool request_members(struct request *r, json_t *object, const char *const members[]) {
  const char *name;
  json_t *value;
  json_object_foreach(object, name, value) {
    bool known = false;
    for (size_t i = 0; members[i]; i++) {
      known |= !strcmp(members[i], name);
    }
    if (!known) {
      int n = (int)strnlen(name, 64);
      while (n && (name[n] & 0xc0) == 0x80) { /* not within a character */
        n--;
      }
      request_error(r, 400, "invalid_request", "%.*s: there is no such member", n, name);
      return false;
    }
  }
  return true;
}

/* What is wrong with a body: jansson's own text quotes it, and it may hold a secret. */
static const char *not_taken(const json_error_t *why) {
  switch (json_error_code(why)) {
  case json_error_duplicate_key:
    return "the body has a member twice";
  case json_error_numeric_overflow:
    return "the body has a number that is too large";
  case json_error_end_of_input_expected:
    return "the body goes on behind its JSON object";
  default:
    return "the body is not JSON";
  }
}

json_t *request_json(struct request *r, const char *const members[]) {
  json_error_t why;
  if (!has_type(r, "application/json")) {
    request_error(r, 415, "unsupported_media_type", "Content-Type must be application/json");
    return NULL;
  }
  if (r->body && !utf8_is(r->body, r->body_len)) {
    request_error(r, 400, "invalid_request", "the body is not UTF-8 (RFC 8259 section 8.1)");
    return NULL;
  }
  json_t *object = json_loadb(r->body ? r->body : "", r->body_len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
  if (!json_is_object(object)) {
    if (object) {
      request_error(r, 400, "invalid_request", "the body must be a JSON object");
    } else {
      request_error(r, 400, "invalid_request", "%s: line %d, column %d", not_taken(&why), why.line, why.column);
    }
    json_decref(object);
    return NULL;
  }
  if (members && !request_members(r, object, members)) {
    json_decref(object);
    return NULL;
  }
  return object;
}

static int hex_digit(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

/* Decodes a name or a value in place. False: a broken percent escape, or NUL. */
static bool decode(char *text) {
  char *out = text;
  for (; *text; text++) {
    if (*text == '%') {
      int high = hex_digit(text[1]), low = high < 0 ? -1 : hex_digit(text[2]);
      if (low < 0 || (high == 0 && low == 0)) {
        return false;
      }
      *out++ = (char)(high << 4 | low);
      text += 2;
    } else {
      *out++ = (char)(*text == '+' ? ' ' : *text);
    }
  }
  *out = '\0';
  return true;
}

int request_form(struct request *r, struct form *form) {
  memset(form, 0, sizeof *form);
  if (!has_type(r, "application/x-www-form-urlencoded")) {
    request_error(r, 415, "invalid_request", "Content-Type must be application/x-www-form-urlencoded");
    return -1;
  }
  form->text = strdup(r->body ? r->body : "");
  if (!form->text) {
    request_no_memory(r);
    return -1;
  }
  form->size = strlen(form->text) + 1;
  const char *wrong = NULL;
  if (r->body && strlen(r->body) != r->body_len) {
    wrong = "the form holds NUL";
  }
  char *save = NULL;
  for (char *pair = wrong ? NULL : strtok_r(form->text, "&", &save); pair && !wrong;
       pair = strtok_r(NULL, "&", &save)) {
    char *equals = strchr(pair, '=');
    if (equals) {
      *equals++ = '\0';
    } else {
      equals = pair + strlen(pair);
    }
    if (form->count == FORM_FIELDS_MAX || !decode(pair) || !decode(equals)) {
      wrong = "the form has too many fields or a broken percent escape";
    }
    for (size_t i = 0; i < form->count && !wrong; i++) {
      if (!strcmp(form->names[i], pair)) {
        wrong = "the form has a parameter twice";
      }
    }
    if (!wrong) {
      form->names[form->count] = pair;
      form->values[form->count++] = equals;
    }
  }
  if (wrong) {
    request_error(r, 400, "invalid_request", "%s", wrong);
    form_free(form);
    return -1;
  }
  for (size_t i = 0; i < form->count; i++) {
    if (!is_utf8(form->names[i]) || !is_utf8(form->values[i])) {
      not_utf8(r, form->names[i]);
      form_free(form);
      return -1;
    }
  }
  return 0;
}

const char *form_get(const struct form *form, const char *name) {
  for (size_t i = 0; i < form->count; i++) {
    if (!strcmp(form->names[i], name)) {
      return *form->values[i] ? form->values[i] : NULL;
    }
  }
  return NULL;
}

void form_free(struct form *form) {
  if (form->text) {
    turncred_cleanse(form->text, form->size);
  }
  free(form->text);
  memset(form, 0, sizeof *form);
}
