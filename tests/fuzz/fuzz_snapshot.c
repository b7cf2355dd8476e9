/*
 * fuzz_snapshot.c - libFuzzer: the snapshot file
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * An input that begins with "r" is a file as it stands. Any other input is the content of a file that is sealed under
 * the right key: what a program with a fault, or an operator with the key, could have written.
 */
#include "fuzz.h"

#include "store/disk.h"

#include <errno.h>

static const uint8_t kek[TURNCRED_KEK] = "0123456789abcdef0123456789abcde";
static const struct sealed_header header = {
    .kek_id = "main", .identity = "fuzz", .instance = "fuzz", .progress = 7, .time = FUZZ_NOW};

static bool fill(struct sealed *s, const void *arg) {
  const struct fuzz *in = arg;
  sealed_put(s, in->p, in->left);
  return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct kek_ring *keks;
  struct fuzz in = {data, size};
  struct sealed_header said;
  struct store_snapshot *snapshot = NULL, *again = NULL;
  char err[300] = "";
  bool raw = size && *data == 'r';
  if (!keks) {
    MUST(!kek_ring_load(&keks, fuzz_file("main", kek, sizeof kek), err, sizeof err));
  }
  const struct sealed_reading how = {keks, "fuzz", FUZZ_NOW, 60};
  const char *path = fuzz_path("snapshot");
  if (raw) {
    fuzz_file("snapshot", data + 1, size - 1);
  } else {
    MUST(!sealed_write(path, &header, kek, fill, &in, err, sizeof err));
  }
  int rc = disk_read(path, &how, 1, &snapshot, &said, err, sizeof err);
  MUST(rc ? *err && memchr(err, '\0', sizeof err) : snapshot != NULL);
  if (rc) {
    return 0;
  }
  MUST(!raw); /* nobody without the key makes a file */
  MUST(!strcmp(said.instance, "fuzz") && said.progress == header.progress);
  MUST(!disk_write(path, snapshot, &header, kek, err, sizeof err) &&
       !disk_read(path, &how, 2, &again, &said, err, sizeof err));
  MUST(again->keys == snapshot->keys && again->credentials == snapshot->credentials &&
       again->realms.count == snapshot->realms.count);
  snapshot_free(again);
  snapshot_free(snapshot);
  return 0;
}
