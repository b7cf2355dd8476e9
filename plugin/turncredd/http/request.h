/*
 * request.h - one HTTP request from its first octet to its answer
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A handler runs when the whole request has arrived. It either prepares an answer and returns, or calls request_wait
 * and returns; then another thread prepares the answer and calls request_resume.
 */
#ifndef TURNCREDD_REQUEST_H
#define TURNCREDD_REQUEST_H

#include "turncredd/daemon.h"

#include <jansson.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request;
typedef void (*request_handler)(struct request *request);

struct request {
  struct daemon *daemon;
  struct MHD_Connection *connection;
  struct reloadable *reloadable;
  struct directory *directory; /* NULL: none has been loaded yet */
  const struct caller *caller; /* a caller of the directory; NULL: not known yet, or a user has sent it */
  const struct issuer *issuer; /* of the user's access token in the request; NULL: it has none */
  const struct route *route;
  const char *method;
  char realm[TURNCRED_REALM_MAX + 1];       /* in the path */
  char username[TURNCRED_USERNAME_MAX + 1]; /* in the path */
  char region[64];                          /* whose TURN servers come first; "": the setting region's */
  bool monitor;                             /* the request came in on the monitor listener */
  bool bad_uri;                             /* the path holds NUL */
  uint64_t began_ms;
  bool handled;   /* the handler has run */
  bool suspended; /* the handler has called request_wait */
  bool no_memory; /* nobody knows what it says, or who sent it: 503 */
  bool close;     /* the connection ends with the answer */
  char *body;     /* NUL-terminated */
  size_t body_len, body_room;
  bool too_large;
  /* the answer */
  unsigned status;
  char *answer; /* cleansed after it has been sent */
  size_t answer_len;
  const char *content_type;
  struct MHD_Response *response; /* has a password in headers, which are cleansed at the end; NULL: it has none */
  char *link; /* values of Link, each with a newline behind it; NULL: none; cleansed after they have been sent */
  char www_authenticate[200];
  char allow[64];
  int64_t retry_after; /* seconds; 0: the answer has no Retry-After */
  /* what a handler that waits keeps; work_free frees it with the request */
  void *work;
  void (*work_free)(void *work);
  /* a batch is handled as parts, each of which is a request without a connection */
  struct request *whole;                     /* the request that this is a part of; NULL: it is none */
  struct record *record;                     /* of a part: what is to be recorded, with that of the others (issue.h) */
  atomic_size_t parts;                       /* of the whole: how many have no answer yet */
  void (*parts_done)(struct request *whole); /* called when all have: prepares the answer of the whole */
};

/* --- answers ------------------------------------------------------------------------------ */

/* Prepares an answer with a JSON body, whose reference it takes over. */
void request_answer(struct request *request, unsigned status, json_t *body);
/* Prepares 503 for want of memory, with a body that needs none. */
void request_no_memory(struct request *request);
/* Prepares {"error": code, "error_description": sentence}. No part of a secret belongs into the sentence. */
void request_error(struct request *request, unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Prepares an answer with 429. wait_ms: milliseconds for Retry-After. what: the beginning of the sentence. */
void request_too_many(struct request *request, int64_t wait_ms, const char *what);
/* Prepares an answer with this text, which is freed later. text NULL: out of memory. */
void request_text(struct request *request, unsigned status, char *text, const char *content_type);

/* --- waiting ------------------------------------------------------------------------------ */

/* Lets the request wait. */
void request_wait(struct request *request);
/* Sends the answer that has been prepared; the request may be gone when this returns. */
void request_resume(struct request *request);
/* One of the parts of a request that waits has its answer. After the last, the request is resumed. */
void request_part_done(struct request *whole);
/* Cleanses and frees the answer that has been prepared. */
void request_forget(struct request *request);

/* --- input -------------------------------------------------------------------------------- */

/* The body as a JSON object, whose reference is the caller's. Members that are not in the list, which ends with NULL,
 * are refused by name; without a list the handler does that. NULL: an error has been prepared. */
json_t *request_json(struct request *request, const char *const members[]);
/* Refuses members of an object that are not in the list. False: an error has been prepared. */
bool request_members(struct request *request, json_t *object, const char *const members[]);
/* The fields of a body in application/x-www-form-urlencoded. A field that is given twice is refused (RFC 6749 section
 * 3.1). 0, or -1: an error has been prepared. */
#define FORM_FIELDS_MAX 24
struct form {
  size_t count;
  char *names[FORM_FIELDS_MAX], *values[FORM_FIELDS_MAX]; /* they point into text */
  char *text;
  size_t size;
};
int request_form(struct request *request, struct form *form);
const char *form_get(const struct form *form, const char *name); /* NULL: the field is missing or empty */
void form_free(struct form *form);                               /* cleanses it */
/* Are realm and username in the path, and the parameters in the query, UTF-8? False: an error that names one has been
 * prepared. */
bool request_is_text(struct request *request);
const char *request_header(const struct request *request, const char *name);
const char *request_query(const struct request *request, const char *name);

#endif
