/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "journal.h"

#include "turncredd/log.h"
#include "core/turncred.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHECK_OCTETS  8       /* of the SHA-256, in hex 16 */
#define SEGMENT_MAX   4000000 /* octets of a file, then the next one begins */
#define LINE_MAX_TEXT 8192

struct entry {
  struct entry *next;
  uint64_t number;
  char *line; /* JSON without the check, NUL-terminated */
  journal_done_fn done;
  void *arg;
};

struct queue {
  struct entry *first, **end;
  size_t count;
};

struct segment {
  struct segment *next;
  uint64_t first; /* number of its first entry, and its name */
};

struct journal {
  char folder[1024], stream[JOURNAL_STREAM];
  int lock_fd, dir_fd, fd; /* fd: of the newest segment */
  off_t size;              /* of what is good in it */
  struct segment *segments;
  size_t max;
  struct turncred_ws *ws;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  pthread_t thread;
  bool started, stop;
  uint64_t next;
  struct queue fresh;  /* not yet on disk */
  struct queue stored; /* on disk, not delivered */
  size_t writing;
  atomic_uint_fast64_t syncs, sync_us;
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
static void entry_free(struct entry *entry) {
  free(entry->line);
  free(entry);
}

static int wrong(struct journal *journal, const char *what, char *err, size_t cap) {
  snprintf(err, cap, "state_dir %s: %s: %s", journal->folder, what, strerror(errno));
  return -1;
}

static bool check_of(struct journal *journal, const char *line, size_t len,
                     char hex[2 * CHECK_OCTETS + 1]) {
  uint8_t digest[32];
  return !turncred_sha256(journal->ws, (const uint8_t *)line, len, digest) &&
         !turncred_hex_encode(digest, CHECK_OCTETS, hex, 2 * CHECK_OCTETS + 1);
}

static void segment_name(uint64_t first, char name[32]) {
  snprintf(name, 32, "%020" PRIu64 ".log", first);
}

/* --- reading at a start ------------------------------------------------------------------- */

static int keep(struct journal *journal, const char *json, uint64_t number) {
  struct entry *entry = calloc(1, sizeof *entry);
  if (!entry || !(entry->line = strdup(json))) {
    free(entry);
    return ENOMEM;
  }
  entry->number = number;
  queue_put(&journal->stored, entry);
  journal->next = number + 1;
  return 0;
}

/* The number in a good line, 0 in a bad one. */
static uint64_t number_of(struct journal *journal, char *line) {
  char hex[2 * CHECK_OCTETS + 1];
  size_t len = strlen(line);
  if (len < sizeof hex || line[2 * CHECK_OCTETS] != ' ')
    return 0;
  const char *json = line + sizeof hex;
  if (!check_of(journal, json, strlen(json), hex) || memcmp(hex, line, 2 * CHECK_OCTETS) != 0)
    return 0;
  json_t *object = json_loads(json, 0, NULL);
  json_int_t number = json_integer_value(json_object_get(object, "q"));
  json_decref(object);
  return number > 0 ? (uint64_t)number : 0;
}

static int read_segment(struct journal *journal, uint64_t first, bool newest) {
  char name[32], line[LINE_MAX_TEXT];
  segment_name(first, name);
  int fd = openat(journal->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
  if (!file)
    return -1;
  off_t good = 0;
  uint64_t expect = first;
  int rc = 0;
  while (!rc && fgets(line, sizeof line, file)) {
    size_t len = strlen(line);
    bool whole = len > 0 && line[len - 1] == '\n';
    if (whole)
      line[len - 1] = '\0';
    uint64_t number = whole ? number_of(journal, line) : 0;
    if (number < expect) /* 0: damaged; a jump is journal_skip's */
      break;
    rc = keep(journal, line + 2 * CHECK_OCTETS + 1, number);
    good += (off_t)len;
    expect = number + 1;
  }
  if (journal->next < expect)
    journal->next = expect;
  struct stat st;
  if (!rc && fstat(fd, &st) == 0 && st.st_size > good) {
    log_line(LOG_WARNING, "journal: %s has %lld octets after its last whole entry; they are cut off",
        name, (long long)(st.st_size - good));
    if (ftruncate(fd, good) || fsync(fd))
      rc = -1;
  }
  if (!rc && newest) {
    journal->fd = dup(fd);
    journal->size = good;
    if (journal->fd < 0 || lseek(journal->fd, good, SEEK_SET) < 0)
      rc = -1;
  }
  fclose(file);
  return rc;
}

static int by_number(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static int add_segment(struct journal *journal, uint64_t first) {
  struct segment *segment = calloc(1, sizeof *segment), **at = &journal->segments;
  if (!segment)
    return -1;
  segment->first = first;
  while (*at)
    at = &(*at)->next;
  *at = segment;
  return 0;
}

/* On the journal's thread, or before there is one; without the lock, which the disk shall not hold.
 */
static int new_segment(struct journal *journal, uint64_t first) {
  char name[32];
  segment_name(first, name);
  int fd = openat(journal->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  int rc = fd < 0 || fsync(journal->dir_fd) ? -1 : 0;
  pthread_mutex_lock(&journal->lock);
  if (!rc)
    rc = add_segment(journal, first);
  pthread_mutex_unlock(&journal->lock);
  if (rc) {
    if (fd >= 0)
      close(fd);
    return -1;
  }
  if (journal->fd >= 0)
    close(journal->fd);
  journal->fd = fd;
  journal->size = 0;
  return 0;
}

static int read_all(struct journal *journal, char *err, size_t cap) {
  uint64_t *numbers = NULL;
  size_t count = 0;
  DIR *dir = fdopendir(dup(journal->dir_fd));
  if (!dir)
    return wrong(journal, "cannot be read", err, cap);
  for (struct dirent *d; (d = readdir(dir));) {
    char *end;
    uint64_t number = strtoull(d->d_name, &end, 10);
    if (strlen(d->d_name) != 24 || strcmp(end, ".log") != 0)
      continue;
    uint64_t *more = realloc(numbers, (count + 1) * sizeof *numbers);
    if (!more)
      break;
    numbers = more;
    numbers[count++] = number;
  }
  closedir(dir);
  if (count)
    qsort(numbers, count, sizeof *numbers, by_number);
  int rc = 0;
  for (size_t i = 0; i < count && !rc; i++) {
    rc = read_segment(journal, numbers[i], i + 1 == count) || add_segment(journal, numbers[i]);
    if (rc)
      wrong(journal, "a file of the journal cannot be read", err, cap);
  }
  free(numbers);
  if (!rc && !count && new_segment(journal, journal->next))
    rc = wrong(journal, "cannot be written", err, cap);
  return rc;
}

/* The stream's id: made once, whole or not at all. */
static int read_stream(struct journal *journal, char *err, size_t cap) {
  uint8_t r[16];
  int fd = openat(journal->dir_fd, "stream", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    ssize_t n = read(fd, journal->stream, JOURNAL_STREAM - 1);
    close(fd);
    if (n == JOURNAL_STREAM - 1 &&
        strspn(journal->stream, "0123456789abcdef-") == JOURNAL_STREAM - 1)
      return 0;
    errno = EBADMSG;
    return wrong(journal, "the file stream is damaged", err, cap);
  }
  if (RAND_bytes(r, sizeof r) != 1)
    return wrong(journal, "no randomness", err, cap);
  r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
  r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
  snprintf(journal->stream, JOURNAL_STREAM,
           "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1], r[2],
           r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
  fd = openat(journal->dir_fd, "stream.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool ok =
      fd >= 0 && write(fd, journal->stream, JOURNAL_STREAM - 1) == JOURNAL_STREAM - 1 && !fsync(fd);
  if (fd >= 0)
    close(fd);
  ok = ok && !renameat(journal->dir_fd, "stream.new", journal->dir_fd, "stream") &&
       !fsync(journal->dir_fd);
  return ok ? 0 : wrong(journal, "cannot be written", err, cap);
}

/* --- the thread --------------------------------------------------------------------------- */

static int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* All lines of the queue in one write and one sync. 0 or an errno value; then nothing of it counts.
 */
static int store(struct journal *journal, const struct queue *queue) {
  char *text = NULL, hex[2 * CHECK_OCTETS + 1];
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (!out)
    return ENOMEM;
  bool ok = true;
  for (const struct entry *e = queue->first; e && ok; e = e->next)
    ok = check_of(journal, e->line, strlen(e->line), hex) &&
         fprintf(out, "%s %s\n", hex, e->line) > 0;
  if (fclose(out) || !ok) {
    free(text);
    return ENOMEM;
  }
  int rc = 0;
  for (size_t at = 0; at < size && !rc;) {
    ssize_t n = write(journal->fd, text + at, size - at);
    if (n >= 0)
      at += (size_t)n;
    else if (errno != EINTR)
      rc = errno;
  }
  int64_t begin = now_us();
  if (!rc && fdatasync(journal->fd))
    rc = errno;
  atomic_fetch_add_explicit(&journal->syncs, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&journal->sync_us, (uint64_t)(now_us() - begin), memory_order_relaxed);
  free(text);
  if (!rc) {
    journal->size += (off_t)size;
    return 0;
  }
  /* what may have got there must not be found later */
  log_line(LOG_ERR, "journal: cannot be written: %s", strerror(rc));
  if (ftruncate(journal->fd, journal->size) || lseek(journal->fd, journal->size, SEEK_SET) < 0 ||
      fsync(journal->fd))
    log_line(LOG_ERR, "journal: its file cannot be cut back: %s", strerror(errno));
  return rc;
}

static void finish(struct journal *journal, struct queue *batch, int rc) {
  pthread_mutex_lock(&journal->lock);
  journal->writing = 0;
  if (rc && batch->first) {
    /* their numbers are used again; what came meanwhile moves down */
    uint64_t number = batch->first->number;
    for (struct entry *e = journal->fresh.first; e; e = e->next) {
      json_t *object = json_loads(e->line, 0, NULL);
      json_object_set_new(object, "q", json_integer((json_int_t)number));
      char *line = json_dumps(object, JSON_COMPACT);
      json_decref(object);
      if (line) {
        free(e->line);
        e->line = line;
      }
      e->number = number++;
    }
    journal->next = number;
  }
  pthread_mutex_unlock(&journal->lock);
  for (struct entry *e = batch->first, *next; e; e = next) {
    next = e->next;
    journal_done_fn done = e->done;
    void *arg = e->arg;
    if (rc) {
      entry_free(e);
    } else {
      pthread_mutex_lock(&journal->lock);
      queue_put(&journal->stored, e);
      pthread_mutex_unlock(&journal->lock);
    }
    done(rc, arg);
  }
  pthread_mutex_lock(&journal->lock);
  void (*watch)(void *) = journal->watch;
  pthread_mutex_unlock(&journal->lock);
  if (!rc && watch)
    watch(journal->watch_arg);
}

static void *run(void *arg) {
  struct journal *journal = arg;
  pthread_setname_np(pthread_self(), "journal");
  for (;;) {
    struct queue batch;
    pthread_mutex_lock(&journal->lock);
    while (!journal->fresh.first && !journal->stop)
      pthread_cond_wait(&journal->wake, &journal->lock);
    if (!journal->fresh.first) {
      pthread_mutex_unlock(&journal->lock);
      return NULL;
    }
    batch = journal->fresh;
    if (!batch.count)
      batch.end = &batch.first;
    queue_init(&journal->fresh);
    journal->writing = batch.count;
    pthread_mutex_unlock(&journal->lock);
    if (journal->size > SEGMENT_MAX && new_segment(journal, batch.first->number))
      log_line(LOG_WARNING, "journal: no new file: %s; the old one goes on", strerror(errno));
    finish(journal, &batch, store(journal, &batch));
  }
}

/* --- outside ------------------------------------------------------------------------------ */

int journal_open(struct journal **out, const char *folder, size_t entries, char *err, size_t cap) {
  struct journal *journal = calloc(1, sizeof *journal);
  if (!journal) {
    snprintf(err, cap, "out of memory");
    return -1;
  }
  snprintf(journal->folder, sizeof journal->folder, "%s", folder);
  journal->max = entries;
  journal->next = 1;
  atomic_init(&journal->syncs, 0);
  atomic_init(&journal->sync_us, 0);
  journal->lock_fd = journal->dir_fd = journal->fd = -1;
  queue_init(&journal->fresh);
  queue_init(&journal->stored);
  pthread_mutex_init(&journal->lock, NULL);
  pthread_cond_init(&journal->wake, NULL);
  int rc = 0;
  if (!(journal->ws = turncred_ws_new(1)))
    rc = wrong(journal, "OpenSSL", err, cap);
  if (!rc && (journal->dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
    rc = wrong(journal, "cannot be opened (make it, owned by turncredd's user)", err, cap);
  if (!rc && ((journal->lock_fd =
                   openat(journal->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0 ||
              flock(journal->lock_fd, LOCK_EX | LOCK_NB)))
    rc = wrong(journal, "another turncredd uses it, or it cannot be written", err, cap);
  if (!rc)
    rc = read_stream(journal, err, cap);
  if (!rc)
    rc = read_all(journal, err, cap);
  if (!rc && pthread_create(&journal->thread, NULL, run, journal))
    rc = wrong(journal, "no thread", err, cap);
  journal->started = !rc;
  if (rc)
    journal_close(journal);
  else
    *out = journal;
  return rc;
}

void journal_close(struct journal *journal) {
  if (!journal)
    return;
  if (journal->started) {
    pthread_mutex_lock(&journal->lock);
    journal->stop = true;
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->lock);
    pthread_join(journal->thread, NULL);
  }
  for (struct entry *e = journal->stored.first, *next; e; e = next) {
    next = e->next;
    entry_free(e);
  }
  for (struct segment *s = journal->segments, *next; s; s = next) {
    next = s->next;
    free(s);
  }
  if (journal->fd >= 0)
    close(journal->fd);
  if (journal->lock_fd >= 0)
    close(journal->lock_fd);
  if (journal->dir_fd >= 0)
    close(journal->dir_fd);
  turncred_ws_free(journal->ws);
  pthread_mutex_destroy(&journal->lock);
  pthread_cond_destroy(&journal->wake);
  free(journal);
}

const char *journal_stream(const struct journal *journal) { return journal->stream; }

/* With its number in front; the rest is made before the lock is taken. */
static char *numbered(uint64_t number, const char *json) {
  size_t cap = strlen(json) + 32;
  char *line = cap + 2 * CHECK_OCTETS + 3 > LINE_MAX_TEXT ? NULL : malloc(cap);
  if (line)
    snprintf(line, cap, "{\"q\":%" PRIu64 ",%s", number, json + 1);
  return line;
}

int journal_add(struct journal *journal, const struct journal_issue *issue, journal_done_fn done,
                void *arg) {
  struct timespec now;
  struct entry *entry = calloc(1, sizeof *entry);
  clock_gettime(CLOCK_REALTIME, &now);
  json_t *object =
      json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:s}", "t",
                (json_int_t)now.tv_sec * 1000000 + now.tv_nsec / 1000, "realm", issue->realm,
                "kind", issue->kind, "kid", issue->kid, "fp", issue->fingerprint, "sub",
                issue->subject, "exp", (json_int_t)issue->expiry, "caller", issue->caller);
  char *json = object ? json_dumps(object, JSON_COMPACT) : NULL;
  json_decref(object);
  int rc = entry && json ? 0 : ENOMEM;
  pthread_mutex_lock(&journal->lock);
  if (!rc && journal->fresh.count + journal->writing + journal->stored.count >= journal->max)
    rc = ENOSPC;
  if (!rc) {
    entry->number = journal->next;
    if (!(entry->line = numbered(entry->number, json)))
      rc = EMSGSIZE;
  }
  if (!rc) {
    journal->next++;
    entry->done = done;
    entry->arg = arg;
    queue_put(&journal->fresh, entry);
    pthread_cond_signal(&journal->wake);
  }
  pthread_mutex_unlock(&journal->lock);
  free(json);
  if (rc && entry)
    entry_free(entry);
  return rc;
}

char *journal_batch(struct journal *journal, size_t max, uint64_t *last) {
  char *text = NULL;
  size_t size = 0, n = 0;
  FILE *out = open_memstream(&text, &size);
  if (!out)
    return NULL;
  pthread_mutex_lock(&journal->lock);
  for (const struct entry *e = journal->stored.first; e && n < max; e = e->next, n++) {
    fprintf(out, "%s%s", n ? "," : "[", e->line);
    *last = e->number;
  }
  pthread_mutex_unlock(&journal->lock);
  if (n)
    fputc(']', out);
  if (fclose(out) || !n) {
    free(text);
    return NULL;
  }
  return text;
}

size_t journal_delivered(struct journal *journal, uint64_t number) {
  size_t count = 0;
  pthread_mutex_lock(&journal->lock);
  while (journal->stored.first && journal->stored.first->number <= number) {
    struct entry *e = journal->stored.first;
    journal->stored.first = e->next;
    journal->stored.count--;
    count++;
    if (!journal->stored.first)
      journal->stored.end = &journal->stored.first;
    entry_free(e);
  }
  /* the newest file stays: it holds the number to go on from */
  struct segment *done = NULL, **end = &done;
  while (journal->segments && journal->segments->next &&
         journal->segments->next->first <= number + 1) {
    *end = journal->segments;
    end = &journal->segments->next;
    journal->segments = journal->segments->next;
  }
  *end = NULL;
  pthread_mutex_unlock(&journal->lock);
  for (struct segment *next; done; done = next) {
    char name[32];
    next = done->next;
    segment_name(done->first, name);
    if (unlinkat(journal->dir_fd, name, 0))
      log_line(LOG_WARNING, "journal: %s cannot be removed: %s", name, strerror(errno));
    free(done);
  }
  return count;
}

void journal_skip(struct journal *journal, uint64_t number) {
  pthread_mutex_lock(&journal->lock);
  if (journal->next <= number) {
    log_line(LOG_WARNING,
        "journal: the database has entries up to %" PRIu64
        " of this journal, which ends at %" PRIu64 ": an older copy of state_dir was put back",
        number, journal->next - 1);
    journal->next = number + 1;
  }
  pthread_mutex_unlock(&journal->lock);
}

size_t journal_waiting(struct journal *journal) {
  pthread_mutex_lock(&journal->lock);
  size_t n = journal->fresh.count + journal->writing + journal->stored.count;
  pthread_mutex_unlock(&journal->lock);
  return n;
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
