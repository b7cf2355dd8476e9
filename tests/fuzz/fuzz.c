/*
 * fuzz.c - what the fuzz targets share: an input that is taken apart, and files for what reads files
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

static char folder[64];

unsigned fuzz_octet(struct fuzz *in) {
  if (!in->left) {
    return 0;
  }
  in->left--;
  return *in->p++;
}

uint64_t fuzz_int(struct fuzz *in) {
  uint64_t x = 0;
  for (int i = 0; i < 8; i++) {
    x = x << 8 | fuzz_octet(in);
  }
  return x;
}

uint8_t *fuzz_octets(struct fuzz *in, size_t n, size_t *len) {
  *len = n < in->left ? n : in->left;
  uint8_t *copy = malloc(*len ? *len : 1);
  MUST(copy);
  if (*len) {
    memcpy(copy, in->p, *len);
  }
  in->p += *len;
  in->left -= *len;
  return copy;
}

static char *text_of(struct fuzz *in, size_t n) {
  char *text = malloc(n + 1);
  MUST(text);
  for (size_t i = 0; i < n; i++) {
    text[i] = in->p[i] ? (char)in->p[i] : ' ';
  }
  text[n] = '\0';
  in->p += n;
  in->left -= n;
  return text;
}

char *fuzz_line(struct fuzz *in) {
  size_t n = 0;
  while (n < in->left && in->p[n] && in->p[n] != '\n') {
    n++;
  }
  char *line = text_of(in, n);
  fuzz_octet(in);
  return line;
}

char *fuzz_text(struct fuzz *in) { return text_of(in, in->left); }

void fuzz_folder_clear(void) {
  DIR *dir = opendir(fuzz_folder());
  for (struct dirent *entry; dir && (entry = readdir(dir));) {
    unlinkat(dirfd(dir), entry->d_name, 0);
  }
  if (dir) {
    closedir(dir);
  }
}

static void remove_folder(void) {
  fuzz_folder_clear();
  rmdir(folder);
}

const char *fuzz_folder(void) {
  if (!*folder) {
    snprintf(folder, sizeof folder, "%s/turncred-fuzz.XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    MUST(mkdtemp(folder));
    atexit(remove_folder);
  }
  return folder;
}

const char *fuzz_path(const char *name) {
  static char paths[2][128];
  static unsigned turn;
  char *path = paths[turn++ % 2];
  snprintf(path, sizeof paths[0], "%s/%s", fuzz_folder(), name);
  return path;
}

const char *fuzz_file(const char *name, const void *octets, size_t len) {
  const char *path = fuzz_path(name);
  unlink(path);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600); /* others may not read a key encryption key */
  FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
  MUST(file && fwrite(octets, 1, len, file) == len && !fclose(file));
  return path;
}
