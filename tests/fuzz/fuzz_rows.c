/*
 * fuzz_rows.c - libFuzzer: rows of the database, as hostile as PostgreSQL can send them
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * An input is a list of rows for one snapshot. A row is an octet for its table, an octet of flags, and its fields:
 * null, octets, an integer, or a word that some column knows. With FLAG_SEALED a key or credential gets what is sealed
 * for it under the right key encryption key. No row may stop the load, and none may harm the good rows of another
 * realm.
 */
#include "fuzz.h"

#include "store/disk.h"
#include "store/rows.h"

enum { FLAG_SEALED = 1, FLAG_OTHER_COUNT = 2, FLAG_ISSUER = 4, FLAG_DISK = 8 };
enum { NULL_FIELD, OCTETS_FIELD, INTEGER_FIELD, LONG_FIELD, WORDS }; /* a larger octet is a word */

static const int counts[ROWS_TABLES] = {2 + 24, 2 + 18, 2 + 11, 2 + 2};
static const char *const words[] = {"a.test",
                                    "b.test",
                                    "k1",
                                    "alice",
                                    "token",
                                    "derived",
                                    "rest",
                                    "tag",
                                    "pushed",
                                    "token,derived,rest,pushed",
                                    "A256GCM",
                                    "A128GCM",
                                    "A256CBC-HS512",
                                    "sha1",
                                    "sha256",
                                    "sha384",
                                    "sha512",
                                    "none",
                                    "hkdf-sha256",
                                    "user-id:timestamp",
                                    "timestamp:user-id",
                                    "strict",
                                    "grace",
                                    "allocate",
                                    "active",
                                    "published",
                                    "retired",
                                    "disabled",
                                    "main",
                                    "user",
                                    "user:alice",
                                    "token:0123456789abcdef0123456789abcdef",
                                    "kid:k1",
                                    "realm:",
                                    "a.test/k1\nb.test/k1",
                                    "192.0.2.1\n2001:db8::1",
                                    "192.0.2.0/24\n2001:db8::/32",
                                    "https://a.test\nnull",
                                    "192.0.2.1",
                                    ""};
static struct kek_ring *keks;

static void set(struct pg_row *row, int field, const void *octets, size_t len) {
  free((void *)row->value[field]);
  char *copy = malloc(len ? len : 1);
  MUST(copy);
  memcpy(copy, octets, len);
  row->value[field] = copy;
  row->len[field] = (int)len;
}

static void read_field(struct fuzz *in, struct pg_row *row, int field) {
  unsigned kind = fuzz_octet(in);
  size_t len;
  uint8_t *octets;
  uint8_t number[8];
  row->value[field] = NULL;
  row->len[field] = -1;
  switch (kind) {
  case NULL_FIELD:
    return;
  case OCTETS_FIELD:
    octets = fuzz_octets(in, fuzz_octet(in), &len);
    row->value[field] = (char *)octets;
    row->len[field] = (int)len;
    return;
  case INTEGER_FIELD:
    for (int i = 0; i < 8; i++) {
      number[i] = (uint8_t)fuzz_octet(in);
    }
    set(row, field, number, sizeof number);
    return;
  case LONG_FIELD:
    len = (size_t)fuzz_octet(in) * 40;
    octets = malloc(len + 1);
    MUST(octets);
    memset(octets, 'a', len);
    set(row, field, octets, len);
    free(octets);
    return;
  default:
    kind = (kind - WORDS) % (sizeof words / sizeof *words);
    set(row, field, words[kind], strlen(words[kind]));
  }
}

/* A field as a C string; false: it is none, or does not fit. */
static bool string(const struct pg_row *row, int field, char *out, size_t cap) {
  if (row->len[field] < 0 || (size_t)row->len[field] >= cap) {
    return false;
  }
  memcpy(out, row->value[field], (size_t)row->len[field]);
  out[row->len[field]] = '\0';
  return true;
}

static void seal_key(struct pg_row *row, size_t k_len) {
  static const uint8_t k[TURNCRED_KEY_MAX];
  uint8_t sealed[TURNCRED_WRAPPED_MAX];
  char realm[TURNCRED_REALM_MAX + 1], kid[600], use[40], alg[40], derivation[40];
  struct turncred_key_row bound = {.kek_id = "main", .realm = realm, .kid = kid};
  size_t len;
  if (string(row, 0, realm, sizeof realm) && string(row, 1, kid, sizeof kid) && string(row, 3, use, sizeof use) &&
      string(row, 4, alg, sizeof alg) && string(row, 5, derivation, sizeof derivation) &&
      !turncred_use_parse(use, &bound.use) && !turncred_alg_parse(alg, &bound.alg) &&
      !turncred_derivation_parse(derivation, &bound.derivation) &&
      !turncred_key_seal(kek_ring_find(keks, "main"), &bound, k, k_len % sizeof k, sealed, sizeof sealed, &len)) {
    set(row, 7, "main", 4);
    set(row, 8, sealed, len);
  }
}

static void seal_credential(struct pg_row *row) {
  static const uint8_t nonce[12], plain[TURNCRED_CREDENTIAL_PLAIN];
  uint8_t sealed[TURNCRED_CREDENTIAL_SEALED];
  char realm[TURNCRED_REALM_MAX + 1], username[600], address[64] = "", user[600];
  struct turncred_credential_row bound = {"main", realm, username, pg_row_int(row, 7), address, NULL};
  string(row, 8, address, sizeof address);
  if (string(row, 10, user, sizeof user)) {
    bound.user_id = user;
  }
  if (string(row, 0, realm, sizeof realm) && string(row, 1, username, sizeof username) &&
      !turncred_credential_seal(kek_ring_find(keks, "main"), &bound, nonce, plain, sealed)) {
    set(row, 3, "main", 4);
    set(row, 4, sealed, sizeof sealed);
  }
}

