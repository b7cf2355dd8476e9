/*
 * rows.c - turns a row of the database into a realm, key, credential or revocation
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "rows.h"

#include "base/ip.h"
#include "base/words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- SQL --------------------------------------------------------------------------------- */

/* A query gives the realm and name of a change in fields 0 and 1, and the row itself from field 2 on. Every expression
 * has a value for every row, whatever constraints are missing: one that fails would fail the load of all rows. Times
 * are fetched as they are, since SQL takes as long for their seconds as for the rest of a row. */
static const struct table {
  const char *name, *fields, *realm, *key, *join;
  /* fields behind the others that a newer schema has, and what stands for them where it is older */
  struct {
    int schema;
    const char *field, *before;
  } newer[7];
} tables[ROWS_TABLES] = {
    [ROWS_REALM] = {"realm",
                    "t.name, t.server_name, array_to_string(t.mechanisms, ','), t.expiry_token,"
                    " t.expiry_derived, t.expiry_rest, t.expiry_pushed, t.grace_seconds, t.max_ttl,"
                    " t.default_ttl, t.user_quota, t.total_quota, t.max_bps, t.bind_address,"
                    " array_to_string(t.guest_kids, E'\\n'),"
                    " array_to_string(ARRAY(SELECT host(a) FROM unnest(t.listen_addresses) a), "
                    "E'\\n'),"
                    " array_to_string(t.origins, E'\\n')",
                    "t.name",
                    "''::text",
                    "t.name = c.realm",
                    {{6, "t.keys_tried", "16"},
                     {9, "array_to_string(t.allowed_peers, E'\\n')", "''"},
                     {9, "array_to_string(t.denied_peers, E'\\n')", "''"},
                     {11, "t.usage", "'off'::text"},
                     {11, "encode(t.usage_salt, 'hex')", "''::text"},
                     {14, "t.offer_tokens", "'always'::text"},
                     {16, "t.quota_scope", "'server'::text"}}},
    [ROWS_KEY] = {"key",
                  "t.kid, t.use, t.alg, t.derivation, t.username_format, t.kek_id, t.wrapped,"
                  " t.plain, t.allow_zero_iv, t.subject_tag, t.not_before, t.sign_until, t.accept_until, t.state,"
                  " greatest(t.not_before, t.created_at)",
                  "t.realm",
                  "t.kid",
                  "t.realm = c.realm AND t.kid = c.name",
                  {{5, "t.separator", "':'::text"}, {15, "t.max_bps", "0::bigint"}, {15, "t.max_allocations", "0"}}},
    [ROWS_CREDENTIAL] = {"credential",
                         "t.username, t.kek_id, t.sealed, t.md5, t.sha256, t.expiry, t.client_address, t.pushed_at",
                         "t.realm",
                         "t.username",
                         "t.realm = c.realm AND t.username = c.name",
                         {{7, "t.user_id", "NULL::text"},
                          {15, "t.max_bps", "0::bigint"},
                          {15, "t.max_allocations", "0"}}},
    [ROWS_REVOCATION] = {"revocation",
                         "t.kind, least(t.lifted_at, t.until)",
                         "t.realm",
                         "t.kind || ':' || t.name",
                         "t.realm = c.realm AND t.kind = split_part(c.name, ':', 1)"
                         " AND t.name = substr(c.name, strpos(c.name, ':') + 1)",
                         {{0}}},
};

const char *rows_table_name(enum rows_table table) { return tables[table].name; }

#define FIELDS_MAX 4096 /* octets of a list of fields */
/* The fields of the table in a database of this schema. */
static void list_fields(const struct table *t, int schema, char out[FIELDS_MAX]) {
  size_t n = (size_t)snprintf(out, FIELDS_MAX, "%s", t->fields);
  for (size_t i = 0; i < sizeof t->newer / sizeof *t->newer && t->newer[i].field && n < FIELDS_MAX; i++) {
    n += (size_t)snprintf(out + n, FIELDS_MAX - n, ", %s",
                          schema < t->newer[i].schema ? t->newer[i].before : t->newer[i].field);
  }
}

