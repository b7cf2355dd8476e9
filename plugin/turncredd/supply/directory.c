/*
 * directory.c - callers, and what issuers need to know of realms, in memory
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "directory.h"

#include "base/turn_uri.h"
#include "core/turncred.h"

#include <errno.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct directory {
  atomic_uint refs;
  PGresult *callers_result, *realms_result; /* texts point into them */
  struct caller *callers;
  struct realm_info *realms;
  size_t caller_count, realm_count, bad_uris;
  void **blocks; /* memory of lists and octets */
  size_t block_count;
};

static const struct {
  enum scope scope;
  const char *name;
} scopes[] = {{SCOPE_TOKEN, "token"},     {SCOPE_EXCHANGE, "exchange"}, {SCOPE_DERIVED, "derived"},
              {SCOPE_REST, "rest"},       {SCOPE_PUSH, "push"},         {SCOPE_REVOKE, "revoke"},
              {SCOPE_METRICS, "metrics"}, {SCOPE_STUN_KEY, "stun-key"}};

const char *scope_name(enum scope scope) {
  for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
    if (scopes[i].scope == scope) {
      return scopes[i].name;
    }
  }
  return "";
}

/* A sealed file of another version, with another number of columns, is refused. */
#define CALLER_FIELDS 7
#define REALM_FIELDS 6
static const char *const sql[] = {
    "SELECT name, encode(key_sha256, 'hex'), encode(cert_sha256, 'hex'), cert_subject,"
    " array_to_string(scopes, E'\\n'), array_to_string(realms, E'\\n'),"
    /* every expression has a value for every row: one that fails would fail the load of all callers */
    " CASE WHEN isfinite(not_after) THEN floor(extract(epoch FROM not_after))::bigint"
    " WHEN not_after > '2000-01-01' THEN 253402300799 WHEN not_after < '2000-01-01' THEN -62135596800 END"
    " FROM turncred.caller ORDER BY name COLLATE \"C\"",
    "SELECT name, server_name, array_to_string(CASE WHEN uris = '{}' THEN"
    " ARRAY['turn:' || host || '?transport=udp', 'turn:' || host || '?transport=tcp']"
    " ELSE uris END, E'\\n'), at_rest = 'plain', kek_id, foreign_caller FROM turncred.realm,"
    " LATERAL (SELECT CASE WHEN server_name LIKE '%:%' THEN '[' || btrim(server_name, '[]') || ']' ELSE server_name END"
    " AS host) named"
    " ORDER BY name COLLATE \"C\""};

/* Memory that is freed with the directory. NULL: out of memory. */
static void *block(struct directory *d, size_t size) {
  void *p = calloc(1, size);
  void **more = p ? realloc(d->blocks, (d->block_count + 1) * sizeof *more) : NULL;
  if (!more) {
    free(p);
    return NULL;
  }
  d->blocks = more;
  d->blocks[d->block_count++] = p;
  return p;
}

/* The lines of a text as a list that ends with NULL. NULL: out of memory. */
static char *const *list(struct directory *d, const char *text) {
  size_t n = 2, i = 0, len = strlen(text) + 1;
  for (const char *p = text; *p; p++) {
    n += *p == '\n';
  }
  char **out = block(d, n * sizeof *out), *copy = block(d, len), *save = NULL;
  if (!out || !copy) {
    return NULL;
  }
  memcpy(copy, text, len);
  for (char *word = strtok_r(copy, "\n", &save); word; word = strtok_r(NULL, "\n", &save)) {
    out[i++] = word;
  }
  return out;
}

/* Points *out to the 32 octets in a field of hexadecimal digits; null of the database becomes NULL. False: out of
 * memory. A caller whose key or certificate is damaged gets octets that nothing matches, never none: a caller without a
 * pinned certificate is opened by every certificate of its subject. */
static bool octets(struct directory *d, const PGresult *r, int row, int field, const uint8_t **out) {
  uint8_t *octets = PQgetisnull(r, row, field) ? NULL : block(d, 32);
  size_t len = 0;
  *out = octets;
  if (octets && (turncred_hex_decode(PQgetvalue(r, row, field), (size_t)PQgetlength(r, row, field), octets, 32, &len) ||
                 len != 32)) {
    memset(octets, 0, 32);
  }
  return octets || PQgetisnull(r, row, field);
}

