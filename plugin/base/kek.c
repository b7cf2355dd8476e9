/*
 * kek.c - reads key encryption keys from files, and makes new ones
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "kek.h"

#include "fail.h"
#include "secret_memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct kek {
  char id[KEK_ID_MAX + 1];
  uint8_t key[TURNCRED_KEK];
};

struct kek_ring {
  size_t count, room;
  struct kek *keks; /* sorted by id; secret memory */
};

int kek_id_valid(const char *id) {
  size_t n = strlen(id);
  return n >= 1 && n <= KEK_ID_MAX && id[0] != '.' &&
         strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

static int check_file(const struct stat *st, const char *path, char *err, size_t cap) {
  if (!S_ISREG(st->st_mode)) {
    return fail_with(EINVAL, err, cap, "key encryption key %s: not a regular file", path);
  }
  if (st->st_mode & S_IRWXO) {
    return fail_with(EPERM, err, cap, "key encryption key %s: open to others; chmod o= it", path);
  }
  if (st->st_mode & S_IWGRP) {
    return fail_with(EPERM, err, cap, "key encryption key %s: writable by its group; chmod g-w it", path);
  }
  if (st->st_uid != 0 && st->st_uid != geteuid()) {
    return fail_with(EPERM, err, cap, "key encryption key %s: owned by neither root nor this program's user; chown it",
                     path);
  }
  if (st->st_size != TURNCRED_KEK) {
    return fail_with(EINVAL, err, cap, "key encryption key %s: has %lld octets, 32 raw octets are needed", path,
                     (long long)st->st_size);
  }
  return 0;
}

static int read_file(struct kek *kek, int dir, const char *name, const char *path, char *err, size_t cap) {
  if (!kek_id_valid(name)) {
    return fail_with(EINVAL, err, cap, "key encryption key %s: the name is its id: 1 to 64 of A-Z a-z 0-9 . _ -", path);
  }
  int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    return fail_to_read(errno, err, cap, "key encryption key", path);
  }
  struct stat st;
  int rc =
      fstat(fd, &st) ? fail_with(errno, err, cap, "%s: %s", path, strerror(errno)) : check_file(&st, path, err, cap);
  if (rc == 0) {
    uint8_t buf[TURNCRED_KEK + 1];
    ssize_t n = read(fd, buf, sizeof buf);
    if (n == TURNCRED_KEK) {
      memcpy(kek->key, buf, TURNCRED_KEK);
      snprintf(kek->id, sizeof kek->id, "%s", name);
    } else {
      rc = fail_with(n < 0 ? errno : EINVAL, err, cap, "key encryption key %s: cannot be read as 32 octets", path);
    }
    turncred_cleanse(buf, sizeof buf);
  }
  close(fd);
  return rc;
}

/* Sorts by id. qsort() would leave copies behind. */
static void sort(struct kek_ring *ring) {
  struct kek moved;
  for (size_t i = 1; i < ring->count; i++) {
    moved = ring->keks[i];
    size_t at = i;
    for (; at > 0 && strcmp(ring->keks[at - 1].id, moved.id) > 0; at--) {
      ring->keks[at] = ring->keks[at - 1];
    }
    ring->keks[at] = moved;
  }
  turncred_cleanse(&moved, sizeof moved);
}

/* realloc would leave key octets behind */
static struct kek *grow(struct kek_ring *ring) {
  struct kek *more = secret_new(SECRET_LOCKED, (ring->count + 1) * sizeof *more);
  if (!more) {
    return NULL;
  }
  if (ring->count > 0) {
    memcpy(more, ring->keks, ring->count * sizeof *more);
  }
  secret_free(SECRET_LOCKED, ring->keks, ring->room * sizeof *more);
  ring->room = ring->count + 1;
  ring->keks = more;
  return &more[ring->count];
}

static int load_folder(struct kek_ring *ring, const char *path, char *err, size_t cap) {
  DIR *dir = opendir(path);
  int at = dir ? dirfd(dir) : -1;
  if (at < 0) {
    return fail_to_read(errno, err, cap, "key encryption keys", path);
  }
  int rc = 0;
  for (struct dirent *entry; rc == 0 && (errno = 0, entry = readdir(dir));) {
    if (entry->d_name[0] == '.') {
      continue;
    }
    char full[4352];
    snprintf(full, sizeof full, "%s/%s", path, entry->d_name);
    struct kek *kek = grow(ring);
    if (!kek) {
      rc = fail_with(ENOMEM, err, cap, "out of memory");
    } else if ((rc = read_file(kek, at, entry->d_name, full, err, cap)) == 0) {
      ring->count++;
    }
  }
  if (rc == 0 && errno) {
    rc = fail_to_read(errno, err, cap, "key encryption keys", path);
  }
  closedir(dir);
  if (rc == 0 && ring->count == 0) {
    rc = fail_with(ENOENT, err, cap, "key encryption keys %s: the folder holds none", path);
  }
  if (rc == 0 && ring->count > 1) {
    sort(ring);
  }
  return rc;
}