char *rows_sql(int schema, enum rows_table table, const char *ids) {
  const struct table *t = &tables[table];
  char *sql = NULL, fields[FIELDS_MAX];
  int n;
  list_fields(t, schema, fields);
  if (ids) {
    n = asprintf(&sql,
                 "SELECT c.realm, c.name, %s FROM (SELECT DISTINCT realm, name FROM turncred.change"
                 " WHERE id = ANY ('{%s}'::bigint[]) AND kind = '%s') c"
                 " LEFT JOIN turncred.%s t ON %s",
                 fields, ids, t->name, t->name, t->join);
  } else {
    n = asprintf(&sql, "SELECT %s, %s, %s FROM turncred.%s t", t->realm, t->key, fields, t->name);
  }
  return n < 0 ? NULL : sql;
}

char *rows_sql_of_realms(int schema, enum rows_table table, const char *ids) {
  const struct table *t = &tables[table];
  char *sql = NULL, fields[FIELDS_MAX];
  list_fields(t, schema, fields);
  int n = asprintf(&sql,
                   "SELECT %s, %s, %s FROM turncred.%s t WHERE t.realm IN (SELECT realm"
                   " FROM turncred.change WHERE id = ANY ('{%s}'::bigint[]) AND kind = 'realm')",
                   t->realm, t->key, fields, t->name, ids);
  return n < 0 ? NULL : sql;
}

/* --- refused rows ------------------------------------------------------------------------ */

struct refused_item {
  struct hamt_item hamt;
  const char *reason;
  char name[]; /* "key REALM/KID", NUL, reason */
};
static bool refused_same(const struct hamt_item *item, const void *key) {
  return strcmp(((const struct refused_item *)item)->name, key) == 0;
}
static const void *refused_key(const struct hamt_item *item) { return ((const struct refused_item *)item)->name; }
static void refused_free(struct hamt_item *item) { free(item); }
static const struct hamt_type refused_type = {refused_same, refused_key, NULL, refused_free};

void rows_init(struct rows *rows, const struct kek_ring *keks, store_log_fn log, void *arg) {
  memset(rows, 0, sizeof *rows);
  rows->keks = keks;
  rows->ws = turncred_ws_new(1);
  rows->log = log;
  rows->arg = arg;
  hamt_init(&rows->refused, &refused_type);
  hamt_init(&rows->refused_before, &refused_type);
}
void rows_clear(struct rows *rows) {
  turncred_ws_free(rows->ws);
  rows->ws = NULL;
  hamt_clear(&rows->refused);
  hamt_clear(&rows->refused_before);
}
void rows_begin_full(struct rows *rows) {
  hamt_clear(&rows->refused_before);
  rows->refused_before = rows->refused;
  hamt_init(&rows->refused, &refused_type);
}
void rows_end_full(struct rows *rows, bool done) {
  if (!done) { /* the load failed: the rows refused before it are still the ones refused */
    struct hamt half = rows->refused;
    rows->refused = rows->refused_before;
    rows->refused_before = half;
  }
  hamt_clear(&rows->refused_before);
}

/* arg: the name of a table, and a blank. */
static bool is_of_another(const struct hamt_item *item, void *arg) {
  return strncmp(((const struct refused_item *)item)->name, arg, strlen(arg)) != 0;
}
bool rows_refuse_some(const struct rows *rows, enum rows_table table) {
  char begin[16];
  snprintf(begin, sizeof begin, "%s ", tables[table].name);
  return !hamt_each(&rows->refused, is_of_another, begin);
}

#define NAME_MAX_OCTETS (16 + TURNCRED_REALM_MAX + 1 + TURNCRED_USERNAME_MAX + 16)

void rows_say(const struct rows *rows, enum store_log_level level, const char *format, ...) {
  char line[NAME_MAX_OCTETS + 300];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (rows->log) {
    rows->log(level, line, rows->arg);
  }
}

static void full_name(char out[NAME_MAX_OCTETS], const struct table *t, const char *realm, const char *name) {
  snprintf(out, NAME_MAX_OCTETS, "%s %s%s%s", t->name, realm, *name ? "/" : "", name);
}

static const struct refused_item *find_refused(const struct hamt *map, const char *name) {
  return (const struct refused_item *)hamt_find(map, hamt_hash(0, name, strlen(name)), name);
}

/* Leaves a row out and remembers it; names it in the log unless that was done before for this reason.
 * False: out of memory. */
