/*
 * strict.c - requests that two parsers may read differently
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * libmicrohttpd takes Transfer-Encoding where there is a Content-Length too, and the first of two headers of one name.
 * A proxy that reads the other one shares its connection between a stranger's request and the next caller's.
 */
#include "config.h"

#include "strict.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define PARAMETERS_MAX 32

struct seen {
  unsigned lengths, encodings, hosts, authorizations, types, parameters;
  bool bad_name, bad_length, bad_encoding, twice;
  const char *names[PARAMETERS_MAX];
};

/* A field name is a token: a blank in front of the colon, say, makes other parsers see another field, or none. */
static bool is_token(const char *name) {
  for (const char *p = name; *p; p++) {
    if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 127 || strchr("\"(),/:;<=>?@[\\]{}", *p)) {
      return false;
    }
  }
  return *name != '\0';
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value) {
  struct seen *seen = cls;
  (void)kind;
  value = value ? value : "";
  seen->bad_name |= !is_token(name);
  seen->hosts += !strcasecmp(name, "Host");
  seen->authorizations += !strcasecmp(name, "Authorization");
  seen->types += !strcasecmp(name, "Content-Type");
  if (!strcasecmp(name, "Content-Length")) {
    seen->lengths++;
    seen->bad_length |= !*value || strspn(value, "0123456789") != strlen(value);
  }
  if (!strcasecmp(name, "Transfer-Encoding")) {
    seen->encodings++;
    seen->bad_encoding |= strcasecmp(value, "chunked") != 0;
  }
  return MHD_YES;
}

static enum MHD_Result on_parameter(void *cls, enum MHD_ValueKind kind, const char *name, const char *value) {
  struct seen *seen = cls;
  (void)kind, (void)value;
  for (unsigned i = 0; i < seen->parameters; i++) {
    seen->twice |= !strcmp(seen->names[i], name);
  }
  if (seen->parameters < PARAMETERS_MAX) {
    seen->names[seen->parameters++] = name;
  } else {
    seen->twice = true;
  }
  return MHD_YES;
}

const char *strict_fault(struct MHD_Connection *connection, const char *version) {
  struct seen seen;
  memset(&seen, 0, sizeof seen);
  MHD_get_connection_values(connection, MHD_HEADER_KIND, on_header, &seen);
  MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, on_parameter, &seen);
  if (seen.bad_name) {
    return "a header has a name that is no token";
  }
  if (seen.lengths > 1 || seen.bad_length) {
    return "Content-Length: one number is allowed";
  }
  if (seen.encodings && (seen.lengths || seen.encodings > 1 || seen.bad_encoding || strcmp(version, "HTTP/1.1") != 0)) {
    return "Transfer-Encoding: only chunked is allowed, once, in HTTP/1.1, and without a Content-Length";
  }
  if (seen.hosts > 1 || seen.authorizations > 1 || seen.types > 1) {
    return "Host, Authorization, Content-Type: one of each is allowed";
  }
  return seen.twice ? "the query has a parameter twice, or too many of them" : NULL;
}
