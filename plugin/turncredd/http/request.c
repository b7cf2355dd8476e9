/*
 * request.c - one HTTP request from its first octet to its answer
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- answers ------------------------------------------------------------------------------ */

static void set_answer(struct request *r, unsigned status, char *text, const char *type) {
  if (r->answer) {
    turncred_cleanse(r->answer, r->answer_len);
    free(r->answer);
  }
  r->status = text ? status : 500;
  r->answer = text;
  r->answer_len = text ? strlen(text) : 0;
  r->content_type = type;
}

void request_text(struct request *r, unsigned status, char *text, const char *type) {
  set_answer(r, status, text, type);
}

void request_answer(struct request *r, unsigned status, json_t *body) {
  set_answer(r, status, body ? json_dumps(body, JSON_COMPACT) : NULL, "application/json");
  json_decref(body);
}

void request_error(struct request *r, unsigned status, const char *code, const char *format, ...) {
  char text[600];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  request_answer(r, status, json_pack("{s:s, s:s+}", "error", code, "error_description", text, ""));
  if (!r->answer) { /* the sentence repeats a name that is not UTF-8 */
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
  atomic_fetch_add(&r->daemon->pending, 1);
  r->suspended = true;
  MHD_suspend_connection(r->connection);
}

void request_resume(struct request *r) {
  struct daemon *daemon = r->daemon;
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

static bool has_type(const struct request *r, const char *type) {
  const char *given = request_header(r, "Content-Type");
  size_t n = strlen(type);
  return given && !strncasecmp(given, type, n) && (!given[n] || given[n] == ';' || given[n] == ' ');
}

json_t *request_json(struct request *r, const char *const members[]) {
  json_error_t why;
  const char *name;
  json_t *value;
  if (!has_type(r, "application/json")) {
    request_error(r, 415, "unsupported_media_type", "Content-Type must be application/json");
    return NULL;
  }
  json_t *object = json_loadb(r->body ? r->body : "", r->body_len, JSON_REJECT_DUPLICATES, &why);
  if (!json_is_object(object)) {
    if (object) {
      request_error(r, 400, "invalid_request", "the body must be a JSON object");
    } else {
      request_error(r, 400, "invalid_request", "the body is not JSON: line %d, column %d", why.line, why.column);
    }
    json_decref(object);
    return NULL;
  }
  json_object_foreach(object, name, value) {
    bool known = false;
    for (size_t i = 0; members[i]; i++) {
      known |= !strcmp(members[i], name);
    }
    if (!known) {
      request_error(r, 400, "invalid_request", "%.64s: there is no such member", name);
      json_decref(object);
      return NULL;
    }
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
  const char *wrong = NULL;
  if (!form->text || (r->body && strlen(r->body) != r->body_len)) {
    wrong = "the form cannot be read";
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
        wrong = "a parameter is given twice";
      }
    }
    if (!wrong) {
      form->names[form->count] = pair;
      form->values[form->count++] = equals;
    }
  }
  if (!wrong) {
    return 0;
  }
  request_error(r, 400, "invalid_request", "%s", wrong);
  form_free(form);
  return -1;
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
  for (size_t i = 0; i < form->count; i++) {
    turncred_cleanse(form->values[i], strlen(form->values[i]));
  }
  free(form->text);
  memset(form, 0, sizeof *form);
}