static bool refuse(struct rows *rows, const struct table *t, const char *realm, const char *name, const char *reason) {
  char full[NAME_MAX_OCTETS];
  full_name(full, t, realm, name);
  const struct refused_item *known = find_refused(&rows->refused, full);
  if (!known) {
    known = find_refused(&rows->refused_before, full);
  }
  bool named = known && strcmp(known->reason, reason) == 0;
  size_t n = strlen(full) + 1, m = strlen(reason) + 1;
  struct refused_item *item = malloc(sizeof *item + n + m);
  if (!item) {
    return false;
  }
  item->hamt = (struct hamt_item){1, hamt_hash(0, full, n - 1)};
  memcpy(item->name, full, n);
  memcpy(item->name + n, reason, m);
  item->reason = item->name + n;
  if (!named) {
    for (char *p = full; *p; p++) {
      if ((unsigned char)*p < ' ' || *p == 127) {
        *p = '?';
      }
    }
    rows_say(rows, STORE_LOG_WARNING, "%s is refused: %s", full, reason);
  }
  return hamt_put(&rows->refused, &item->hamt) == 0;
}

/* Forgets that a row was refused. */
static void accept(struct rows *rows, const struct table *t, const char *realm, const char *name) {
  if (rows->refused.count == 0) {
    return;
  }
  char full[NAME_MAX_OCTETS];
  full_name(full, t, realm, name);
  hamt_remove(&rows->refused, hamt_hash(0, full, strlen(full)), full);
}

/* --- fields ------------------------------------------------------------------------------ */

/* Copies a field and a NUL; a NULL of the database becomes "". False: the field does not fit into cap
 * octets, or holds a NUL. */
static bool text(const struct pg_row *row, int field, char *out, size_t cap) {
  int n = row->len[field];
  if (n < 0) {
    n = 0;
  }
  if ((size_t)n >= cap || (n > 0 && memchr(row->value[field], 0, (size_t)n))) {
    return false;
  }
  if (n > 0) {
    memcpy(out, row->value[field], (size_t)n);
  }
  out[n] = 0;
  return true;
}

static bool is(const struct pg_row *row, int field, const char *word) {
  return row->len[field] == (int)strlen(word) && memcmp(row->value[field], word, strlen(word)) == 0;
}

static char *text_of_any_length(const struct pg_row *row, int field) {
  int n = row->len[field] < 0 ? 0 : row->len[field];
  char *out = malloc((size_t)n + 1);
  if (out && !text(row, field, out, (size_t)n + 1)) {
    *out = 0;
  }
  return out;
}

#define NO_TIME INT64_C(-62135596800)     /* the beginning of our era */
#define END_OF_TIME INT64_C(253402300799) /* the end of the year 9999 */
#define POSTGRES_EPOCH INT64_C(946684800) /* 2000-01-01, from which PostgreSQL counts microseconds */

static int64_t floor_div(int64_t x, int64_t by) { return x / by - (x % by < 0); }

/* The seconds since 1970 of a timestamptz, rounded down. 0 means none, so the first second of 1970 becomes the one
 * before, and an infinite time END_OF_TIME or NO_TIME. */
static int64_t seconds(const struct pg_row *row, int field) {
  int64_t x = pg_row_int(row, field);
  if (row->len[field] < 0) {
    return 0;
  }
  if (x == INT64_MAX || x == INT64_MIN) {
    return x > 0 ? END_OF_TIME : NO_TIME;
  }
  int64_t s = floor_div(x, 1000000) + POSTGRES_EPOCH;
  return s ? s : -1;
}

/* The same rounded up, and NO_TIME for any infinite time. */
static int64_t seconds_up(const struct pg_row *row, int field) {
  int64_t x = pg_row_int(row, field);
  if (row->len[field] < 0 || x == INT64_MAX || x == INT64_MIN) {
    return row->len[field] < 0 ? 0 : NO_TIME;
  }
  return -floor_div(-x, 1000000) + POSTGRES_EPOCH;
}

/* The microseconds since 1970 of a timestamptz, within 285,000 years of it. */
static int64_t microseconds(const struct pg_row *row, int field) {
  const int64_t end = INT64_C(9000000000000000000);
  int64_t x = pg_row_int(row, field);
  if (row->len[field] < 0) {
    return 0;
  }
  x = x > end ? end : x < -end ? -end : x + POSTGRES_EPOCH * 1000000;
  return x > end ? end : x;
}