/* Puts the one key of the file full into the ring; cuts full at its last slash. path: what messages call the file. */
static int load_file(struct kek_ring *ring, char *full, const char *path, char *err, size_t err_cap) {
  char *slash = strrchr(full, '/');
  int dir = AT_FDCWD;
  const char *name = full;
  if (slash) {
    name = slash + 1;
    *slash = 0;
    dir = open(slash == full ? "/" : full, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
      return fail_to_read(errno, err, err_cap, "key encryption key: folder", full);
    }
  }
  struct kek *kek = grow(ring);
  int rc = kek ? read_file(kek, dir, name, path, err, err_cap) : fail_with(ENOMEM, err, err_cap, "out of memory");
  ring->count = rc == 0;
  if (dir >= 0) {
    close(dir);
  }
  return rc;
}

int kek_ring_load(struct kek_ring **out, const char *path, char *err, size_t err_cap) {
  char full[4096];
  static const char prefix[] = "credential:";
  int n;
  if (strncmp(path, prefix, sizeof prefix - 1) == 0) {
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    if (!dir || !*dir) {
      return fail_with(ENOENT, err, err_cap,
                       "key encryption key %s: CREDENTIALS_DIRECTORY is not set; the unit needs "
                       "LoadCredential=%s:FILE",
                       path, path + sizeof prefix - 1);
    }
    n = snprintf(full, sizeof full, "%s/%s", dir, path + sizeof prefix - 1);
  } else {
    n = snprintf(full, sizeof full, "%s", path);
  }
  if (n < 1 || (size_t)n >= sizeof full) {
    return fail_with(ENAMETOOLONG, err, err_cap, "key encryption key: the path is empty or too long");
  }
  while (n > 1 && full[n - 1] == '/') {
    full[--n] = 0;
  }
  struct stat st;
  if (stat(full, &st)) {
    return fail_to_read(errno, err, err_cap, "key encryption key", full);
  }
  struct kek_ring *ring = calloc(1, sizeof *ring);
  if (!ring) {
    return fail_with(ENOMEM, err, err_cap, "out of memory");
  }
  int rc = S_ISDIR(st.st_mode) ? load_folder(ring, full, err, err_cap) : load_file(ring, full, path, err, err_cap);
  if (rc) {
    kek_ring_free(ring);
  } else {
    *out = ring;
  }
  return rc;
}

void kek_ring_free(struct kek_ring *ring) {
  if (!ring) {
    return;
  }
  secret_free(SECRET_LOCKED, ring->keks, ring->room * sizeof *ring->keks);
  free(ring);
}

size_t kek_ring_count(const struct kek_ring *ring) { return ring->count; }
const char *kek_ring_id(const struct kek_ring *ring, size_t i) { return ring->keks[i].id; }

const uint8_t *kek_ring_find(const struct kek_ring *ring, const char *id) {
  for (size_t i = 0; i < ring->count; i++) {
    if (strcmp(ring->keks[i].id, id) == 0) {
      return ring->keks[i].key;
    }
  }
  return NULL;
}

const char *kek_ring_default(const struct kek_ring *ring) { return ring->count == 1 ? ring->keks[0].id : NULL; }

static int write_all(int fd, const uint8_t *p, size_t n) {
  while (n > 0) {
    ssize_t done = write(fd, p, n);
    if (done < 0 && errno != EINTR) {
      return errno;
    }
    if (done > 0) {
      p += done;
      n -= (size_t)done;
    }
  }
  return fsync(fd) ? errno : 0;
}

int kek_generate(const char *path, char *err, size_t err_cap) {
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  if (!kek_id_valid(name)) {
    return fail_with(EINVAL, err, err_cap, "key encryption key %s: the name is its id: 1 to 64 of A-Z a-z 0-9 . _ -",
                     path);
  }
  char tmp[4096];
  int n = snprintf(tmp, sizeof tmp, "%.*s.%s.%ld", (int)(name - path), path, name, (long)getpid());
  if (n < 0 || (size_t)n >= sizeof tmp) {
    return fail_with(ENAMETOOLONG, err, err_cap, "key encryption key: the path is too long");
  }
  uint8_t key[TURNCRED_KEK];
  if (RAND_priv_bytes(key, sizeof key) != 1) {
    return fail_with(EIO, err, err_cap, "OpenSSL has no randomness");
  }
  int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    turncred_cleanse(key, sizeof key);
    return fail_with(errno, err, err_cap, "key encryption key %s: %s", tmp, strerror(errno));
  }
  int rc = write_all(fd, key, sizeof key);
  turncred_cleanse(key, sizeof key);
  close(fd);
  /* link, not rename: an existing key is never overwritten */
  if (rc == 0 && link(tmp, path)) {
    rc = errno;
  }
  unlink(tmp);
  if (rc == EEXIST) {
    return fail_with(rc, err, err_cap, "key encryption key %s: exists already, and is left as it is", path);
  }
  if (rc) {
    return fail_with(rc, err, err_cap, "key encryption key %s: %s", path, strerror(rc));
  }
  return 0;
}
