/*
 * usage.c - takes records of allocations from the relay threads to the journal
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/clock.h"
#include "module_settings.h"
#include "usage.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COLLECT_MS 200
#define REOPEN_MS 10000
#define OVER_MAX 100000 /* ended sessions in memory while nothing can be written */

int64_t usage_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- on relay threads --- */

/* The lock is held. */
static void enqueue(struct usage *usage, struct usage_record *record, unsigned flag) {
  if (record->flags & flag & USAGE_REPORT) {
    atomic_fetch_add(&usage->dropped, 1); /* an older report that nobody has seen */
  }
  record->flags |= flag;
  if (record->queued) {
    return;
  }
  record->queued = true;
  record->next = NULL;
  if (usage->last) {
    usage->last->next = record;
  } else {
    usage->first = record;
  }
  usage->last = record;
}

static struct usage_realm *realm_of(struct usage *usage, const char *name) {
  pthread_mutex_lock(&usage->lock);
  struct usage_realm *realm = usage->realms;
  while (realm && strcmp(realm->name, name) != 0) {
    realm = realm->next;
  }
  if (!realm && (realm = calloc(1, sizeof *realm))) {
    copy_text(realm->name, sizeof realm->name, name);
    realm->next = usage->realms;
    usage->realms = realm;
  }
  pthread_mutex_unlock(&usage->lock);
  return realm;
}

void usage_each_realm(struct usage *usage, void (*fn)(const struct usage_realm *realm, void *arg), void *arg) {
  pthread_mutex_lock(&usage->lock);
  const struct usage_realm *realm = usage->realms;
  pthread_mutex_unlock(&usage->lock);
  for (; realm; realm = realm->next) { /* rows are put in front and never taken out */
    fn(realm, arg);
  }
}

/* ADDRESS:PORT, and [ADDRESS]:PORT of IPv6. */
static void with_port(const struct sockaddr *addr, char *out, size_t cap) {
  char text[INET6_ADDRSTRLEN] = "";
  address_text(addr, text, sizeof text);
  *out = '\0';
  if (*text) {
    uint16_t port = ntohs(addr->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)(const void *)addr)->sin6_port
                                                      : ((const struct sockaddr_in *)(const void *)addr)->sin_port);
    snprintf(out, cap, strchr(text, ':') ? "[%s]:%u" : "%s:%u", text, port);
  }
}

static void note_addresses(struct usage_record *record, const struct coturn_auth_allocation *a) {
  char first[USAGE_ADDRESS], second[USAGE_ADDRESS];
  record->addresses = true;
  with_port(a->client_addr, record->client, sizeof record->client);
  with_port(a->relayed_addr, first, sizeof first);
  with_port(a->relayed_addr6, second, sizeof second);
  snprintf(record->relayed, sizeof record->relayed, "%s%s%s", first, *first && *second ? " " : "", second);
}

/* The user id, or its hash where the realm does not keep it. 0, or -1. */
static int note_user(struct usage_record *record, struct thread *thread, const struct store_realm *realm,
                     const struct subject *subject) {
  uint8_t text[STORE_USAGE_SALT + TURNCRED_USERNAME_MAX], digest[32];
  size_t len = strlen(subject->user);
  if (realm->usage != STORE_USAGE_TOTALS || !len) {
    copy_text(record->user, sizeof record->user, subject->user);
    return 0;
  }
  memcpy(text, realm->usage_salt, STORE_USAGE_SALT);
  memcpy(text + STORE_USAGE_SALT, subject->user, len);
  if (turncred_sha256(thread->ws, text, STORE_USAGE_SALT + len, digest)) {
    return -1;
  }
  turncred_hex_encode(digest, 16, record->hash, sizeof record->hash);
  return 0;
}

