/*
 * request.h - one HTTP request from its first octet to its answer
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A handler runs when the whole request is there. It prepares an answer, and either returns, or
 * calls request_wait first and request_resume (from any thread) when what it waits for has
 * happened.
 */
#ifndef TURNCREDD_REQUEST_H
#define TURNCREDD_REQUEST_H

#include "turncredd/daemon.h"

#include <jansson.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request;
typedef void (*request_handler)(struct request *request);

struct request {
  struct daemon *daemon;
  struct MHD_Connection *connection;
  struct reloadable *reloadable;
  struct directory *directory; /* may be NULL: none loaded yet */
  const struct caller *caller; /* who asks, once authorised; in directory */
  const struct route *route;
  const char *method;
  char realm[TURNCRED_REALM_MAX + 1];       /* of the path */
  char username[TURNCRED_USERNAME_MAX + 1]; /* of the path */
  bool monitor;                             /* came in on the loopback listener */
  bool bad_uri;
  uint64_t began_ms;
  bool handled;   /* its handler has run */
  bool suspended; /* its handler has called request_wait */
  char *body;     /* NUL-terminated */
  size_t body_len;
  bool too_large;
  /* the answer */
  unsigned status;
  char *answer; /* cleansed when it has been sent */
  size_t answer_len;
  const char *content_type;
  char www_authenticate[200];
  char allow[64];
  int64_t retry_after; /* seconds; 0: not said */
  /* what a handler that waits keeps */
  void *work;
  void (*work_free)(void *work);
};

/* --- answers ------------------------------------------------------------------------------ */

/* Takes over body. */
void request_answer(struct request *request, unsigned status, json_t *body);
/* {"error": code, "error_description": sentence}. No part of a secret belongs into the sentence. */
void request_error(struct request *request, unsigned status, const char *code, const char *format,
                   ...) __attribute__((format(printf, 4, 5)));
/* 429 with Retry-After. */
void request_too_many(struct request *request, int64_t wait_ms, const char *what);
/* text is taken over. */
void request_text(struct request *request, unsigned status, char *text, const char *content_type);

/* --- waiting ------------------------------------------------------------------------------ */

void request_wait(struct request *request);
void request_resume(struct request *request);

/* --- input -------------------------------------------------------------------------------- */

/* The body as a JSON object, which the caller releases; NULL: an error has been prepared. Members
 * other than those in the list (ended by NULL) are refused by name. */
json_t *request_json(struct request *request, const char *const members[]);
/* Fields of an application/x-www-form-urlencoded body. 0, or -1: an error has been prepared. A
 * field that comes twice is refused (RFC 6749 3.1). */
#define FORM_FIELDS_MAX 24
struct form {
  size_t count;
  char *names[FORM_FIELDS_MAX], *values[FORM_FIELDS_MAX]; /* in text */
  char *text;
};
int request_form(struct request *request, struct form *form);
const char *form_get(const struct form *form, const char *name); /* NULL: not given, or empty */
void form_free(struct form *form);                               /* cleanses */
const char *request_header(const struct request *request, const char *name);
const char *request_query(const struct request *request, const char *name);

#endif
