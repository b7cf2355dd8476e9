/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "delivery.h"
#include "base/clock.h"
#include "turncredd/daemon.h"
#include "sealed_file.h"
#include "reserve_file.h"
#include "turncredd/log.h"
#include "turncredd/tag.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH        500 /* journal entries a transaction */
#define PACE_MS      20 /* between transactions that are not full: few entries cost as much as many */
#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 5000
#define DATABASE_MS  5000 /* a silent one is away */
#define AT_START_MS  2000 /* the same, where what was kept can be used instead */
#define CALLERS      "callers"

struct delivery {
  struct delivery_config config;
  struct pg db;
  int wake_fd, stop_fd;
  pthread_t thread;
  pthread_mutex_t lock;
  struct directory *directory; /* under lock */
  atomic_bool connected, stop;
  struct store_reader *reader;
  int64_t delivered_at_ms;
  int64_t directory_at_ms, kept_at_ms;  /* 0: not yet */
  struct reserve_file *reserve_file;                  /* NULL: nothing is kept */
  bool opened;                          /* the journal, on this connection */
  char last_error[300], last_used_up[700], last_tag_error[300], last_keep_error[300];
};

void delivery_wake(struct delivery *delivery) {
  const uint64_t one = 1;
  ssize_t done = write(delivery->wake_fd, &one, sizeof one);
  (void)done; /* full: it is awake anyway */
}

struct directory *delivery_directory(struct delivery *delivery) {
  pthread_mutex_lock(&delivery->lock);
  struct directory *d = directory_ref(delivery->directory);
  pthread_mutex_unlock(&delivery->lock);
  return d;
}

bool delivery_connected(struct delivery *delivery) { return atomic_load(&delivery->connected); }

static void take_directory(struct delivery *c, struct directory *fresh) {
  pthread_mutex_lock(&c->lock);
  struct directory *old = c->directory;
  c->directory = fresh;
  pthread_mutex_unlock(&c->lock);
  directory_unref(old);
}

/* On disk when it has changed, and again before it looks too old. */
static void keep_directory(struct delivery *c, bool changed) {
  char err[300] = "";
  int64_t now = clock_ms(), age = c->kept_at_ms ? now - c->kept_at_ms : INT64_MAX;
  if (!c->reserve_file || (!changed && age < (int64_t)c->config.keep_max_age * 250))
    return;
  char *text = directory_text(c->directory);
  if (text && !sealed_file_write(c->config.daemon, CALLERS, text, err, sizeof err))
    c->kept_at_ms = now;
  free(text);
  if (*err && strcmp(err, c->last_keep_error) != 0)
    log_line(LOG_WARNING, "%s", err);
  snprintf(c->last_keep_error, sizeof c->last_keep_error, "%s", err);
}

static void directory_from_disk(struct delivery *c) {
  char err[300] = "damaged", *text = NULL;
  int64_t written;
  struct directory *d = NULL;
  if (!sealed_file_read(c->config.daemon, CALLERS, c->config.keep_max_age, &text, &written, err,
                 sizeof err))
    d = directory_from_text(text);
  free(text);
  if (!d) {
    log_line(LOG_WARNING, "callers that were kept cannot be used: %s", err);
    return;
  }
  log_line(LOG_WARNING, "the database is away: using callers as they were %lld seconds ago: %zu",
      (long long)(time(NULL) - written), directory_callers(d));
  take_directory(c, d);
}

/* A database that was restarted empty, while the store stays with what it has: such a directory
 * would shut every caller out, and what is delivered there would be missing from the database that
 * is restored in its place. */
static bool is_blank(const struct delivery *c, const struct directory *fresh) {
  struct store_status status;
  size_t realms;
  directory_realms(fresh, &realms);
  store_status(c->config.store, &status);
  return realms == 0 && status.realms > 0;
}

