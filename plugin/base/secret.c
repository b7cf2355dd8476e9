/* secret.c - secrets come from files or standard input, and leave no traces
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "secret.h"

#include "core/turncred.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where standard input, output or error is closed, the next file or socket would get its number, and what is printed: a
 * token in the middle of the database's protocol, say. What stands in its place can be neither read nor written. */
static void keep_standard_files(void) {
  int fd;
  do {
    fd = open("/", O_PATH);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) {
    close(fd);
  }
}

void secret_harden(void) {
  struct rlimit none = {0, 0};
  keep_standard_files();
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  setrlimit(RLIMIT_CORE, &none);
}

static int read_all(int fd, uint8_t *out, size_t cap, size_t *len) {
  size_t got = 0;
  for (;;) {
    uint8_t extra;
    ssize_t n = got < cap ? read(fd, out + got, cap - got) : read(fd, &extra, 1);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return errno;
    }
    if (!n) {
      break;
    }
    if (got == cap) {
      return EFBIG;
    }
    got += (size_t)n;
  }
  *len = got;
  return 0;
}

int secret_read(const char *path, const char *what, uint8_t *out, size_t cap, size_t *len, char *text,
                size_t text_cap) {
  int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
  int err = fd < 0 ? errno : read_all(fd, out, cap, len);
  if (fd > STDIN_FILENO) {
    close(fd);
  }
  if (!err) {
    return 0;
  }
  turncred_cleanse(out, cap);
  if (err == EFBIG) {
    snprintf(text, text_cap, "%s: %s holds more than %zu octets", what, path, cap);
  } else {
    snprintf(text, text_cap, "%s: cannot read %s: %s", what, path, strerror(err));
  }
  return err;
}

int secret_read_line(const char *path, const char *what, char *out, size_t cap, char *text, size_t text_cap) {
  size_t len = 0;
  int err = secret_read(path, what, (uint8_t *)out, cap - 1, &len, text, text_cap);
  if (err) {
    return err;
  }
  out[len] = '\0';
  char *end = memchr(out, '\n', len);
  size_t line = end ? (size_t)(end - out) : len;
  if (line && out[line - 1] == '\r') {
    line--;
  }
  if (!line || memchr(out, 0, line)) {
    turncred_cleanse(out, cap);
    snprintf(text, text_cap, "%s: the first line of %s is empty or holds a NUL octet", what, path);
    return EINVAL;
  }
  turncred_cleanse(out + line, cap - line);
  return 0;
}

int secret_write_new(const char *path, const uint8_t *octets, size_t len, char *text, size_t text_cap) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  int err = fd < 0 ? errno : 0;
  for (size_t done = 0; !err && done < len;) {
    ssize_t n = write(fd, octets + done, len - done);
    if (n >= 0) {
      done += (size_t)n;
    } else if (errno != EINTR) {
      err = errno;
    }
  }
  if (!err && (fchmod(fd, 0600) || fsync(fd))) {
    err = errno;
  }
  if (fd >= 0) {
    if (close(fd) && !err) {
      err = errno;
    }
    if (err) {
      unlink(path); /* half a key is worse than none */
    }
  }
  if (err == EEXIST) {
    snprintf(text, text_cap, "%s exists already and is left as it is; choose another name", path);
  } else if (err) {
    snprintf(text, text_cap, "cannot write %s: %s", path, strerror(err));
  }
  return err;
}
