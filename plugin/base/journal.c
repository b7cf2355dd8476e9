/*
 * journal.c - numbered entries that are on disk before anything depends on them, and are delivered later, once
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "journal.h"

#include "fail.h"

#include "clock.h"
#include "core/turncred.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CHECK_OCTETS 8 /* of the SHA-256 */
#define CHECK_TEXT (2 * CHECK_OCTETS)
#define NUMBER "{\"q\":"
#define SEGMENT_MAX 4000000 /* octets of a file; when it has more, the next one is begun */
#define SAY_EVERY_US 10000000
#define LINE_CAP 8192 /* octets of a line with its newline and the NUL */

struct entry {
  struct entry *next;
  uint64_t number;
  journal_done_fn done;
  void *arg;
  size_t len;
  char octets[];
};

struct queue {
  struct entry *first, **end;
  size_t count;
};

/* A file of the folder; it is named by the number of its first entry. */
struct segment {
  struct segment *next;
  uint64_t first;
};

struct journal {
  char folder[1024], setting[64], stream[JOURNAL_STREAM];
  journal_log_fn log;
  void *log_arg;
  int lock_fd, dir_fd;
  /* of the newest segment; the thread's own once there is one */
  int fd;
  off_t size; /* octets of whole lines in it */
  bool uncut; /* behind them stands a part of a line that could not be cut off */
  struct turncred_ws *ws;
  pthread_t thread;
  bool started;
  atomic_uint_fast64_t syncs, sync_us;
  atomic_bool failing; /* the last attempt to write has failed */
  int64_t said_us;     /* the thread's own: when the log last heard of that */
  unsigned unsaid;     /* failures since then */
  pthread_mutex_t lock;
  pthread_cond_t wake;
  /* under lock */
  bool stop;
  struct segment *segments; /* the oldest one first */
  size_t max;
  uint64_t next;       /* the number of the next entry */
  uint64_t skipped;    /* numbers up to this one are never given again */
  struct queue fresh;  /* entries that are not on disk */
  size_t writing;      /* entries that the thread has taken from fresh and not yet stored */
  struct queue stored; /* entries that are on disk and have not been delivered */
  void (*watch)(void *);
  void *watch_arg;
};

static void queue_init(struct queue *queue) {
  queue->first = NULL;
  queue->end = &queue->first;
  queue->count = 0;
}

static void queue_put(struct queue *queue, struct entry *entry) {
  entry->next = NULL;
  *queue->end = entry;
  queue->end = &entry->next;
  queue->count++;
}

static void queue_drop_first(struct queue *queue) {
  struct entry *entry = queue->first;
  queue->first = entry->next;
  queue->count--;
  if (!queue->first) {
    queue->end = &queue->first;
  }
  free(entry);
}

static struct entry *entry_new(const char *octets, size_t len) {
  struct entry *entry = calloc(1, sizeof *entry + len);
  if (entry) {
    entry->len = len;
    memcpy(entry->octets, octets, len);
  }
  return entry;
}

/* Fills err and returns -1. */
static int fail(const struct journal *journal, const char *what, char *err, size_t cap) {
  snprintf(err, cap, "%s %s: %s: %s", journal->setting, journal->folder, what, strerror(errno));
  return -1;
}