static bool load_directory(struct delivery *c) {
  struct directory *fresh;
  char err[300] = "";
  int rc = directory_load(&fresh, &c->db, err, sizeof err);
  if (!rc && is_blank(c, fresh)) {
    snprintf(err, sizeof err, "it holds no realm; what is loaded stays in use");
    directory_unref(fresh);
    rc = EAGAIN;
  }
  if (rc) {
    snprintf(c->db.line, sizeof c->db.line, "%.250s", err);
    c->directory_at_ms = 0; /* before anything else is done there */
    return false;
  }
  c->directory_at_ms = clock_ms();
  bool changed = !directory_equal(c->directory, fresh);
  if (changed) {
    log_line(LOG_INFO, "callers: %zu", directory_callers(fresh));
    take_directory(c, fresh);
  } else {
    directory_unref(fresh);
  }
  keep_directory(c, changed);
  return true;
}

/* --- reserves ----------------------------------------------------------------------------- */

static bool reserve_tokens(struct delivery *c, const char *realm, const char *kid, uint64_t count,
                    bool for_file) {
  char name[700];
  struct pg_params p = {0};
  pg_text(&p, realm);
  pg_text(&p, kid);
  pg_int(&p, (int64_t)count);
  PGresult *r = pg_query(&c->db, "SELECT turncred.tokens_reserve($1, $2, $3::bigint)", &p);
  if (!r)
    return false;
  bool got = PQntuples(r) == 1 && *PQgetvalue(r, 0, 0) == 't';
  if (got && for_file)
    reserve_file_add(c->reserve_file, realm, kid, count);
  else
    reserve_add(c->config.reserve, realm, kid, got ? count : 0);
  PQclear(r);
  snprintf(name, sizeof name, "%s/%s", realm, kid);
  if (!got && strcmp(name, c->last_used_up) != 0) {
    log_line(LOG_ERR,
        "key %s: no more tokens can be reserved (2^32 are the limit, or it is no longer active); "
        "turncredctl key rotate",
        name);
    snprintf(c->last_used_up, sizeof c->last_used_up, "%s", name);
  }
  return true;
}

/* What the key that signs tokens of this realm now wants. */
struct want {
  char kid[TURNCRED_USERNAME_MAX + 1];
  uint64_t count; /* to reserve */
  bool tag;       /* the realm's key of subject tags is missing */
};

static void look(struct delivery *c, const char *realm, struct want *want) {
  const struct store_snapshot *snapshot = store_acquire(c->reader);
  int64_t now = (int64_t)time(NULL);
  memset(want, 0, sizeof *want);
  if (!snapshot)
    return;
  const struct store_realm *r = store_realm_find(snapshot, realm);
  const struct store_key *key = r ? store_key_to_sign(snapshot, r, TURNCRED_USE_TOKEN, now) : NULL;
  if (key) {
    snprintf(want->kid, sizeof want->kid, "%s", key->kid);
    want->count = reserve_wanted(c->config.reserve, realm, key->kid);
    want->tag = key->subject_tag && !store_key_to_sign(snapshot, r, TURNCRED_USE_TAG, now);
  }
  store_release(c->reader);
}

static bool make_tag_key(struct delivery *c, const char *realm, const char *kid) {
  char err[300];
  struct reloadable *reloadable = reloadable_get(c->config.daemon);
  int rc = tag_make(&c->db, reloadable->keks, realm, kid, err, sizeof err);
  reloadable_unref(reloadable);
  if (rc && strcmp(c->last_tag_error, err) != 0)
    log_line(LOG_ERR, "%s", err);
  snprintf(c->last_tag_error, sizeof c->last_tag_error, "%s", rc ? err : "");
  return c->db.conn != NULL;
}

static bool reserve_all(struct delivery *c) {
  struct want want;
  size_t n;
  const struct realm_info *realms = directory_realms(c->directory, &n);
  for (size_t i = 0; i < n; i++) {
    look(c, realms[i].name, &want);
    uint64_t kept = c->reserve_file && *want.kid ? reserve_file_wanted(c->reserve_file, realms[i].name, want.kid) : 0;
    if ((want.count && !reserve_tokens(c, realms[i].name, want.kid, want.count, false)) ||
        (kept && !reserve_tokens(c, realms[i].name, want.kid, kept, true)) ||
        (want.tag && !make_tag_key(c, realms[i].name, want.kid)))
      return false;
  }
  return true;
}

