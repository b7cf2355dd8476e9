/*
 * test_store_disk.c - a snapshot is on disk only when its folder is; one of a later version is refused by name
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "failing_disk.h"

#include "testing.h"

#include "store/disk.h"
#include "store/snapshot.h"

#include <stdlib.h>
#include <sys/stat.h>

static const uint8_t kek[TURNCRED_KEK] = {1};

/* Without it a power cut brings the older file back, of which the store thinks that it is replaced. */
static void a_folder_that_is_not_synced_is_an_error(void **state) {
  char folder[] = "/tmp/test_store_disk.XXXXXX", path[64], err[300] = "";
  const struct sealed_header header = {.kek_id = "main", .identity = "db", .instance = "i", .time = 1};
  struct store_snapshot *snapshot = snapshot_new(1);
  (void)state;
  assert_non_null(mkdtemp(folder));
  assert_non_null(snapshot);
  snprintf(path, sizeof path, "%s/snapshot", folder);
  folder_sync_fails = true;
  int rc = disk_write(path, snapshot, &header, kek, err, sizeof err);
  folder_sync_fails = false;
  assert_int_equal(rc, EIO);
  assert_non_null(strstr(err, "Input/output error"));
  assert_int_equal(disk_write(path, snapshot, &header, kek, err, sizeof err), 0);
  snapshot_free(snapshot);
  unlink(path);
  assert_int_equal(rmdir(folder), 0);
}

/* A record that is whole, with one value put in: as a later version may write it. */
struct later {
  char kind;
  unsigned use, alg, state, mechanism, expiry, revoked;
};

static bool put_later(struct sealed *s, const void *arg) {
  const struct later *later = arg;
  static const uint8_t zeros[160];
  sealed_put_byte(s, 'r');
  sealed_put_text(s, "r");
  sealed_put_text(s, "turn.r");
  const uint8_t mechanisms[4] = {1, (uint8_t)later->mechanism};
  sealed_put(s, mechanisms, sizeof mechanisms);
  for (unsigned i = 0; i < 5; i++) {
    sealed_put_byte(s, i == 2 ? later->expiry : 0);
  }
  for (int i = 0; i < 6; i++) { /* grace_seconds to max_bps */
    sealed_put_int(s, 60);
  }
  sealed_put_byte(s, 0);
  for (int i = 0; i < 4; i++) { /* keys_tried, three empty lists */
    sealed_put_int(s, i ? 0 : 16);
  }
  sealed_put_byte(s, 'k');
  sealed_put_text(s, "r");
  sealed_put_text(s, "kid");
  sealed_put_byte(s, later->use);
  sealed_put_byte(s, later->alg);
  sealed_put(s, zeros, 2); /* derivation, allow_zero_iv */
  sealed_put_byte(s, 32);
  sealed_put_byte(s, 0);
  sealed_put(s, zeros, 160);
  sealed_put_byte(s, 0);
  sealed_put_byte(s, ':');
  sealed_put_int(s, 0);
  sealed_put_byte(s, later->state);
  sealed_put_byte(s, 0);
  for (int i = 0; i < 3; i++) { /* the windows */
    sealed_put_int(s, 0);
  }
  sealed_put_byte(s, 'V');
  sealed_put_byte(s, later->revoked);
  sealed_put_text(s, "r");
  sealed_put_text(s, "somebody");
  sealed_put_int(s, 0);
  if (later->kind) {
    sealed_put_byte(s, (unsigned char)later->kind);
    sealed_put(s, zeros, 100);
  }
  return sealed_error(s) == 0;
}

static int read_back(const char *path, char err[300]) {
  struct kek_ring *keks = NULL;
  struct store_snapshot *snapshot = NULL;
  struct sealed_header header;
  char file[80];
  snprintf(file, sizeof file, "%s.kek", path);
  assert_int_equal(kek_ring_load(&keks, file, err, 300), 0);
  const struct sealed_reading how = {keks, "i", 1, 10};
  int rc = disk_read(path, &how, 1, &snapshot, &header, err, 300);
  if (!rc) {
    snapshot_free(snapshot);
  }
  kek_ring_free(keks);
  return rc;
}

static void put_octet(const char *path, long at, int octet) {
  FILE *file = fopen(path, "r+");
  assert_non_null(file);
  assert_int_equal(fseek(file, at, SEEK_SET), 0);
  assert_int_equal(fputc(octet, file), octet);
  assert_int_equal(fclose(file), 0);
}

/* An older program that comes back names the reason, and takes no value that it does not know. */
static void what_a_later_version_wrote_is_refused_by_name(void **state) {
  static const struct later good = {0, 1, 1, 2, 4, 2, 4};
  static const struct later files[] = {{'x', 1, 1, 2, 4, 2, 4}, {0, 5, 1, 2, 4, 2, 4}, {0, 1, 8, 2, 4, 2, 4},
                                       {0, 1, 1, 5, 4, 2, 4},   {0, 1, 1, 2, 5, 2, 4}, {0, 1, 1, 2, 4, 3, 4},
                                       {0, 1, 1, 2, 4, 2, 5}};
  char folder[] = "/tmp/test_store_disk.XXXXXX", path[64], key[80], err[300] = "";
  const struct sealed_header header = {.kek_id = "snapshot.kek", .identity = "db", .instance = "i", .time = 1};
  (void)state;
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/snapshot", folder);
  snprintf(key, sizeof key, "%s.kek", path);
  FILE *file = fopen(key, "w");
  assert_non_null(file);
  assert_int_equal(fwrite(kek, 1, sizeof kek, file), sizeof kek);
  assert_int_equal(fclose(file), 0);
  assert_int_equal(chmod(key, 0600), 0);
  assert_int_equal(sealed_write(path, &header, kek, put_later, &good, err, sizeof err), 0);
  if (read_back(path, err)) {
    fail_msg("%s", err);
  }
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    assert_int_equal(sealed_write(path, &header, kek, put_later, &files[i], err, sizeof err), 0);
    assert_int_equal(read_back(path, err), EPROTONOSUPPORT);
    assert_non_null(strstr(err, "a later version of turncred wrote it"));
  }
  put_octet(path, 7, SEALED_VERSION + 1);
  assert_int_equal(read_back(path, err), EPROTONOSUPPORT);
  assert_non_null(strstr(err, "a later version of turncred wrote it"));
  put_octet(path, 0, 'x');
  assert_int_equal(read_back(path, err), EBADMSG);
  assert_int_equal(unlink(path) | unlink(key) | rmdir(folder), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_folder_that_is_not_synced_is_an_error),
                                     cmocka_unit_test(what_a_later_version_wrote_is_refused_by_name)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