struct named {
  char realm[TURNCRED_REALM_MAX + 1];
  char name[TURNCRED_USERNAME_MAX + 12];
};
/* Reads realm and name of a row. False: one of them is too long for a snapshot, so the caller ignores
 * the row. */
static bool read_names(const struct pg_row *row, int fields, struct named *out) {
  return row->count == 2 + fields && text(row, 0, out->realm, sizeof out->realm) &&
         text(row, 1, out->name, sizeof out->name);
}

/* --- realm ------------------------------------------------------------------------------- */

static bool expiry(const struct pg_row *row, int field, enum store_expiry *out) {
  static const char *const words[] = {"strict", "grace", "allocate"};
  for (int i = 0; i < 3; i++) {
    if (is(row, field, words[i])) {
      *out = (enum store_expiry)i;
      return true;
    }
  }
  return false;
}

static bool mechanisms(const struct pg_row *row, int field, uint8_t out[4]) {
  static const char *const words[] = {"", "token", "derived", "rest", "pushed"};
  char list[64], *save = NULL;
  int n = 0;
  if (!text(row, field, list, sizeof list)) {
    return false;
  }
  for (char *word = strtok_r(list, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
    uint8_t i = 4;
    while (i > 0 && strcmp(word, words[i]) != 0) {
      i--;
    }
    if (i == 0 || n == 4 || memchr(out, i, (size_t)n)) {
      return false;
    }
    out[n++] = i;
  }
  return n > 0;
}

static bool number(const struct pg_row *row, int field, int64_t max, uint64_t *out) {
  int64_t x = pg_row_int(row, field);
  *out = (uint64_t)x;
  return row->len[field] > 0 && x >= 0 && x <= max;
}

/* Reads max_bps and, in the field behind it, max_allocations. */
static bool limits(const struct pg_row *row, int field, struct store_limits *out) {
  uint64_t allocations;
  if (!number(row, field, INT64_MAX, &out->max_bps) || !number(row, field + 1, UINT32_MAX, &allocations)) {
    return false;
  }
  out->max_allocations = (uint32_t)allocations;
  return true;
}

static bool usage(const struct pg_row *row, struct store_realm *realm) {
  static const char *const levels[] = {
      [STORE_USAGE_OFF] = "off",
      [STORE_USAGE_TOTALS] = "totals",
      [STORE_USAGE_USER] = "user",
      [STORE_USAGE_ADDRESS] = "address",
  };
  char level[16], salt[2 * STORE_USAGE_SALT + 1];
  if (!text(row, 22, level, sizeof level) || !text(row, 23, salt, sizeof salt)) {
    return false;
  }
  size_t len;
  if (*salt && turncred_hex_decode(salt, strlen(salt), realm->usage_salt, sizeof realm->usage_salt, &len)) {
    return false;
  }
  for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
    if (!strcmp(level, levels[i])) {
      realm->usage = (enum store_usage)i;
      return true;
    }
  }
  return false;
}