struct usage_record *usage_begin(struct usage *usage, struct thread *thread, const struct subject *subject,
                                 const struct coturn_auth_allocation *a) {
  const struct store_snapshot *snapshot = store_acquire(thread->reader);
  const struct store_realm *realm = snapshot ? store_realm_find(snapshot, subject->realm) : NULL;
  struct usage_record *record = realm && realm->usage ? calloc(1, sizeof *record) : NULL;
  if (record) {
    record->realm = realm_of(usage, realm->name);
    record->session = a->session;
    record->mechanism = subject->mechanism;
    record->transport = a->transport;
    record->started_us = record->seen_us = usage_now();
    record->why = "";
    copy_text(record->kid, sizeof record->kid, subject->kid);
    copy_text(record->fingerprint, sizeof record->fingerprint, subject->fingerprint);
    if (realm->usage == STORE_USAGE_ADDRESS) {
      note_addresses(record, a);
    }
    if (!record->realm || note_user(record, thread, realm, subject)) {
      free(record);
      record = NULL;
    }
  }
  if (snapshot) {
    store_release(thread->reader);
  }
  if (!record) {
    return NULL;
  }
  atomic_fetch_add(&record->realm->live, 1);
  pthread_mutex_lock(&usage->lock);
  enqueue(usage, record, USAGE_START);
  pthread_mutex_unlock(&usage->lock);
  return record;
}

/* The lock is held. */
static void note_traffic(struct usage_record *record, const struct coturn_auth_traffic *traffic) {
  atomic_fetch_add(&record->realm->received_octets, traffic->received_bytes - record->traffic.received_bytes);
  atomic_fetch_add(&record->realm->sent_octets, traffic->sent_bytes - record->traffic.sent_bytes);
  record->traffic = *traffic;
}

void usage_report(struct usage *usage, struct usage_record *record, const struct coturn_auth_session_report *report) {
  pthread_mutex_lock(&usage->lock);
  note_traffic(record, &report->traffic);
  record->seen_us = usage_now();
  if (record->addresses && report->client_addr) {
    with_port(report->client_addr, record->client, sizeof record->client);
  }
  enqueue(usage, record, USAGE_REPORT);
  pthread_mutex_unlock(&usage->lock);
}

void usage_end(struct usage *usage, struct usage_record *record, const char *why,
               const struct coturn_auth_traffic *traffic) {
  pthread_mutex_lock(&usage->lock);
  if (traffic) {
    note_traffic(record, traffic);
  }
  record->seen_us = usage_now();
  record->why = why;
  record->over = true;
  usage->over++;
  atomic_fetch_sub(&record->realm->live, 1);
  atomic_fetch_add(&record->realm->sessions, 1);
  enqueue(usage, record, USAGE_END);
  pthread_mutex_unlock(&usage->lock);
}

/* --- the collector --- */

static void on_journal_log(bool error, const char *line, void *arg) {
  const struct usage *usage = arg;
  module_log(usage->module, error ? COTURN_AUTH_LOG_ERROR : COTURN_AUTH_LOG_WARNING, "usage: %s", line);
}

static void on_written(void *arg) {
  const struct usage *usage = arg;
  const uint64_t one = 1;
  ssize_t done = write(usage->wake_fd, &one, sizeof one);
  (void)done;
}

static void ignore(int err, void *arg) {
  (void)err;
  (void)arg;
}

/* Opens the journal and says that this life of the server has begun. NULL: it cannot be opened now. */
static struct journal *open_journal(struct usage *usage) {
  char err[300] = "", text[JOURNAL_ENTRY_MAX];
  struct journal *journal = NULL;
  const struct journal_config config = {usage->folder, "usage_dir", usage->entries, on_journal_log, usage};
  if (mkdir(usage->folder, 0700) && errno != EEXIST) {
    snprintf(err, sizeof err, "usage_dir %s: %s", usage->folder, strerror(errno));
  } else if (journal_open(&journal, &config, err, sizeof err)) {
    journal = NULL;
  }
  if (!journal) {
    if (strcmp(err, usage->open_error) != 0) {
      module_log(usage->module, COTURN_AUTH_LOG_ERROR, "usage: %s; sessions wait in memory", err);
    }
    snprintf(usage->open_error, sizeof usage->open_error, "%s", err);
    return NULL;
  }
  *usage->open_error = '\0';
  journal_watch(journal, on_written, usage);
  size_t len = usage_begin_entry(usage, text);
  journal_add(journal, text, len, ignore, NULL);
  atomic_store(&usage->journal, journal);
  on_written(usage); /* what an earlier life has left */
  return journal;
}

