/*
 * fuzz_journal.c - libFuzzer: the files of the journal
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * An input is an octet of flags, a line for the file with the stream's id, and the lines of the first segment; with
 * FLAG_CHECKED each of these gets its right check. A journal that opens gives numbers that grow, takes an entry, and
 * has it after it has been opened again.
 */
#include "fuzz.h"

#include "base/journal.h"
#include "core/turncred.h"

#include <semaphore.h>

enum { FLAG_CHECKED = 1, FLAG_STREAM = 2, FLAG_TWO = 4 };

static void on_log(bool error, const char *line, void *arg) { (void)error, (void)line, (void)arg; }

static void on_done(int err, void *arg) {
  MUST(!err);
  sem_post(arg);
}

static void on_entry(uint64_t number, const char *octets, size_t len, void *arg) {
  uint64_t *last = arg;
  MUST(number > *last && len <= JOURNAL_ENTRY_MAX && !memchr(octets, '\n', len));
  *last = number;
}

static void write_segment(struct fuzz *in, const char *name, bool checked) {
  size_t room = in->left * 20 + 1, len = 0;
  char *text = malloc(room);
  MUST(text);
  while (in->left) {
    char *line = fuzz_line(in), hex[17] = "";
    uint8_t digest[32];
    if (checked) {
      MUST(!turncred_sha256(NULL, (uint8_t *)line, strlen(line), digest) &&
           !turncred_hex_encode(digest, 8, hex, sizeof hex));
    }
    len += (size_t)snprintf(text + len, room - len, "%s%s%s%s", hex, checked ? " " : "", line, in->left ? "\n" : "");
    free(line);
  }
  fuzz_file(name, text, len);
  free(text);
}

/* Opens the folder, reads what is there, and adds an entry. *last: the number of the last entry that was there. */
static bool use(uint64_t *last, bool *added) {
  struct journal_config config = {fuzz_folder(), "state_dir", 1000, on_log, NULL};
  struct journal *journal = NULL;
  sem_t done;
  char err[400] = "";
  *last = 0;
  *added = false;
  if (journal_open(&journal, &config, err, sizeof err)) {
    MUST(*err);
    return false;
  }
  MUST(strlen(journal_stream(journal)) == JOURNAL_STREAM - 1);
  size_t n = journal_read(journal, 1000, on_entry, last);
  MUST(n == journal_waiting(journal) || n == 1000);
  sem_init(&done, 0, 0);
  if (journal_waiting(journal) < 1000 && !journal_add(journal, "\"x\":1}", 6, on_done, &done)) {
    sem_wait(&done);
    *added = true;
  }
  if (*last % 3 == 0) {
    journal_delivered(journal, *last);
  }
  journal_close(journal);
  sem_destroy(&done);
  return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz in = {data, size};
  unsigned flags = fuzz_octet(&in);
  uint64_t first, second;
  bool added;
  char *stream = fuzz_line(&in);
  fuzz_folder_clear();
  if (flags & FLAG_STREAM) {
    fuzz_file("stream", stream, strlen(stream));
  }
  write_segment(&in, flags & FLAG_TWO ? "00000000000000000002.log" : "00000000000000000001.log", flags & FLAG_CHECKED);
  if (use(&first, &added)) {
    bool again;
    MUST(use(&second, &again) && (!added || second > first)); /* the entry that was added is there */
  }
  free(stream);
  return 0;
}