static bool take_callers(struct directory *d) {
  const PGresult *r = d->callers_result;
  int n = PQntuples(r);
  if (!(d->callers = calloc((size_t)n + 1, sizeof *d->callers))) {
    return false;
  }
  for (int i = 0; i < n; i++) {
    struct caller *c = &d->callers[d->caller_count++];
    c->name = PQgetvalue(r, i, 0);
    if (!octets(d, r, i, 1, &c->key) || !octets(d, r, i, 2, &c->cert)) {
      return false;
    }
    c->subject = PQgetisnull(r, i, 3) ? NULL : PQgetvalue(r, i, 3);
    char *const *words = list(d, PQgetvalue(r, i, 4));
    if (!words || !(c->realms = list(d, PQgetvalue(r, i, 5)))) {
      return false;
    }
    for (; *words; words++) {
      for (size_t s = 0; s < sizeof scopes / sizeof *scopes; s++) {
        if (!strcmp(*words, scopes[s].name)) {
          c->scopes |= scopes[s].scope;
        }
      }
    }
    c->not_after = PQgetisnull(r, i, 6) ? 0 : strtoll(PQgetvalue(r, i, 6), NULL, 10);
    if (!PQgetisnull(r, i, 6) && !c->not_after) { /* 0 means none */
      c->not_after = -1;
    }
  }
  return true;
}

/* The URIs in a text, in their one spelling. Those that browsers refuse are left out: one would cost the others. NULL:
 * out of memory. */
static char *const *uri_list(struct directory *d, const char *text) {
  char *const *words = list(d, text);
  size_t count = 0, n = 0;
  while (words && words[count]) {
    count++;
  }
  char **out = words ? block(d, (count + 1) * sizeof *out) : NULL;
  for (size_t i = 0; out && i < count; i++) {
    char uri[TURN_URI_TEXT], why[200];
    if (turn_uri_canonical(words[i], uri, why, sizeof why)) {
      d->bad_uris++;
    } else if (!(out[n] = block(d, strlen(uri) + 1))) {
      return NULL;
    } else {
      strcpy(out[n++], uri);
    }
  }
  return out;
}

static bool take_realms(struct directory *d) {
  const PGresult *r = d->realms_result;
  int n = PQntuples(r);
  if (!(d->realms = calloc((size_t)n + 1, sizeof *d->realms))) {
    return false;
  }
  for (int i = 0; i < n; i++) {
    struct realm_info *realm = &d->realms[d->realm_count++];
    realm->name = PQgetvalue(r, i, 0);
    realm->server_name = PQgetvalue(r, i, 1);
    realm->plain = *PQgetvalue(r, i, 3) == 't';
    realm->kek_id = PQgetisnull(r, i, 4) ? NULL : PQgetvalue(r, i, 4);
    realm->foreign_caller = PQgetisnull(r, i, 5) ? NULL : PQgetvalue(r, i, 5);
    if (!(realm->uris = uri_list(d, PQgetvalue(r, i, 2)))) {
      return false;
    }
  }
  return true;
}

int directory_load(struct directory **out, struct pg *db, char *err, size_t cap) {
  struct directory *d = calloc(1, sizeof *d);
  if (!d) {
    snprintf(err, cap, "out of memory");
    return ENOMEM;
  }
  atomic_init(&d->refs, 1);
  int rc = 0;
  if (!(d->callers_result = pg_query(db, sql[0], NULL)) || !(d->realms_result = pg_query(db, sql[1], NULL))) {
    rc = EIO;
    snprintf(err, cap, "%s", db->line);
  } else if (!take_callers(d) || !take_realms(d)) {
    rc = ENOMEM;
    snprintf(err, cap, "out of memory");
  }
  if (rc) {
    directory_unref(d);
  } else {
    *out = d;
  }
  return rc;
}

/* --- as text ------------------------------------------------------------------------------ */

/* NULL: out of memory, or a text is not UTF-8. A row or a field that is missing would be a caller, or a limit of one.
 */
static json_t *rows_json(const PGresult *r) {
  json_t *rows = json_array();
  bool ok = rows != NULL;
  for (int i = 0; ok && i < PQntuples(r); i++) {
    json_t *row = json_array();
    ok = row != NULL;
    for (int f = 0; ok && f < PQnfields(r); f++) {
      ok = !json_array_append_new(row, PQgetisnull(r, i, f) ? json_null() : json_string(PQgetvalue(r, i, f)));
    }
    ok = !json_array_append_new(rows, row) && ok;
  }
  if (ok) {
    return rows;
  }
  json_decref(rows);
  return NULL;
}

char *directory_text(const struct directory *d) {
  json_t *both =
      json_pack("{s:o, s:o}", "callers", rows_json(d->callers_result), "realms", rows_json(d->realms_result));
  char *text = both ? json_dumps(both, JSON_COMPACT) : NULL;
  json_decref(both);
  return text;
}