static const char *read_realm(const struct pg_row *row, struct store_realm *realm) {
  uint64_t grace, max_ttl, default_ttl, user_quota, total_quota, max_bps;
  if (!text(row, 2, realm->name, sizeof realm->name) || !*realm->name) {
    return "name: 1 to 127 octets are needed";
  }
  if (!text(row, 3, realm->server_name, sizeof realm->server_name) || !*realm->server_name) {
    return "server_name: 1 to 255 octets are needed";
  }
  if (!mechanisms(row, 4, realm->mechanisms)) {
    return "mechanisms: each of token, derived, rest, pushed once at most, and at least one";
  }
  if (!expiry(row, 5, &realm->expiry[STORE_TOKEN]) || !expiry(row, 6, &realm->expiry[STORE_DERIVED]) ||
      !expiry(row, 7, &realm->expiry[STORE_REST]) || !expiry(row, 8, &realm->expiry[STORE_PUSHED])) {
    return "expiry_*: strict, grace or allocate is needed";
  }
  if (!number(row, 9, UINT32_MAX, &grace) || !number(row, 10, UINT32_MAX, &max_ttl) ||
      !number(row, 11, UINT32_MAX, &default_ttl) || !number(row, 12, UINT32_MAX, &user_quota) ||
      !number(row, 13, UINT32_MAX, &total_quota) || !number(row, 14, INT64_MAX, &max_bps) || max_ttl == 0 ||
      default_ttl == 0 || default_ttl > max_ttl) {
    return "grace_seconds, max_ttl, default_ttl, quotas, max_bps: a number is out of range";
  }
  realm->grace_seconds = (uint32_t)grace;
  realm->max_ttl = (uint32_t)max_ttl;
  realm->default_ttl = (uint32_t)default_ttl;
  realm->user_quota = (uint32_t)user_quota;
  realm->total_quota = (uint32_t)total_quota;
  realm->max_bps = max_bps;
  realm->bind_address = pg_row_int(row, 15) != 0;
  uint64_t tried;
  if (!number(row, 19, 256, &tried) || tried == 0) {
    return "keys_tried: 1 to 256 is needed";
  }
  realm->keys_tried = (uint32_t)tried;
  char offer[16];
  if (!text(row, 24, offer, sizeof offer) || (strcmp(offer, "always") != 0 && strcmp(offer, "shown") != 0)) {
    return "offer_tokens: always or shown is needed";
  }
  realm->offer_shown = !strcmp(offer, "shown");
  if (!is(row, 25, "server") && !is(row, 25, "fleet")) {
    return "quota_scope: server or fleet is needed";
  }
  realm->quota_fleet = is(row, 25, "fleet");
  return usage(row, realm) ? NULL : "usage: off, totals, user or address is needed";
}

bool rows_take_realm(const struct pg_row *row, void *arg) {
  struct rows *rows = arg;
  const struct table *t = &tables[ROWS_REALM];
  struct named id;
  struct realm_fields fields;
  if (!read_names(row, 24, &id)) {
    return true;
  }
  if (row->len[2] < 0) {
    accept(rows, t, id.realm, "");
    return snapshot_remove_realm(rows->snapshot, id.realm) == 0;
  }
  memset(&fields, 0, sizeof fields);
  const char *wrong = read_realm(row, &fields.realm);
  if (wrong) {
    return snapshot_remove_realm(rows->snapshot, id.realm) == 0 && refuse(rows, t, id.realm, "", wrong);
  }
  char *guests = text_of_any_length(row, 16), *listens = text_of_any_length(row, 17),
       *origins = text_of_any_length(row, 18), *allowed = text_of_any_length(row, 20),
       *denied = text_of_any_length(row, 21);
  bool ok = guests && listens && origins && allowed && denied;
  if (ok) {
    fields.guest_kids = guests;
    fields.listen_addresses = listens;
    fields.origins = origins;
    fields.allowed_peers = allowed;
    fields.denied_peers = denied;
    int rc = snapshot_put_realm(rows->snapshot, &fields);
    if (rc == EINVAL) {
      ok = snapshot_remove_realm(rows->snapshot, id.realm) == 0 &&
           refuse(rows, t, id.realm, "", "allowed_peers, denied_peers: ADDRESS or ADDRESS/PREFIX is needed");
    } else {
      ok = rc == 0;
      accept(rows, t, id.realm, "");
    }
  }
  free(guests);
  free(listens);
  free(origins);
  free(allowed);
  free(denied);
  return ok;
}

/* --- key --------------------------------------------------------------------------------- */

#define KEY_OCTETS (TURNCRED_KEY_MAX + 8) /* room that unwrapping needs */

static const uint8_t *octets(const struct pg_row *row, int field) { return (const uint8_t *)row->value[field]; }

/* The key encryption key that a row names. NULL: the program does not have it; why says so. */
static const uint8_t *find_kek(const struct rows *rows, const struct pg_row *row, int field, char id[KEK_ID_MAX + 1],
                               char *why, size_t cap) {
  const uint8_t *kek = NULL;
  if (!text(row, field, id, KEK_ID_MAX + 1) || !kek_id_valid(id)) {
    snprintf(why, cap, "kek_id: 1 to 64 of A-Z a-z 0-9 . _ - are needed");
  } else if (!rows->keks || !(kek = kek_ring_find(rows->keks, id))) {
    snprintf(why, cap, "it is sealed under key encryption key %s, which this program does not have", id);
  }
  return kek;
}