/* The lock is held. Frees a record of which nothing is on its way any more. */
static void free_settled(struct usage *usage, struct usage_record *record) {
  if (record->settled && !record->held) {
    usage->over--;
    free(record);
  }
}

struct handed {
  struct usage *usage;
  struct usage_record *record;
};

/* An entry is on disk, or could not be written: then it is tried again, an end until there are too many. The lock is
 * held. */
static void settle(struct usage *usage, struct usage_record *record, unsigned flag, int err) {
  if (!err) {
    record->started = true;
    record->settled |= flag == USAGE_END;
  } else if (flag == USAGE_END && usage->over > OVER_MAX) {
    atomic_fetch_add(&usage->lost, 1);
    record->settled = true;
  } else if (flag == USAGE_END || !record->over) {
    enqueue(usage, record, flag);
  }
  free_settled(usage, record);
}

static void on_stored(struct handed *handed, unsigned flag, int err) {
  struct usage *usage = handed->usage;
  pthread_mutex_lock(&usage->lock);
  handed->record->held--;
  settle(usage, handed->record, flag, err);
  pthread_mutex_unlock(&usage->lock);
  free(handed);
}

static void on_start_stored(int err, void *arg) { on_stored(arg, USAGE_START, err); }
static void on_end_stored(int err, void *arg) { on_stored(arg, USAGE_END, err); }

static void journalize(struct usage *usage, struct journal *journal, struct usage_record *record, unsigned flag) {
  char text[JOURNAL_ENTRY_MAX];
  size_t len = flag == USAGE_END ? usage_end_entry(usage, record, text) : usage_start_entry(usage, record, text);
  struct handed *handed = malloc(sizeof *handed);
  int err = ENOMEM;
  if (handed) {
    *handed = (struct handed){usage, record};
    err = journal ? journal_add(journal, text, len, flag == USAGE_END ? on_end_stored : on_start_stored, handed) : EIO;
  }
  if (err) {
    free(handed);
    pthread_mutex_lock(&usage->lock);
    record->held--;
    settle(usage, record, flag, err);
    pthread_mutex_unlock(&usage->lock);
  }
}

/* Puts a record's report in the table. False: there is no room, or the database may not know the session yet. The lock
 * is held. */
static bool take_report(struct usage *usage, struct usage_record *record) {
  bool again = record->slot < usage->report_count && usage->reports[record->slot].session == record->session;
  if (!record->started || (!again && usage->report_count == USAGE_REPORTS)) {
    return false;
  }
  if (again) {
    atomic_fetch_add(&usage->dropped, 1); /* the older one */
  } else {
    record->slot = usage->report_count++;
  }
  struct usage_report *report = &usage->reports[record->slot];
  *report = (struct usage_report){record->session, record->seen_us, record->traffic, ""};
  memcpy(report->client, record->client, sizeof report->client);
  return true;
}

/* Takes what is new of a record that is not queued any more. Returns what the journal is to have. The lock is held. */
static unsigned take(struct usage *usage, struct usage_record *record) {
  unsigned flags = record->flags, entry = 0;
  record->flags = 0;
  record->queued = false;
  if (record->over) { /* an end has all that a start has; a record that is over is nobody else's */
    entry = flags & USAGE_END;
  } else {
    entry = flags & USAGE_START;
    if ((flags & USAGE_REPORT) && !take_report(usage, record)) {
      enqueue(usage, record, USAGE_REPORT);
    }
  }
  record->held += entry != 0;
  return entry;
}