static void report(const struct journal *journal, bool error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void report(const struct journal *journal, bool error, const char *format, ...) {
  char line[400];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  journal->log(error, line, journal->log_arg);
}

/* --- lines -------------------------------------------------------------------------------- */

static bool check_of(const struct journal *journal, const char *text, size_t len, char hex[CHECK_TEXT + 1]) {
  uint8_t digest[32];
  return !turncred_sha256(journal->ws, (const uint8_t *)text, len, digest) &&
         !turncred_hex_encode(digest, CHECK_OCTETS, hex, CHECK_TEXT + 1);
}

/* Writes the line of an entry, with its newline, into out. Returns its length in octets; 0: the check failed. */
static size_t line_of(const struct journal *journal, const struct entry *entry, char out[LINE_CAP]) {
  char *text = out + CHECK_TEXT + 1;
  size_t room = LINE_CAP - CHECK_TEXT - 1;
  size_t len = (size_t)snprintf(text, room, NUMBER "%" PRIu64 ",", entry->number);
  memcpy(text + len, entry->octets, entry->len);
  len += entry->len;
  if (!check_of(journal, text, len, out)) {
    return 0;
  }
  out[CHECK_TEXT] = ' ';
  text[len] = '\n';
  return CHECK_TEXT + 1 + len + 1;
}

/* What stands behind the check of a line without its newline; NULL: the line is not whole, or damaged. */
static const char *checked(const struct journal *journal, const char *line) {
  char hex[CHECK_TEXT + 1];
  size_t len = strlen(line);
  if (len < sizeof hex || line[CHECK_TEXT] != ' ') {
    return NULL;
  }
  const char *text = line + sizeof hex;
  return check_of(journal, text, len - sizeof hex, hex) && !memcmp(hex, line, CHECK_TEXT) ? text : NULL;
}

/* Takes what is checked apart. *octets: where the octets begin. Returns the number; 0: it is no entry of this form. */
static uint64_t parse_text(const char *text, const char **octets) {
  char *end;
  if (strncmp(text, NUMBER, strlen(NUMBER)) != 0) {
    return 0;
  }
  text += strlen(NUMBER);
  uint64_t number = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
  if (!number || number > INT64_MAX || *end != ',') {
    return 0;
  }
  *octets = end + 1;
  return number;
}

/* True of a part that begins like a line and has more octets than any line of this version. */
static bool is_longer(const char *part) {
  return strlen(part) == LINE_CAP - 1 && part[CHECK_TEXT] == ' ' &&
         !strncmp(part + CHECK_TEXT + 1, NUMBER, strlen(NUMBER));
}

/* --- reading at a start ------------------------------------------------------------------- */

static void segment_name(uint64_t first, char name[32]) { snprintf(name, 32, "%020" PRIu64 ".log", first); }

static int add_segment(struct journal *journal, uint64_t first) {
  struct segment *segment = calloc(1, sizeof *segment), **at = &journal->segments;
  if (!segment) {
    return -1;
  }
  segment->first = first;
  while (*at) {
    at = &(*at)->next;
  }
  *at = segment;
  return 0;
}

/* Begins a file. It is called by the journal's thread, or before there is one, and without the lock, which nobody holds
 * while the disk works. 0, or -1 with errno. */
static int new_segment(struct journal *journal, uint64_t first) {
  char name[32];
  segment_name(first, name);
  int fd = openat(journal->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  int rc = fd < 0 || fsync(journal->dir_fd) ? -1 : 0;
  pthread_mutex_lock(&journal->lock);
  if (!rc) {
    rc = add_segment(journal, first);
  }
  pthread_mutex_unlock(&journal->lock);
  if (rc) {
    int error = errno;
    if (fd >= 0) {
      unlinkat(journal->dir_fd, name, 0); /* the next start would take it for the end of the file before */
      close(fd);
    }
    errno = error;
    return -1;
  }
  if (journal->fd >= 0) {
    close(journal->fd);
  }
  journal->fd = fd;
  journal->size = 0;
  journal->uncut = false;
  return 0;
}

/* Reads the whole lines of a file into the queue of stored entries. first: the number in the file's name. Sets *good to
 * the octets of these lines. 0, or -1 with errno; EPROTONOSUPPORT: a line is whole and of another form, which is not to
 * be taken for damage and cut off. */
static int read_lines(struct journal *journal, FILE *file, uint64_t first, off_t *good) {
  char line[LINE_CAP];
  uint64_t expected = first;
  *good = 0;
  while (fgets(line, sizeof line, file)) {
    size_t len = strlen(line);
    const char *octets = line;
    if (!len || line[len - 1] != '\n') {
      if (is_longer(line)) {
        errno = EPROTONOSUPPORT;
        return -1;
      }
      break;
    }
    line[len - 1] = '\0';
    const char *text = checked(journal, line);
    uint64_t number = text ? parse_text(text, &octets) : 0;
    if (text && !number) {
      errno = EPROTONOSUPPORT;
      return -1;
    }
    if (number < expected) { /* the line is damaged; a larger number is right, because journal_skip makes gaps */
      break;
    }
    struct entry *entry = entry_new(octets, strlen(octets));
    if (!entry) {
      return -1;
    }
    entry->number = number;
    queue_put(&journal->stored, entry);
    expected = number + 1;
    *good += (off_t)len;
  }
  if (journal->next < expected) {
    journal->next = expected;
  }
  return ferror(file) ? -1 : 0; /* what could not be read is not what is damaged */
}

/* Closes what no stream could be made of, if it is open; errno still says why. */
static void close_failed(int fd) {
  int error = errno;
  if (fd >= 0) {
    close(fd);
  }
  errno = error;
}

/* Reads a file and cuts off what is behind its last whole line. newest: entries will be written to it. 0, or -1 with
 * errno. */
static int read_segment(struct journal *journal, uint64_t first, bool newest) {
  char name[32];
  segment_name(first, name);
  int fd = openat(journal->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
  if (!file) {
    close_failed(fd);
    return -1;
  }
  off_t good;
  struct stat st;
  int rc = read_lines(journal, file, first, &good);
  if (!rc && !fstat(fd, &st) && st.st_size > good) {
    report(journal, false, "journal: %s has %lld octets after its last whole entry; they are cut off", name,
           (long long)(st.st_size - good));
    rc = ftruncate(fd, good) || fsync(fd) ? -1 : 0;
  }
  if (!rc && newest) {
    journal->fd = dup(fd);
    rc = journal->fd < 0 ? -1 : 0;
  }
  int error = errno;
  fclose(file); /* it may set the offset, which journal->fd shares, to where the reading ended */
  errno = error;
  if (!rc && newest) {
    journal->size = good;
    rc = lseek(journal->fd, good, SEEK_SET) < 0 ? -1 : 0;
  }
  return rc;
}

static int by_number(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

/* The numbers in the names of the folder's files, in order; the caller frees *numbers. 0, or -1 with errno. */
static int list_segments(struct journal *journal, uint64_t **numbers, size_t *count) {
  int fd = dup(journal->dir_fd), rc = 0;
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  *numbers = NULL;
  *count = 0;
  if (!dir) {
    close_failed(fd);
    return -1;
  }
  for (struct dirent *d; !rc && (errno = 0, d = readdir(dir));) {
    char *end;
    uint64_t number = strtoull(d->d_name, &end, 10);
    if (strlen(d->d_name) != 24 || strcmp(end, ".log") != 0) {
      continue;
    }
    uint64_t *more = realloc(*numbers, (*count + 1) * sizeof *more);
    if (more) {
      *numbers = more;
      more[(*count)++] = number;
    } else {
      rc = ENOMEM;
    }
  }
  rc = rc ? rc : errno; /* of readdir: a file that is not seen would have its numbers given again */
  closedir(dir);
  if (*count) {
    qsort(*numbers, *count, sizeof **numbers, by_number);
  }
  errno = rc;
  return rc ? -1 : 0;
}

static int read_segments(struct journal *journal, char *err, size_t cap) {
  uint64_t *numbers;
  size_t count;
  int rc = list_segments(journal, &numbers, &count);
  if (rc) {
    fail(journal, "cannot be read", err, cap);
  }
  for (size_t i = 0; i < count && !rc; i++) {
    rc = read_segment(journal, numbers[i], i + 1 == count) || add_segment(journal, numbers[i]) ? -1 : 0;
    if (rc) {
      fail(journal,
           errno == EPROTONOSUPPORT ? "a later version has written entries there, and has to deliver them first"
                                    : "a file of the journal cannot be read",
           err, cap);
    }
  }
  free(numbers);
  if (!rc && !count && new_segment(journal, journal->next)) {
    rc = fail(journal, "cannot be written", err, cap);
  }
  return rc;
}

/* Makes an id and puts its file in place, whole or not at all. */
static int make_stream(struct journal *journal, char *err, size_t cap) {
  uint8_t r[16];
  if (RAND_bytes(r, sizeof r) != 1) {
    errno = EIO;
    return fail(journal, "the random number generator failed", err, cap);
  }
  r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
  r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
  snprintf(journal->stream, JOURNAL_STREAM, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
           r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
  int fd = openat(journal->dir_fd, "stream.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool ok = fd >= 0 && write(fd, journal->stream, JOURNAL_STREAM - 1) == JOURNAL_STREAM - 1 && !fsync(fd);
  if (fd >= 0) {
    close(fd);
  }
  ok = ok && !renameat(journal->dir_fd, "stream.new", journal->dir_fd, "stream") && !fsync(journal->dir_fd);
  return ok ? 0 : fail(journal, "cannot be written", err, cap);
}

static int read_stream(struct journal *journal, char *err, size_t cap) {
  int fd = openat(journal->dir_fd, "stream", O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return make_stream(journal, err, cap);
  }
  ssize_t n = read(fd, journal->stream, JOURNAL_STREAM - 1);
  close(fd);
  if (n == JOURNAL_STREAM - 1 && strspn(journal->stream, "0123456789abcdef-") == JOURNAL_STREAM - 1) {
    return 0;
  }
  errno = EBADMSG;
  return fail(journal, "the file stream is damaged", err, cap);
}

/* --- the thread --------------------------------------------------------------------------- */

/* All lines of a queue in one text, which the caller frees. NULL: out of memory. */
static char *lines_of(const struct journal *journal, const struct queue *queue, size_t *size) {
  char *text = NULL, line[LINE_CAP];
  FILE *out = open_memstream(&text, size);
  if (!out) {
    return NULL;
  }
  bool ok = true;
  for (const struct entry *e = queue->first; e && ok; e = e->next) {
    size_t len = line_of(journal, e, line);
    ok = len > 0 && fwrite(line, 1, len, out) == len;
  }
  if (!fclose(out) && ok) {
    return text;
  }
  free(text);
  return NULL;
}

/* Writes the text to the end of the newest file and syncs it. 0, or an errno value. */
static int write_and_sync(struct journal *journal, const char *text, size_t size) {
  for (size_t at = 0; at < size;) {
    ssize_t n = write(journal->fd, text + at, size - at);
    if (n >= 0) {
      at += (size_t)n;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  int64_t begin = clock_us();
  int rc = fdatasync(journal->fd) ? errno : 0;
  atomic_fetch_add_explicit(&journal->syncs, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&journal->sync_us, (uint64_t)(clock_us() - begin), memory_order_relaxed);
  return rc;
}

/* A part of what could not be written may be in the file; the next start must not find it, nor an entry behind it. 0,
 * or an errno value. */
static int cut_back(struct journal *journal) {
  bool before = journal->uncut;
  journal->uncut =
      ftruncate(journal->fd, journal->size) || lseek(journal->fd, journal->size, SEEK_SET) < 0 || fsync(journal->fd);
  int rc = journal->uncut ? errno : 0;
  if (rc && !before) {
    report(journal, true, "journal: its file cannot be cut back: %s", strerror(rc));
  }
  return rc;
}

/* Notes whether writing works. The log hears of a failure at once, then every 10 s, and of the end of it. */
static void note(struct journal *journal, int rc) {
  bool before = atomic_exchange(&journal->failing, rc != 0);
  int64_t now = clock_us();
  if (rc && before && now - journal->said_us < SAY_EVERY_US) {
    journal->unsaid++;
  } else if (rc) {
    report(journal, true, "journal: cannot be written: %s (%u more times before)", strerror(rc), journal->unsaid);
    journal->said_us = now;
    journal->unsaid = 0;
  } else if (before) {
    report(journal, false, "journal: can be written again (%u more failures)", journal->unsaid);
    journal->unsaid = 0;
  }
}

/* Writes all entries of a queue with one sync. 0, or an errno value; then none of them is in the file. */
static int store(struct journal *journal, const struct queue *queue) {
  size_t size = 0;
  char *text = lines_of(journal, queue, &size);
  if (!text) {
    return ENOMEM;
  }
  int rc = journal->uncut ? cut_back(journal) : 0;
  if (!rc) {
    rc = write_and_sync(journal, text, size);
  }
  free(text);
  note(journal, rc);
  if (!rc) {
    journal->size += (off_t)size;
  } else if (!journal->uncut) {
    cut_back(journal);
  }
  return rc;
}

/* While writing fails: whether it works again, which nobody would find out if nobody asked for anything meanwhile. */
static void try_again(struct journal *journal) {
  static const char octets[LINE_CAP] = "not an entry\n";
  int rc = journal->uncut ? cut_back(journal) : 0;
  note(journal, rc ? rc : write_and_sync(journal, octets, sizeof octets));
  if (!rc) {
    cut_back(journal);
  }
}

/* Gives the numbers of entries that could not be written to those that came later: first is the lowest of them. Called
 * under the lock. */
static void renumber(struct journal *journal, uint64_t first) {
  uint64_t number = first > journal->skipped ? first : journal->skipped + 1;
  for (struct entry *e = journal->fresh.first; e; e = e->next) {
    e->number = number++;
  }
  journal->next = number;
}

/* Moves written entries to the stored ones, or drops those that could not be written (rc: an errno value), and calls
 * their functions. */
static void finish(struct journal *journal, struct queue *batch, int rc) {
  pthread_mutex_lock(&journal->lock);
  journal->writing = 0;
  if (rc) {
    renumber(journal, batch->first->number);
  }
  pthread_mutex_unlock(&journal->lock);
  for (struct entry *e = batch->first, *next; e; e = next) {
    next = e->next;
    journal_done_fn done = e->done;
    void *arg = e->arg;
    if (rc) {
      free(e);
    } else {
      pthread_mutex_lock(&journal->lock);
      queue_put(&journal->stored, e);
      pthread_mutex_unlock(&journal->lock);
    }
    done(rc, arg);
  }
  pthread_mutex_lock(&journal->lock);
  void (*watch)(void *) = rc ? NULL : journal->watch;
  void *watch_arg = journal->watch_arg;
  pthread_mutex_unlock(&journal->lock);
  if (watch) {
    watch(watch_arg);
  }
}

/* Waits for fresh entries and takes them all. False: the journal is being closed and there are none. */
static bool take_fresh(struct journal *journal, struct queue *batch) {
  pthread_mutex_lock(&journal->lock);
  while (!journal->fresh.first && !journal->stop) {
    if (!atomic_load(&journal->failing)) {
      pthread_cond_wait(&journal->wake, &journal->lock);
      continue;
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    if (pthread_cond_timedwait(&journal->wake, &journal->lock, &until) == ETIMEDOUT && !journal->fresh.first) {
      pthread_mutex_unlock(&journal->lock);
      try_again(journal);
      pthread_mutex_lock(&journal->lock);
    }
  }
  *batch = journal->fresh;
  queue_init(&journal->fresh);
  journal->writing = batch->count;
  pthread_mutex_unlock(&journal->lock);
  return batch->first != NULL;
}

static void *run(void *arg) {
  struct journal *journal = arg;
  struct queue batch;
  pthread_setname_np(pthread_self(), "journal");
  while (take_fresh(journal, &batch)) {
    if (journal->size > SEGMENT_MAX && new_segment(journal, batch.first->number)) {
      report(journal, false, "journal: no new file: %s; the old one goes on", strerror(errno));
    }
    finish(journal, &batch, store(journal, &batch));
  }
  return NULL;
}

/* --- the callers' side -------------------------------------------------------------------- */

static int open_folder(struct journal *journal, char *err, size_t cap) {
  journal->dir_fd = open(journal->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (journal->dir_fd < 0) {
    return fail(journal, "cannot be opened (make it, owned by the user of this program)", err, cap);
  }
  journal->lock_fd = openat(journal->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (journal->lock_fd < 0 || flock(journal->lock_fd, LOCK_EX | LOCK_NB)) {
    return fail(journal, "another process uses it, or it cannot be written", err, cap);
  }
  return 0;
}

int journal_check(const char *folder, const char *setting, char *err, size_t cap) {
  char user[PROGRAM_USER_MAX];
  int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int lock = dir < 0 ? -1 : openat(dir, "lock", O_RDWR | O_CLOEXEC);
  bool fine = lock >= 0 || (dir >= 0 && errno == ENOENT);
  fine = fine && faccessat(dir, ".", R_OK | W_OK | X_OK, AT_EACCESS) == 0;
  int error = errno;
  if (lock >= 0) {
    close(lock);
  }
  if (dir >= 0) {
    close(dir);
  }
  return fine ? 0
              : fail_with(error, err, cap,
                          "%s %s: %s: user %s, as which this program runs, must own the folder and what is in it",
                          setting, folder, strerror(error), program_user(user));
}

int journal_open(struct journal **out, const struct journal_config *config, char *err, size_t cap) {
  struct journal *journal = calloc(1, sizeof *journal);
  if (!journal) {
    snprintf(err, cap, "out of memory");
    return -1;
  }
  snprintf(journal->folder, sizeof journal->folder, "%s", config->folder);
  snprintf(journal->setting, sizeof journal->setting, "%s", config->setting);
  journal->max = config->entries;
  journal->log = config->log;
  journal->log_arg = config->log_arg;
  journal->next = 1;
  atomic_init(&journal->syncs, 0);
  atomic_init(&journal->sync_us, 0);
  journal->lock_fd = journal->dir_fd = journal->fd = -1;
  queue_init(&journal->fresh);
  queue_init(&journal->stored);
  pthread_mutex_init(&journal->lock, NULL);
  pthread_cond_init(&journal->wake, NULL);
  errno = ENOMEM;
  int rc = (journal->ws = turncred_ws_new(1)) ? 0 : fail(journal, "SHA-256 is not available", err, cap);
  if (!rc) {
    rc = open_folder(journal, err, cap);
  }
  if (!rc) {
    rc = read_stream(journal, err, cap);
  }
  if (!rc) {
    rc = read_segments(journal, err, cap);
  }
  if (!rc && (errno = pthread_create(&journal->thread, NULL, run, journal))) {
    rc = fail(journal, "its thread does not start", err, cap);
  }
  journal->started = !rc;
  if (rc) {
    journal_close(journal);
  } else {
    *out = journal;
  }
  return rc;
}

void journal_close(struct journal *journal) {
  if (!journal) {
    return;
  }
  if (journal->started) {
    pthread_mutex_lock(&journal->lock);
    journal->stop = true;
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->lock);
    pthread_join(journal->thread, NULL);
  }
  while (journal->stored.first) {
    queue_drop_first(&journal->stored);
  }
  for (struct segment *s = journal->segments, *next; s; s = next) {
    next = s->next;
    free(s);
  }
  if (journal->fd >= 0) {
    close(journal->fd);
  }
  if (journal->lock_fd >= 0) {
    close(journal->lock_fd);
  }
  if (journal->dir_fd >= 0) {
    close(journal->dir_fd);
  }
  turncred_ws_free(journal->ws);
  pthread_mutex_destroy(&journal->lock);
  pthread_cond_destroy(&journal->wake);
  free(journal);
}

const char *journal_stream(const struct journal *journal) { return journal->stream; }

/* Called under the lock. */
static size_t waiting(const struct journal *journal) {
  return journal->fresh.count + journal->writing + journal->stored.count;
}

/* The entry of an addition; NULL: its result says why not. */
static struct entry *entry_of(struct journal_addition *addition) {
  struct entry *entry = NULL;
  if (addition->len > JOURNAL_ENTRY_MAX) {
    addition->result = EMSGSIZE;
  } else if (memchr(addition->octets, '\n', addition->len) || memchr(addition->octets, '\0', addition->len)) {
    addition->result = EINVAL;
  } else if (!(entry = entry_new(addition->octets, addition->len))) {
    addition->result = ENOMEM;
  } else {
    addition->result = 0;
    entry->done = addition->done;
    entry->arg = addition->arg;
  }
  return entry;
}

void journal_add_all(struct journal *journal, struct journal_addition list[], size_t count) {
  struct queue made = {NULL, &made.first, 0};
  for (size_t i = 0; i < count; i++) {
    struct entry *entry = entry_of(&list[i]);
    if (entry) {
      queue_put(&made, entry);
    }
  }
  pthread_mutex_lock(&journal->lock);
  size_t room = journal->max - (waiting(journal) < journal->max ? waiting(journal) : journal->max);
  for (size_t i = 0; i < count && made.first; i++) {
    struct entry *entry = made.first;
    if (list[i].result) {
      continue;
    }
    if (!room) {
      list[i].result = ENOSPC;
      queue_drop_first(&made);
      continue;
    }
    room--;
    made.first = entry->next;
    entry->number = journal->next++;
    queue_put(&journal->fresh, entry);
  }
  if (journal->fresh.count) {
    pthread_cond_signal(&journal->wake);
  }
  pthread_mutex_unlock(&journal->lock);
}

int journal_add(struct journal *journal, const char *octets, size_t len, journal_done_fn done, void *arg) {
  struct journal_addition one = {octets, len, done, arg, 0};
  journal_add_all(journal, &one, 1);
  return one.result;
}

size_t journal_read(struct journal *journal, size_t max, journal_entry_fn fn, void *arg) {
  size_t n = 0;
  pthread_mutex_lock(&journal->lock);
  for (const struct entry *e = journal->stored.first; e && n < max; e = e->next, n++) {
    fn(e->number, e->octets, e->len, arg);
  }
  pthread_mutex_unlock(&journal->lock);
  return n;
}

/* Takes out the segments whose entries all have numbers up to number. The newest segment stays, because its name and
 * its entries tell the next start which number is next. Called under the lock. */
static struct segment *take_segments(struct journal *journal, uint64_t number) {
  struct segment *done = NULL, **end = &done;
  while (journal->segments && journal->segments->next && journal->segments->next->first <= number + 1) {
    *end = journal->segments;
    end = &journal->segments->next;
    journal->segments = journal->segments->next;
  }
  *end = NULL;
  return done;
}

size_t journal_delivered(struct journal *journal, uint64_t number) {
  size_t count = 0;
  pthread_mutex_lock(&journal->lock);
  for (; journal->stored.first && journal->stored.first->number <= number; count++) {
    queue_drop_first(&journal->stored);
  }
  struct segment *done = take_segments(journal, number);
  pthread_mutex_unlock(&journal->lock);
  for (struct segment *next; done; done = next) {
    char name[32];
    next = done->next;
    segment_name(done->first, name);
    if (unlinkat(journal->dir_fd, name, 0)) {
      report(journal, false, "journal: %s cannot be removed: %s", name, strerror(errno));
    }
    free(done);
  }
  return count;
}

void journal_skip(struct journal *journal, uint64_t number) {
  pthread_mutex_lock(&journal->lock);
  uint64_t next = journal->next;
  if (next <= number) {
    journal->next = number + 1;
  }
  journal->skipped = number;
  pthread_mutex_unlock(&journal->lock);
  if (next <= number) {
    report(journal, false,
           "journal: entries up to %" PRIu64 " of it have been delivered, and it ends at %" PRIu64
           ": an older copy of %s was put back",
           number, next - 1, journal->setting);
  }
}

size_t journal_waiting(struct journal *journal) {
  pthread_mutex_lock(&journal->lock);
  size_t n = waiting(journal);
  pthread_mutex_unlock(&journal->lock);
  return n;
}

bool journal_writable(struct journal *journal) {
  struct statvfs disk;
  return !atomic_load(&journal->failing) && (fstatvfs(journal->dir_fd, &disk) || disk.f_bavail > 0);
}

uint64_t journal_syncs(struct journal *journal, double *seconds) {
  *seconds = (double)atomic_load(&journal->sync_us) / 1e6;
  return atomic_load(&journal->syncs);
}

void journal_watch(struct journal *journal, void (*fn)(void *arg), void *arg) {
  pthread_mutex_lock(&journal->lock);
  journal->watch = fn;
  journal->watch_arg = arg;
  pthread_mutex_unlock(&journal->lock);
}