/* Reads a row, and hands it over; its flags. */
static unsigned take(struct fuzz *in, struct rows *rows) {
  enum rows_table table = (enum rows_table)(fuzz_octet(in) % ROWS_TABLES);
  unsigned flags = fuzz_octet(in);
  struct pg_row row = {.count = counts[table]};
  if (flags & FLAG_OTHER_COUNT) {
    row.count = (int)(fuzz_octet(in) % (PG_FIELDS_MAX + 1));
  }
  for (int i = 0; i < row.count; i++) {
    read_field(in, &row, i);
  }
  if (flags & FLAG_SEALED && row.count == counts[table]) {
    if (table == ROWS_KEY) {
      seal_key(&row, fuzz_octet(in));
    } else if (table == ROWS_CREDENTIAL) {
      seal_credential(&row);
    }
  }
  MUST(rows_take(table)(&row, rows));
  for (int i = 0; i < row.count; i++) {
    free((void *)row.value[i]);
  }
  return flags;
}

static void put_good(struct store_snapshot *snapshot) {
  struct realm_fields fields = {.guest_kids = "", .listen_addresses = "", .origins = ""};
  struct store_key key = {.realm = "good.example", .kid = "good", .state = STORE_KEY_ACTIVE};
  static const uint8_t k[32];
  strcpy(fields.realm.name, "good.example");
  strcpy(fields.realm.server_name, "good.example");
  fields.realm.mechanisms[0] = STORE_TOKEN;
  fields.realm.max_ttl = fields.realm.default_ttl = 3600;
  MUST(!turncred_key_init(&key.key, TURNCRED_USE_TOKEN, TURNCRED_A256GCM, TURNCRED_DERIVATION_NONE, k, sizeof k));
  MUST(!snapshot_put_realm(snapshot, &fields) && !snapshot_put_key(snapshot, &key));
}

static void ask(const struct store_snapshot *s) {
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    const struct store_realm *realm = store_realm_find(s, words[i]);
    store_realm_by_listener(s, words[i]);
    store_realm_by_origin(s, words[i]);
    store_revoked_at(s, STORE_REVOKED_USER, words[i], "alice");
    if (!realm) {
      continue;
    }
    static const uint8_t peer[16] = {192, 0, 2, 1};
    store_peer_allowed(realm, peer, 4);
    store_peer_allowed(realm, peer, 16);
    MUST(realm->max_ttl && realm->default_ttl && realm->default_ttl <= realm->max_ttl && *realm->server_name);
    for (enum turncred_use use = TURNCRED_USE_TOKEN; use <= TURNCRED_USE_TAG; use++) {
      const struct store_key *key = store_key_to_sign(s, realm, use, FUZZ_NOW);
      MUST(!key || (key->state == STORE_KEY_ACTIVE && key->key.use == use));
    }
    const struct store_key *key = store_key_find(s, realm, "k1");
    MUST(!key || !store_key_accepts(key, FUZZ_NOW) || key->state != STORE_KEY_DISABLED);
    store_key_to_share(s, realm, FUZZ_NOW);
    store_credential_find(s, realm, "alice");
  }
}

/* What was accepted can be written down, and is the same when it is read. */
static void write_and_read(const struct store_snapshot *snapshot) {
  struct sealed_header header = {.kek_id = "main",
                                 .identity = "fuzz",
                                 .instance = "fuzz",
                                 .progress = 7,
                                 .time = FUZZ_NOW},
                       again;
  struct sealed_reading how = {keks, "fuzz", FUZZ_NOW, 60};
  struct store_snapshot *copy = NULL;
  const char *path = fuzz_path("snapshot");
  char err[300];
  MUST(!disk_write(path, snapshot, &header, kek_ring_find(keks, "main"), err, sizeof err));
  MUST(!disk_read(path, &how, 2, &copy, &again, err, sizeof err));
  MUST(copy->keys == snapshot->keys && copy->credentials == snapshot->credentials &&
       copy->realms.count == snapshot->realms.count && copy->revocations.count == snapshot->revocations.count);
  ask(copy);
  snapshot_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static uint64_t seed = 1;
  struct fuzz in = {data, size};
  struct rows rows;
  char err[200];
  unsigned flags = 0;
  if (!keks) {
    MUST(!kek_ring_load(&keks, fuzz_file("main", "0123456789abcdef0123456789abcdef", 32), err, sizeof err));
  }
  rows_init(&rows, keks, NULL, NULL);
  rows.snapshot = snapshot_new(seed);
  MUST(rows.ws && rows.snapshot);
  put_good(rows.snapshot);
  rows_begin_full(&rows);
  while (in.left) {
    rows.keep_k = flags & FLAG_ISSUER;
    flags = take(&in, &rows);
    if (flags & FLAG_DISK) { /* a look that follows another one */
      struct store_snapshot *next = snapshot_fork(rows.snapshot);
      MUST(next);
      snapshot_free(rows.snapshot);
      rows.snapshot = next;
    }
  }
  rows_end_full(&rows, true);
  ask(rows.snapshot);
  if (flags & FLAG_DISK) {
    write_and_read(rows.snapshot);
  }
  const struct store_realm *good = store_realm_find(rows.snapshot, "good.example");
  MUST(good && store_key_find(rows.snapshot, good, "good"));
  snapshot_free(rows.snapshot);
  rows_clear(&rows);
  return 0;
}
