/*
 * fuzz_directory.c - libFuzzer: callers and realms as turncredd keeps them in a sealed file
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "fuzz.h"

#include "turncredd/supply/directory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint8_t sha256[32];
  struct fuzz in = {data, size};
  char *text = fuzz_text(&in);
  struct directory *directory = directory_from_text(text);
  if (directory) {
    char *again = directory_text(directory);
    struct directory *copy = again ? directory_from_text(again) : NULL;
    size_t count;
    MUST(copy && directory_equal(directory, copy));
    const struct realm_info *realms = directory_realms(directory, &count);
    const struct caller *caller = directory_by_key(directory, sha256);
    if (!caller) {
      caller = directory_by_cert(directory, sha256, "CN=portal,O=Test");
    }
    for (size_t i = 0; i < count; i++) {
      MUST(realms[i].name && realms[i].uris);
      MUST(!caller || caller_may(caller, realms[i].name) <= 1);
    }
    directory_realm(directory, "a.test");
    directory_unref(copy);
    free(again);
    directory_unref(directory);
  }
  free(text);
  return 0;
}