/* Whether the program takes keys and credentials of the realm that are not sealed. Who can write to the database can
 * declare a realm plain, but cannot write to this program's settings. */
static bool takes_plain(const struct rows *rows, const char *realm, char *why, size_t cap) {
  const char *list = rows->plain_realms;
  bool takes = !list || words_have(list, "*") || words_have(list, realm);
  if (!takes) {
    snprintf(why, cap, "it is not sealed, and the setting plain_realms does not name its realm");
  }
  return takes;
}

static bool key_state(const struct pg_row *row, int field, enum store_key_state *state) {
  static const char *const words[] = {[STORE_KEY_PUBLISHED] = "published",
                                      [STORE_KEY_ACTIVE] = "active",
                                      [STORE_KEY_RETIRED] = "retired",
                                      [STORE_KEY_DISABLED] = "disabled"};
  for (int i = STORE_KEY_PUBLISHED; i <= STORE_KEY_DISABLED; i++) {
    if (is(row, field, words[i])) {
      *state = (enum store_key_state)i;
      return true;
    }
  }
  return false;
}

static const char wrong_limits[] = "max_bps, max_allocations: a number is out of range";

/* Reads all of a key but its octets. NULL, or what is wrong. */
static const char *read_key_fields(const struct pg_row *row, struct turncred_key_row *bound, struct store_key *key) {
  char use[16], alg[24], derivation[24], format[32];
  if (!text(row, 3, use, sizeof use) || turncred_use_parse(use, &bound->use)) {
    return "use: token, derived or rest is needed";
  }
  if (!text(row, 4, alg, sizeof alg) || turncred_alg_parse(alg, &bound->alg)) {
    return "alg: this program does not know it";
  }
  if (!text(row, 5, derivation, sizeof derivation) || turncred_derivation_parse(derivation, &bound->derivation)) {
    return "derivation: this program does not know it";
  }
  if (!text(row, 6, format, sizeof format) || turncred_username_format_parse(format, &key->form.order)) {
    return "username_format: this program does not know it";
  }
  if (row->len[17] != 1 || !turncred_rest_separator_ok(*row->value[17])) {
    return "separator: one visible ASCII character is needed, no letter, digit, sign, quote or backslash";
  }
  key->form.separator = *row->value[17];
  if (!key_state(row, 15, &key->state)) {
    return "state: this program does not know it";
  }
  if (!limits(row, 18, &key->limits)) {
    return wrong_limits;
  }
  key->subject_tag = pg_row_int(row, 11) != 0;
  key->not_before = seconds(row, 12);
  key->sign_until = seconds(row, 13);
  key->accept_until = seconds(row, 14);
  key->since = microseconds(row, 16);
  return NULL;
}

/* A row that does not open is refused. Where OpenSSL fails (it has no memory) nothing is known of the row, and a key
 * that is good must not go: the whole load fails, and is made again. */
static bool refuses(struct rows *rows, enum turncred_err err) {
  rows->failed |= err == TURNCRED_CRYPTO || err == TURNCRED_NO_MEMORY;
  return err != TURNCRED_OK;
}

/* Reads K, wrapped or plain, into k. False: why says what is wrong. */
static bool read_key_octets(struct rows *rows, const struct pg_row *row, const struct turncred_key_row *bound,
                            uint8_t k[KEY_OCTETS], size_t *k_len, char *why, size_t cap) {
  if (row->len[8] >= 0) {
    char kek_id[KEK_ID_MAX + 1];
    const uint8_t *kek = find_kek(rows, row, 7, kek_id, why, cap);
    if (!kek) {
      return false;
    }
    struct turncred_key_row sealed = *bound;
    sealed.kek_id = kek_id;
    enum turncred_err err =
        turncred_key_unseal(rows->ws, kek, &sealed, octets(row, 8), (size_t)row->len[8], k, KEY_OCTETS, k_len);
    if (refuses(rows, err)) {
      snprintf(why, cap, "it does not open under key encryption key %s: %s", kek_id, turncred_err_text(err));
    }
    return err == TURNCRED_OK;
  }
  if (!takes_plain(rows, bound->realm, why, cap)) {
    return false;
  }
  size_t len = row->len[9] < 0 ? 0 : (size_t)row->len[9];
  if (bound->use == TURNCRED_USE_REST &&
      !refuses(rows, turncred_rest_secret(bound->alg, octets(row, 9), len, k, k_len))) {
    return true;
  }
  if (len < 1 || len > TURNCRED_KEY_MAX) {
    snprintf(why, cap, "key: longer than %d octets (a rest secret: %d), or none", TURNCRED_KEY_MAX,
             TURNCRED_SECRET_MAX);
    return false;
  }
  *k_len = len;
  memcpy(k, row->value[9], len);
  return true;
}

