/*
 * test_store_disk.c - a snapshot is on disk only when its folder is
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "failing_disk.h"

#include "testing.h"

#include "store/disk.h"
#include "store/snapshot.h"

#include <stdlib.h>

/* Without it a power cut brings the older file back, of which the store thinks that it is replaced. */
static void a_folder_that_is_not_synced_is_an_error(void **state) {
  char folder[] = "/tmp/test_store_disk.XXXXXX", path[64], err[300] = "";
  static const uint8_t kek[TURNCRED_KEK] = {1};
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

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_folder_that_is_not_synced_is_an_error)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