static void collect(struct usage *usage) {
  pthread_mutex_lock(&usage->lock);
  struct usage_record *record = usage->first;
  usage->first = usage->last = NULL;
  pthread_mutex_unlock(&usage->lock);
  struct journal *journal = atomic_load(&usage->journal);
  if (record && !journal && (!usage->opened_ms || clock_ms() - usage->opened_ms > REOPEN_MS)) {
    usage->opened_ms = clock_ms();
    journal = open_journal(usage);
  }
  while (record) {
    pthread_mutex_lock(&usage->lock);
    struct usage_record *next = record->next;
    unsigned entry = take(usage, record);
    pthread_mutex_unlock(&usage->lock);
    if (entry) {
      journalize(usage, journal, record, entry);
    }
    record = next;
  }
}

static void *run_collector(void *arg) {
  struct usage *usage = arg;
  struct stat st;
  if (stat(usage->folder, &st) == 0) { /* an earlier life has left something */
    open_journal(usage);
  }
  while (!atomic_load(&usage->stop)) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += COLLECT_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&usage->lock);
    if (!atomic_load(&usage->stop)) {
      pthread_cond_timedwait(&usage->wake, &usage->lock, &until);
    }
    pthread_mutex_unlock(&usage->lock);
    collect(usage);
  }
  collect(usage);
  return NULL;
}

/* --- life --- */

struct usage *usage_start(struct module *module) {
  struct usage *usage = calloc(1, sizeof *usage);
  pthread_condattr_t attr;
  if (!usage) {
    return NULL;
  }
  usage->module = module;
  usage->folder = module->config->usage_dir;
  usage->entries = (size_t)module->config->usage_entries;
  usage->life_us = usage_now();
  usage->reports = calloc(USAGE_REPORTS, sizeof *usage->reports);
  usage->sending = calloc(USAGE_SENDING, sizeof *usage->sending);
  usage->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  usage->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  pthread_mutex_init(&usage->lock, NULL);
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&usage->wake, &attr);
  pthread_condattr_destroy(&attr);
  pg_init(&usage->db, usage->stop_fd);
  if (usage->reports && usage->sending && usage->wake_fd >= 0 && usage->stop_fd >= 0) {
    usage->collecting = pthread_create(&usage->collector, NULL, run_collector, usage) == 0;
    usage->delivering = pthread_create(&usage->deliverer, NULL, usage_deliver, usage) == 0;
  }
  if (!usage->collecting || !usage->delivering) {
    usage_stop(usage);
    return NULL;
  }
  return usage;
}

/* Lets the deliverer deliver for USAGE_STOP_MS, then ends its statement. */
static void join_deliverer(struct usage *usage) {
  const uint64_t one = 1;
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += USAGE_STOP_MS / 1000;
  if (pthread_timedjoin_np(usage->deliverer, NULL, &until)) {
    ssize_t done = write(usage->stop_fd, &one, sizeof one);
    (void)done;
    pthread_join(usage->deliverer, NULL);
  }
}

void usage_stop(struct usage *usage) {
  if (!usage) {
    return;
  }
  pthread_mutex_lock(&usage->lock);
  atomic_store(&usage->stop, true);
  pthread_cond_signal(&usage->wake);
  pthread_mutex_unlock(&usage->lock);
  if (usage->collecting) {
    pthread_join(usage->collector, NULL);
  }
  atomic_store(&usage->stop_delivery, true);
  on_written(usage);
  if (usage->delivering) {
    join_deliverer(usage);
  }
  journal_close(atomic_load(&usage->journal));
  pg_close(&usage->db);
  for (struct usage_realm *realm = usage->realms, *next; realm; realm = next) {
    next = realm->next;
    free(realm);
  }
  free(usage->reports);
  free(usage->sending);
  if (usage->wake_fd >= 0) {
    close(usage->wake_fd);
  }
  if (usage->stop_fd >= 0) {
    close(usage->stop_fd);
  }
  pthread_cond_destroy(&usage->wake);
  pthread_mutex_destroy(&usage->lock);
  free(usage);
}