static bool read_key(struct rows *rows, const struct pg_row *row, const struct named *id, struct store_key *key,
                     uint8_t k[KEY_OCTETS], char *why, size_t cap) {
  struct turncred_key_row bound = {.realm = id->realm, .kid = id->name};
  size_t k_len = 0;
  const char *wrong = read_key_fields(row, &bound, key);
  if (wrong) {
    snprintf(why, cap, "%s", wrong);
    return false;
  }
  if (!read_key_octets(rows, row, &bound, k, &k_len, why, cap)) {
    return false;
  }
  enum turncred_err err = turncred_key_init(&key->key, bound.use, bound.alg, bound.derivation, k, k_len);
  if (refuses(rows, err)) {
    snprintf(why, cap, "key of %zu octets: %s", k_len, turncred_err_text(err));
    return false;
  }
  key->key.allow_zero_iv = pg_row_int(row, 10) != 0;
  if (rows->keep_k) {
    key->k = k;
    key->k_len = k_len;
  }
  return true;
}

bool rows_take_key(const struct pg_row *row, void *arg) {
  struct rows *rows = arg;
  const struct table *t = &tables[ROWS_KEY];
  struct named id;
  if (!read_names(row, 18, &id)) {
    return true;
  }
  struct store_key key;
  memset(&key, 0, sizeof key);
  rows->failed = false;
  uint8_t k[KEY_OCTETS] = {0};
  char why[256] = "";
  bool gone = row->len[2] < 0;
  /* only issuers hold the key of subject tags */
  bool passed = !gone && !rows->keep_k && is(row, 3, "tag");
  if (gone || passed || !snapshot_realm(rows->snapshot, id.realm) ||
      !read_key(rows, row, &id, &key, k, why, sizeof why)) {
    turncred_cleanse(k, sizeof k);
    bool ok = !rows->failed && snapshot_remove_key(rows->snapshot, id.realm, id.name) == 0;
    if (*why) {
      return ok && refuse(rows, t, id.realm, id.name, why);
    }
    accept(rows, t, id.realm, id.name);
    return ok;
  }
  key.realm = id.realm;
  key.kid = id.name;
  int rc = snapshot_put_key(rows->snapshot, &key);
  turncred_key_clear(&key.key);
  turncred_cleanse(k, sizeof k);
  accept(rows, t, id.realm, id.name);
  return rc == 0;
}

/* --- credential -------------------------------------------------------------------------- */

/* Brings the client address into the spelling in which servers see addresses. A sealed row from before schema version 4
 * may be bound to another one. */
static void canonical_address(char address[IP_TEXT]) {
  char canonical[IP_TEXT], why[160];
  if (*address && !ip_canonical(address, canonical, why, sizeof why)) {
    memcpy(address, canonical, IP_TEXT);
  }
}

static bool read_credential(struct rows *rows, const struct pg_row *row, struct store_credential *credential, char *why,
                            size_t cap) {
  if (row->len[4] >= 0) {
    char kek_id[KEK_ID_MAX + 1];
    const uint8_t *kek = find_kek(rows, row, 3, kek_id, why, cap);
    if (!kek) {
      return false;
    }
    struct turncred_credential_row bound = {kek_id,
                                            credential->realm,
                                            credential->username,
                                            credential->expiry,
                                            credential->client_address,
                                            row->len[10] < 0 ? NULL : credential->user};
    uint8_t plain[TURNCRED_CREDENTIAL_PLAIN];
    enum turncred_err err =
        turncred_credential_unseal(rows->ws, kek, &bound, octets(row, 4), (size_t)row->len[4], plain);
    if (refuses(rows, err)) {
      snprintf(why, cap, "it does not open under key encryption key %s: %s", kek_id, turncred_err_text(err));
      return false;
    }
    memcpy(credential->md5, plain, sizeof credential->md5);
    memcpy(credential->sha256, plain + sizeof credential->md5, sizeof credential->sha256);
    turncred_cleanse(plain, sizeof plain);
    return true;
  }
  if (!takes_plain(rows, credential->realm, why, cap)) {
    return false;
  }
  if (row->len[5] != TURNCRED_LONG_TERM_MD5 || (row->len[6] >= 0 && row->len[6] != TURNCRED_LONG_TERM_SHA256)) {
    snprintf(why, cap, "md5: 16 octets are needed; sha256: 32 or none");
    return false;
  }
  memcpy(credential->md5, row->value[5], sizeof credential->md5);
  if (row->len[6] > 0) {
    memcpy(credential->sha256, row->value[6], sizeof credential->sha256);
  }
  return true;
}

