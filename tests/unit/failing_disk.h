/*
 * failing_disk.h - a disk that fails when it is read, when a file is cut, or when a folder is synced; POSIX's fclose()
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The functions stand for those of the C library. config.h comes first, for RTLD_NEXT.
 */
#ifndef TESTS_UNIT_FAILING_DISK_H
#define TESTS_UNIT_FAILING_DISK_H

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool readdir_fails, folder_sync_fails, cut_fails;
static long octets_readable = -1; /* of a stream of fdopen(), before it fails; -1: all */

static void *next_of(const char *name) { return dlsym(RTLD_NEXT, name); }

struct dirent *readdir(DIR *dir) {
  struct dirent *(*next)(DIR *);
  void *found = next_of(sizeof(off_t) > sizeof(long) ? "readdir64" : "readdir");
  memcpy(&next, &found, sizeof next);
  if (readdir_fails) {
    errno = EIO;
    return NULL;
  }
  return next(dir);
}

int fsync(int fd) {
  struct stat st;
  if (folder_sync_fails && !fstat(fd, &st) && S_ISDIR(st.st_mode)) {
    errno = EIO;
    return -1;
  }
  return (int)syscall(SYS_fsync, fd);
}

int ftruncate(int fd, off_t size) {
  int (*next)(int, off_t);
  void *found = next_of(sizeof(off_t) > sizeof(long) ? "ftruncate64" : "ftruncate");
  memcpy(&next, &found, sizeof next);
  if (cut_fails) {
    errno = ENOSPC;
    return -1;
  }
  return next(fd, size);
}

/* As POSIX and musl have it, and glibc 2.36 does not: what the stream had read ahead is given back, for whoever shares
 * the description. */
int fclose(FILE *file) {
  int (*next)(FILE *);
  void *found = next_of("fclose");
  memcpy(&next, &found, sizeof next);
  off_t at = __freading(file) && fileno(file) >= 0 ? ftello(file) : -1;
  if (at >= 0) {
    lseek(fileno(file), at, SEEK_SET);
  }
  return next(file);
}

static ssize_t read_some(void *cookie, char *out, size_t cap) {
  size_t n = (size_t)octets_readable < cap ? (size_t)octets_readable : cap;
  ssize_t got = n ? read((int)(intptr_t)cookie, out, n) : -1;
  if (!n) {
    errno = EIO;
  }
  octets_readable -= got > 0 ? got : 0;
  return got;
}

static int close_it(void *cookie) { return close((int)(intptr_t)cookie); }

FILE *fdopen(int fd, const char *mode) {
  FILE *(*next)(int, const char *);
  void *found = next_of("fdopen");
  memcpy(&next, &found, sizeof next);
  if (octets_readable < 0) {
    return next(fd, mode);
  }
  return fopencookie((void *)(intptr_t)fd, mode, // NOLINT(performance-no-int-to-ptr)
                     (cookie_io_functions_t){.read = read_some, .close = close_it});
}

#endif