/* Makes a result as the database would return it. NULL: the rows have not so many fields, or out of memory. */
static PGresult *rows_of(const json_t *rows, int fields) {
  PGresAttDesc columns[16];
  size_t i, f;
  json_t *row, *value;
  PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
  memset(columns, 0, sizeof columns);
  for (int c = 0; c < fields; c++) {
    columns[c].name = (char *)"";
  }
  bool ok = r && json_is_array(rows) && PQsetResultAttrs(r, fields, columns);
  json_array_foreach(rows, i, row) {
    ok = ok && json_array_size(row) == (size_t)fields;
    json_array_foreach(row, f, value) {
      const char *text = json_string_value(value);
      ok = ok && (text || json_is_null(value)) &&
           PQsetvalue(r, (int)i, (int)f, (char *)text, text ? (int)strlen(text) : -1);
    }
  }
  if (ok) {
    return r;
  }
  PQclear(r);
  return NULL;
}

struct directory *directory_from_text(const char *text) {
  json_t *both = json_loads(text, 0, NULL);
  struct directory *d = both ? calloc(1, sizeof *d) : NULL;
  bool ok = d != NULL;
  if (d) {
    atomic_init(&d->refs, 1);
    d->callers_result = rows_of(json_object_get(both, "callers"), CALLER_FIELDS);
    d->realms_result = rows_of(json_object_get(both, "realms"), REALM_FIELDS);
    ok = d->callers_result && d->realms_result && take_callers(d) && take_realms(d);
  }
  json_decref(both);
  if (ok) {
    return d;
  }
  directory_unref(d);
  return NULL;
}

struct directory *directory_ref(struct directory *d) {
  if (d) {
    atomic_fetch_add(&d->refs, 1);
  }
  return d;
}

void directory_unref(struct directory *d) {
  if (!d || atomic_fetch_sub(&d->refs, 1) != 1) {
    return;
  }
  for (size_t i = 0; i < d->block_count; i++) {
    free(d->blocks[i]);
  }
  free(d->blocks);
  free(d->callers);
  free(d->realms);
  PQclear(d->callers_result);
  PQclear(d->realms_result);
  free(d);
}

static bool same(const PGresult *a, const PGresult *b) {
  if (PQntuples(a) != PQntuples(b) || PQnfields(a) != PQnfields(b)) {
    return false;
  }
  for (int i = 0; i < PQntuples(a); i++) {
    for (int f = 0; f < PQnfields(a); f++) {
      if (PQgetisnull(a, i, f) != PQgetisnull(b, i, f) || strcmp(PQgetvalue(a, i, f), PQgetvalue(b, i, f)) != 0) {
        return false;
      }
    }
  }
  return true;
}

bool directory_equal(const struct directory *a, const struct directory *b) {
  return a && b && same(a->callers_result, b->callers_result) && same(a->realms_result, b->realms_result);
}

static int compare_realm(const void *key, const void *item) {
  return strcmp(key, ((const struct realm_info *)item)->name);
}

const struct caller *directory_by_key(const struct directory *d, const uint8_t sha256[32]) {
  /* the hash of 256 random bits is compared: the time that the comparison takes tells nothing */
  for (size_t i = 0; i < d->caller_count; i++) {
    if (d->callers[i].key && memcmp(d->callers[i].key, sha256, 32) == 0) {
      return &d->callers[i];
    }
  }
  return NULL;
}

const struct caller *directory_by_cert(const struct directory *d, const uint8_t sha256[32], const char *subject) {
  for (size_t i = 0; i < d->caller_count; i++) {
    if (d->callers[i].cert && memcmp(d->callers[i].cert, sha256, 32) == 0) {
      return &d->callers[i];
    }
  }
  for (size_t i = 0; i < d->caller_count; i++) {
    if (d->callers[i].subject && !d->callers[i].cert && !strcmp(d->callers[i].subject, subject)) {
      return &d->callers[i];
    }
  }
  return NULL;
}

const struct realm_info *directory_realm(const struct directory *d, const char *name) {
  return bsearch(name, d->realms, d->realm_count, sizeof *d->realms, compare_realm);
}

const struct realm_info *directory_realms(const struct directory *d, size_t *count) {
  *count = d->realm_count;
  return d->realms;
}

size_t directory_callers(const struct directory *d) { return d->caller_count; }
size_t directory_bad_uris(const struct directory *d) { return d->bad_uris; }

bool caller_may(const struct caller *caller, const char *realm) {
  for (char *const *r = caller->realms; *r; r++) {
    if (!strcmp(*r, "*") || !strcmp(*r, realm)) {
      return true;
    }
  }
  return false;
}