/* Without the database: from what is on disk. */
static void spend(struct delivery *c) {
  struct want want;
  size_t n = 0;
  const struct realm_info *realms =
      c->reserve_file && c->directory ? directory_realms(c->directory, &n) : NULL;
  for (size_t i = 0; i < n; i++) {
    look(c, realms[i].name, &want);
    if (*want.kid && reserve_left(c->config.reserve, realms[i].name, want.kid) < reserve_file_part(c->reserve_file))
      reserve_add(c->config.reserve, realms[i].name, want.kid,
                 reserve_file_take(c->reserve_file, realms[i].name, want.kid));
  }
}

/* --- the journal -------------------------------------------------------------------------- */

static bool open_journal(struct delivery *c) {
  struct pg_params p = {0};
  pg_text(&p, journal_stream(c->config.journal));
  pg_text(&p, c->config.instance);
  PGresult *r = pg_query(&c->db, "SELECT turncred.journal_open($1, $2)", &p);
  if (!r)
    return false;
  uint64_t number = PQntuples(r) ? strtoull(PQgetvalue(r, 0, 0), NULL, 10) : 0;
  PQclear(r);
  journal_skip(c->config.journal, number);
  journal_delivered(c->config.journal, number);
  c->opened = true;
  return true;
}

/* The first entry after a while goes at once; those that follow it wait for company. */
static void pace(struct delivery *c) {
  int64_t since = clock_ms() - c->delivered_at_ms;
  struct pollfd fd = {c->stop_fd, POLLIN, 0};
  if (since < PACE_MS && journal_waiting(c->config.journal) < BATCH)
    poll(&fd, 1, (int)(PACE_MS - since));
  c->delivered_at_ms = clock_ms();
}

/* One transaction at a time: what else is to be done does not wait for the end of a long load. */
static bool deliver(struct delivery *c) {
  uint64_t last = 0;
  if (!c->opened && !open_journal(c))
    return false;
  if (!journal_waiting(c->config.journal))
    return true;
  pace(c);
  char *batch = journal_batch(c->config.journal, BATCH, &last);
  if (!batch)
    return true;
  struct pg_params p = {0};
  pg_text(&p, journal_stream(c->config.journal));
  pg_text(&p, batch);
  PGresult *r = pg_query(&c->db, "SELECT turncred.journal_deliver($1, $2::jsonb)", &p);
  free(batch);
  if (!r)
    return false;
  uint64_t number = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
  PQclear(r);
  atomic_fetch_add(&c->config.metrics->delivered, journal_delivered(c->config.journal, number));
  return true;
}

/* --- the thread --------------------------------------------------------------------------- */

static bool connect_database(struct delivery *c) {
  if (c->db.conn)
    return true;
  c->opened = false;
  if (pg_connect(&c->db, c->config.conninfo, "turncredd"))
    return false;
  if (c->config.listen && pg_run(&c->db, "LISTEN turncred_issuing", NULL, NULL) && !c->db.conn)
    return false;
  return load_directory(c);
}

static void drain(int fd) {
  uint64_t count;
  while (read(fd, &count, sizeof count) > 0)
    ;
}

/* Until there is something to do. */
static void rest(struct delivery *c, uint32_t ms) {
  struct pollfd fds[3] = {{c->wake_fd, POLLIN, 0},
                          {c->stop_fd, POLLIN, 0},
                          {c->db.conn ? PQsocket(c->db.conn) : -1, POLLIN, 0}};
  poll(fds, 3, (int)ms);
  if (c->db.conn && fds[2].revents && pg_wait(&c->db, 0) == PG_NOTIFIED)
    c->directory_at_ms = 0;
}

