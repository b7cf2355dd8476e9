/*
 * set_aside.c - entries of a journal that their receiver refuses for good, kept on disk until an operator decides
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "set_aside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_DIGITS 20
#define ENDING ".json"
#define HALF ".new"
#define REASON ",\"refused\":\"" /* the reason begins behind it; as no octets of a journal do */
#define REASON_MAX 300
#define LINE_MAX_OCTETS (JOURNAL_ENTRY_MAX + REASON_MAX + 100)

static void name_of(uint64_t number, char name[40]) { snprintf(name, 40, "%0*" PRIu64 ENDING, NAME_DIGITS, number); }

/* The number in a file's name; 0: the file is none of ours. */
static uint64_t number_of(const char *name, const char *ending) {
  if (strspn(name, "0123456789") != NAME_DIGITS || strcmp(name + NAME_DIGITS, ending) != 0) {
    return 0;
  }
  return strtoull(name, NULL, 10);
}

static int open_folder(const char *folder) { return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC); }

long set_aside_open(const char *folder, char *err, size_t cap) {
  int fd = mkdir(folder, 0700) && errno != EEXIST ? -1 : open_folder(folder);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  long count = 0;
  if (!dir) {
    snprintf(err, cap, "%s: %s", folder, strerror(errno));
    if (fd >= 0) {
      close(fd);
    }
    return -1;
  }
  for (struct dirent *d; (errno = 0, d = readdir(dir));) {
    if (number_of(d->d_name, ENDING HALF)) {
      unlinkat(fd, d->d_name, 0);
    }
    count += number_of(d->d_name, ENDING) != 0;
  }
  if (errno) {
    snprintf(err, cap, "%s: %s", folder, strerror(errno));
    count = -1;
  }
  closedir(dir);
  return count;
}

/* The reason as the inside of a JSON string, without what would need an escape. */
static void plain(const char *reason, char out[REASON_MAX]) {
  size_t n = 0;
  for (; *reason && n + 1 < REASON_MAX; reason++) {
    unsigned char c = (unsigned char)*reason;
    out[n++] = (char)(c == '"' ? '\'' : c < ' ' || c >= 0x7f || c == '\\' ? '?' : c);
  }
  out[n] = '\0';
}

static bool write_all(int fd, const char *text, size_t size) {
  for (size_t at = 0; at < size;) {
    ssize_t n = write(fd, text + at, size - at);
    if (n < 0 && errno != EINTR) {
      return false;
    }
    at += n > 0 ? (size_t)n : 0;
  }
  return true;
}

/* Puts the text into a file of this name, whole or not at all, and syncs it. 0, or an errno value. */
static int put_file(int folder, const char *name, const char *text, size_t size) {
  char half[48];
  snprintf(half, sizeof half, "%s" HALF, name);
  int fd = openat(folder, half, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    return errno;
  }
  int rc = !write_all(fd, text, size) || fsync(fd) ? errno : 0;
  close(fd);
  if (!rc && (renameat(folder, half, folder, name) || fsync(folder))) {
    rc = errno;
  }
  return rc;
}

int set_aside_add(const char *folder, uint64_t number, const char *octets, size_t len, const char *reason,
                  bool *fresh) {
  char name[40], why[REASON_MAX], line[LINE_MAX_OCTETS];
  name_of(number, name);
  plain(reason, why);
  if (len > JOURNAL_ENTRY_MAX) {
    return EMSGSIZE;
  }
  int size = snprintf(line, sizeof line, "{\"q\":%" PRIu64 REASON "%s\",%.*s\n", number, why, (int)len, octets);
  int fd = open_folder(folder);
  if (fd < 0) {
    return errno;
  }
  *fresh = faccessat(fd, name, F_OK, 0) != 0;
  int rc = *fresh ? put_file(fd, name, line, (size_t)size) : 0;
  close(fd);
  return rc;
}

/* Reads the entry's octets into line. Returns their beginning in line, or NULL. */
static const char *read_entry(int folder, const char *name, char line[LINE_MAX_OCTETS]) {
  int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  ssize_t n = fd < 0 ? -1 : read(fd, line, LINE_MAX_OCTETS - 1);
  if (fd >= 0) {
    close(fd);
  }
  line[n > 0 ? n : 0] = '\0';
  line[strcspn(line, "\n")] = '\0';
  const char *reason = strstr(line, REASON), *end = reason ? strstr(reason + strlen(REASON), "\",") : NULL;
  return end ? end + 2 : NULL;
}

long set_aside_read(const char *folder, size_t max, journal_entry_fn fn, void *arg) {
  char line[LINE_MAX_OCTETS];
  long count = 0;
  int fd = open_folder(folder);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (!dir) {
    if (fd >= 0) {
      close(fd);
    }
    return -1;
  }
  for (struct dirent *d; (size_t)count < max && (d = readdir(dir));) {
    uint64_t number = number_of(d->d_name, ENDING);
    const char *octets = number ? read_entry(fd, d->d_name, line) : NULL;
    if (octets) {
      fn(number, octets, strlen(octets), arg);
      count++;
    }
  }
  closedir(dir);
  return count;
}

int set_aside_remove(const char *folder, uint64_t number) {
  char name[40];
  name_of(number, name);
  int fd = open_folder(folder);
  if (fd < 0) {
    return errno;
  }
  int rc = unlinkat(fd, name, 0) && errno != ENOENT ? errno : 0;
  close(fd);
  return rc;
}
