/*
 * test_store_memory.c - a row that cannot be opened for want of memory is not refused: the load fails
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "allocations.h"
#include "testing.h"

#include "store/rows.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define ALLOCATIONS_MAX 500

static struct kek_ring *keks;
static int lines; /* in the log */

static void count_line(enum store_log_level level, const char *text, void *arg) {
  (void)level;
  (void)text;
  (void)arg;
  lines++;
}

static void set(struct pg_row *row, int field, const void *octets, size_t len) {
  row->value[field] = octets;
  row->len[field] = (int)len;
}

static const char number[8]; /* 0 */
static uint8_t sealed[TURNCRED_WRAPPED_MAX], sealed_credential[TURNCRED_CREDENTIAL_SEALED];

static void row_of(struct pg_row *row, const char *const *texts, int count) {
  row->count = count;
  for (int i = 0; i < count; i++) {
    set(row, i, texts[i] ? texts[i] : number, texts[i] ? strlen(texts[i]) : sizeof number);
  }
}

static void key_row(struct pg_row *row) {
  static const char *const texts[] = {"r",    "k1",     "k1", "token", "A256GCM", "none", "timestamp:user-id",
                                      "main", "",       "",   NULL,    NULL,      NULL,   NULL,
                                      NULL,   "active", NULL, ":",     NULL,      NULL};
  static const uint8_t k[32] = {1};
  const struct turncred_key_row bound = {
      "main", "r", "k1", TURNCRED_USE_TOKEN, TURNCRED_A256GCM, TURNCRED_DERIVATION_NONE};
  size_t len;
  assert_int_equal(turncred_key_seal(kek_ring_find(keks, "main"), &bound, k, sizeof k, sealed, sizeof sealed, &len), 0);
  row_of(row, texts, 20);
  set(row, 8, sealed, len);
}

static void credential_row(struct pg_row *row) {
  static const char *const texts[] = {"r", "alice", "alice", "main", "", "", "", NULL, "", NULL, "alice", NULL, NULL};
  static const uint8_t nonce[12], plain[TURNCRED_CREDENTIAL_PLAIN];
  const struct turncred_credential_row bound = {"main", "r", "alice", 0, "", NULL};
  assert_int_equal(turncred_credential_seal(kek_ring_find(keks, "main"), &bound, nonce, plain, sealed_credential), 0);
  row_of(row, texts, 13);
  set(row, 4, sealed_credential, sizeof sealed_credential);
  row->len[7] = row->len[10] = -1; /* no expiry, no user id */
}

static void put_realm(struct store_snapshot *snapshot) {
  struct realm_fields fields = {.guest_kids = "", .listen_addresses = "", .origins = ""};
  strcpy(fields.realm.name, "r");
  strcpy(fields.realm.server_name, "turn.r");
  fields.realm.mechanisms[0] = STORE_TOKEN;
  fields.realm.max_ttl = fields.realm.default_ttl = 3600;
  assert_int_equal(snapshot_put_realm(snapshot, &fields), 0);
}

static bool is_there(const struct store_snapshot *snapshot, enum rows_table table) {
  const struct store_realm *realm = store_realm_find(snapshot, "r");
  return table == ROWS_KEY ? store_key_find(snapshot, realm, "k1") != NULL
                           : store_credential_find(snapshot, realm, "alice") != NULL;
}

/* A row that is in the snapshot already comes again, as after a change of another field. */
static void comes_again(enum rows_table table, const struct pg_row *row) {
  struct rows rows;
  int failed = 0;
  rows_init(&rows, keks, count_line, NULL);
  turncred_ws_free(rows.ws); /* so that opening a row allocates */
  rows.ws = NULL;
  rows.snapshot = snapshot_new(1);
  put_realm(rows.snapshot);
  rows_begin_full(&rows);
  assert_true(rows_take(table)(row, &rows));
  assert_true(is_there(rows.snapshot, table));
  long n = 0;
  for (bool reached = true; reached; n++) {
    assert_in_range(n, 0, ALLOCATIONS_MAX);
    allocations_left = n;
    bool ok = rows_take(table)(row, &rows);
    reached = allocations_left < 0;
    allocations_left = -1;
    assert_true(is_there(rows.snapshot, table));
    assert_int_equal(rows.refused.count, 0);
    assert_true(reached || ok);
    failed += !ok;
  }
  assert_true(failed > 2);
  assert_int_equal(lines, 0);
  snapshot_free(rows.snapshot);
  rows_clear(&rows);
}

static void no_row_is_refused(void **state) {
  struct pg_row row;
  (void)state;
  key_row(&row);
  comes_again(ROWS_KEY, &row);
  credential_row(&row);
  comes_again(ROWS_CREDENTIAL, &row);
}

static int make_kek(void **state) {
  char folder[] = "/tmp/test_store_memory.XXXXXX", path[64], err[200];
  (void)state;
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/main", folder);
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  assert_int_equal(write(fd, "0123456789abcdef0123456789abcdef", 32), 32);
  close(fd);
  assert_int_equal(kek_ring_load(&keks, path, err, sizeof err), 0);
  unlink(path);
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(no_row_is_refused)};
  return count_allocations() ? cmocka_run_group_tests(tests, make_kek, NULL) : 1;
}