static bool work(struct delivery *c) {
  if (!connect_database(c))
    return false;
  bool due = clock_ms() - c->directory_at_ms >= c->config.poll_ms;
  if ((due || !c->directory_at_ms) && !load_directory(c))
    return false;
  return deliver(c) && reserve_all(c);
}

/* Until the database is tried again. */
static void hold_out(struct delivery *c, uint32_t ms) {
  int64_t now, end = clock_ms() + ms;
  while (!atomic_load(&c->stop) && (now = clock_ms()) < end) {
    struct pollfd fds[2] = {{c->stop_fd, POLLIN, 0}, {c->wake_fd, POLLIN, 0}};
    spend(c);
    poll(fds, 2, (int)(end - now));
    drain(c->wake_fd);
  }
}

static void *run(void *arg) {
  struct delivery *c = arg;
  uint32_t delay = RETRY_MIN_MS;
  pthread_setname_np(pthread_self(), "delivery");
  while (!atomic_load(&c->stop)) {
    drain(c->wake_fd);
    bool ok = work(c);
    c->db.connect_ms = c->db.silence_ms = DATABASE_MS;
    atomic_store(&c->connected, ok);
    if (ok) {
      if (*c->last_error)
        log_line(LOG_INFO, "database: the journal is being delivered again");
      *c->last_error = '\0';
      delay = RETRY_MIN_MS;
      rest(c, journal_waiting(c->config.journal) ? 0 : c->config.poll_ms);
      continue;
    }
    if (!atomic_load(&c->stop) && strcmp(c->last_error, c->db.line) != 0) {
      log_line(LOG_WARNING, "database: %s; issuing goes on, the journal keeps what is issued",
          c->db.line);
      snprintf(c->last_error, sizeof c->last_error, "%s", c->db.line);
    }
    if (c->reserve_file && !c->directory)
      directory_from_disk(c);
    hold_out(c, delay);
    delay = delay * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : delay * 2;
  }
  return NULL;
}

int delivery_start(struct delivery **out, const struct delivery_config *config, char *err,
                  size_t cap) {
  struct delivery *c = calloc(1, sizeof *c);
  if (!c)
    return snprintf(err, cap, "out of memory"), -1;
  c->config = *config;
  c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  pthread_mutex_init(&c->lock, NULL);
  atomic_init(&c->connected, false);
  atomic_init(&c->stop, false);
  pg_init(&c->db, c->stop_fd);
  bool keep = sealed_file_wanted(config->daemon);
  c->db.connect_ms = c->db.silence_ms = keep ? AT_START_MS : DATABASE_MS;
  if (keep)
    c->reserve_file = reserve_file_open(config->daemon, config->token_reserve);
  c->reader = store_reader_new(config->store);
  if (c->wake_fd < 0 || c->stop_fd < 0 || !c->reader || (keep && !c->reserve_file) ||
      pthread_create(&c->thread, NULL, run, c)) {
    store_reader_free(c->reader);
    reserve_file_free(c->reserve_file);
    free(c);
    return snprintf(err, cap, "no memory, descriptors or threads"), -1;
  }
  journal_watch(config->journal, (void (*)(void *))delivery_wake, c);
  *out = c;
  return 0;
}

void delivery_stop(struct delivery *c, uint32_t wait_ms) {
  if (!c)
    return;
  int64_t end = clock_ms() + wait_ms;
  delivery_wake(c);
  while (delivery_connected(c) && journal_waiting(c->config.journal) && clock_ms() < end)
    poll(NULL, 0, 10);
  const uint64_t one = 1;
  atomic_store(&c->stop, true);
  ssize_t done = write(c->stop_fd, &one, sizeof one);
  (void)done;
  pthread_join(c->thread, NULL);
  pg_close(&c->db);
  store_reader_free(c->reader);
}

void delivery_free(struct delivery *c) {
  if (!c)
    return;
  directory_unref(c->directory);
  reserve_file_free(c->reserve_file);
  pthread_mutex_destroy(&c->lock);
  close(c->wake_fd);
  close(c->stop_fd);
  free(c);
}