bool rows_take_credential(const struct pg_row *row, void *arg) {
  struct rows *rows = arg;
  const struct table *t = &tables[ROWS_CREDENTIAL];
  struct named id;
  if (!read_names(row, 11, &id)) {
    return true;
  }
  char address[IP_TEXT] = "", user[TURNCRED_USERNAME_MAX + 1] = "", why[256] = "";
  struct store_credential credential;
  memset(&credential, 0, sizeof credential);
  rows->failed = false;
  credential.realm = id.realm;
  credential.username = id.name;
  credential.client_address = address;
  credential.user = row->len[10] < 0 ? id.name : user;
  bool gone = row->len[2] < 0;
  if (!gone && !text(row, 8, address, sizeof address)) {
    snprintf(why, sizeof why, "client_address: longer than 45 octets");
  } else if (!gone && (!text(row, 10, user, sizeof user) || row->len[10] == 0)) {
    snprintf(why, sizeof why, "user_id: 1 to %d octets are needed, or none", TURNCRED_USERNAME_MAX);
  } else if (!gone && !limits(row, 11, &credential.limits)) {
    snprintf(why, sizeof why, "%s", wrong_limits);
  }
  credential.expiry = seconds(row, 7);
  credential.pushed_at = seconds_up(row, 9);
  if (gone || *why || !snapshot_realm(rows->snapshot, id.realm) ||
      !read_credential(rows, row, &credential, why, sizeof why)) {
    bool ok = !rows->failed && snapshot_remove_credential(rows->snapshot, id.realm, id.name) == 0;
    if (*why) {
      return ok && refuse(rows, t, id.realm, id.name, why);
    }
    accept(rows, t, id.realm, id.name);
    return ok;
  }
  canonical_address(address);
  int rc = (rows->all ? snapshot_pile_credential : snapshot_put_credential)(rows->snapshot, &credential);
  turncred_cleanse(&credential, sizeof credential);
  accept(rows, t, id.realm, id.name);
  return rc == 0;
}

/* --- revocation -------------------------------------------------------------------------- */

bool rows_take_revocation(const struct pg_row *row, void *arg) {
  static const char *const kinds[] = {"", "user", "token", "kid", "realm"};
  struct rows *rows = arg;
  struct named id;
  if (!read_names(row, 2, &id)) {
    return true;
  }
  char *colon = strchr(id.name, ':');
  if (!colon) {
    return true;
  }
  *colon = 0;
  int kind = 4;
  while (kind > 0 && strcmp(id.name, kinds[kind]) != 0) {
    kind--;
  }
  if (kind == 0) {
    const struct table *t = &tables[ROWS_REVOCATION];
    *colon = ':';
    if (row->len[2] < 0) {
      accept(rows, t, id.realm, id.name);
      return true;
    }
    return refuse(rows, t, id.realm, id.name, "kind: this program does not know it");
  }
  struct revocation_name name = {(enum store_revocation_kind)kind, id.realm, colon + 1};
  if (row->len[2] < 0) {
    return snapshot_remove_revocation(rows->snapshot, &name) == 0;
  }
  int64_t until = row->len[3] < 0 ? INT64_MAX : seconds(row, 3);
  return snapshot_put_revocation(rows->snapshot, &name, until) == 0;
}

pg_row_fn rows_take(enum rows_table table) {
  static const pg_row_fn fns[ROWS_TABLES] = {rows_take_realm, rows_take_key, rows_take_credential,
                                             rows_take_revocation};
  return fns[table];
}
