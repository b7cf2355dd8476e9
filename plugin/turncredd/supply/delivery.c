/*
 * delivery.c - the thread that takes the journal to the database, and brings callers and reserves
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "delivery.h"

#include "base/clock.h"
#include "issue_record.h"
#include "issuing/tag_key.h"
#include "pg/pg.h"
#include "refused.h"
#include "reserve_file.h"
#include "turncredd/log.h"

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

#define BATCH 500        /* journal entries of one transaction */
#define PAUSE_MS 20      /* between transactions that are not full: a small one costs as much as a full one */
#define RETRY_MIN_MS 200 /* pause after a failure, doubled with each further one */
#define RETRY_MAX_MS 5000
#define BRIEF_MS 10000 /* an outage so short may be a restart: it is tried often, and requests may wait for its end */
#define RETRY_BRIEF_MS 1000 /* longest pause meanwhile */
#define DATABASE_MS 5000    /* a database that is silent for so long is away */
#define AT_START_MS 2000    /* the same at a start that can use sealed files instead */
#define CALLERS "callers"   /* name of the sealed file */

struct delivery {
  struct delivery_config config;
  struct pg db;
  int wake_fd, stop_fd;
  pthread_t thread;
  pthread_mutex_t lock;
  struct directory *directory; /* under lock */
  atomic_bool connected, stop;
  atomic_bool settled;                /* reserves have been brought once, or are as the file has them */
  atomic_int_least64_t away_since_ms; /* when the database was first found away; 0: it is there */
  struct store_reader *reader;
  int64_t delivered_at_ms;
  int64_t directory_at_ms;           /* when the directory was loaded; 0: not yet, or load it at once */
  int64_t sealed_at_ms;              /* when the callers were sealed; 0: not yet */
  struct reserve_file *reserve_file; /* NULL: no sealed files are kept */
  struct refused *set_aside;         /* entries that the database refuses for good */
  size_t batch;       /* entries of the next transaction: fewer while one that is refused is looked for */
  atomic_bool replay; /* entries that are set aside are to be tried again */
  bool stream_open;   /* the database knows the journal's stream on this connection */
  char refused[300];  /* why this database is not used although it answers; "": it failed, see db */
  /* what was logged last, so that nothing is logged again and again */
  char last_error[PG_LINE], last_tag_error[600], last_sealing_error[300];
};

void delivery_wake(struct delivery *d) {
  const uint64_t one = 1;
  ssize_t done = write(d->wake_fd, &one, sizeof one);
  (void)done; /* a counter that is full has woken the thread already */
}

static void on_entries(void *arg) { delivery_wake(arg); }

struct directory *delivery_directory(struct delivery *d) {
  pthread_mutex_lock(&d->lock);
  struct directory *newest = directory_ref(d->directory);
  pthread_mutex_unlock(&d->lock);
  return newest;
}

bool delivery_connected(struct delivery *d) { return atomic_load(&d->connected); }

static bool briefly_away(struct delivery *d) {
  int64_t since = atomic_load(&d->away_since_ms);
  return since && clock_ms() - since < BRIEF_MS;
}

bool delivery_reserves(struct delivery *d) {
  return delivery_connected(d) || !atomic_load(&d->settled) || briefly_away(d);
}

static void take_directory(struct delivery *d, struct directory *fresh) {
  pthread_mutex_lock(&d->lock);
  struct directory *old = d->directory;
  d->directory = fresh;
  pthread_mutex_unlock(&d->lock);
  directory_unref(old);
}

/* Writes the callers to their sealed file when they have changed, and again before the file looks too old. */
static void seal_directory(struct delivery *d, bool changed) {
  char err[300] = "";
  int64_t now = clock_ms(), age = d->sealed_at_ms ? now - d->sealed_at_ms : INT64_MAX;
  if (!d->reserve_file || (!changed && age < (int64_t)d->config.callers_max_age * 250)) {
    return;
  }
  char *text = directory_text(d->directory);
  if (text && !sealed_file_write(&d->config.folder, CALLERS, text, err, sizeof err)) {
    d->sealed_at_ms = now;
  }
  free(text);
  if (*err && strcmp(err, d->last_sealing_error) != 0) {
    log_line(LOG_WARNING, "%s", err);
  }
  snprintf(d->last_sealing_error, sizeof d->last_sealing_error, "%s", err);
}

static void directory_from_disk(struct delivery *d) {
  char err[300] = "damaged", *text = NULL;
  int64_t written;
  struct directory *sealed = NULL;
  if (!sealed_file_read(&d->config.folder, CALLERS, d->config.callers_max_age, &text, &written, err, sizeof err)) {
    sealed = directory_from_text(text);
  }
  free(text);
  if (!sealed) {
    log_line(LOG_WARNING, "callers that were kept cannot be used: %s", err);
    return;
  }
  log_line(LOG_WARNING, "the database is away: using callers as they were %lld seconds ago: %zu",
           (long long)(time(NULL) - written), directory_callers(sealed));
  take_directory(d, sealed);
}

/* Has the database been restarted empty, while the store keeps the realms that it has? An empty directory would
 * shut every caller out, and entries delivered now would be missing from the database that is restored later. */
static bool is_blank(const struct delivery *d, const struct directory *fresh) {
  struct store_status status;
  size_t realms;
  directory_realms(fresh, &realms);
  store_status(d->config.store, &status);
  return realms == 0 && status.realms > 0;
}

static bool load_directory(struct delivery *d) {
  struct directory *fresh;
  int rc = directory_load(&fresh, &d->db, d->refused, sizeof d->refused);
  if (!rc && is_blank(d, fresh)) {
    snprintf(d->refused, sizeof d->refused, "it holds no realm; what is loaded stays in use");
    directory_unref(fresh);
    rc = EAGAIN;
  }
  if (rc) {
    d->directory_at_ms = 0; /* nothing else is done with this database before its directory is good */
    return false;
  }
  d->directory_at_ms = clock_ms();
  bool changed = !directory_equal(d->directory, fresh);
  if (changed) {
    log_line(LOG_INFO, "callers: %zu", directory_callers(fresh));
    if (directory_bad_uris(fresh)) {
      log_line(LOG_WARNING,
               "%zu URIs of realms are no TURN URIs (RFC 7065) and are not handed out; turncredctl doctor names them",
               directory_bad_uris(fresh));
    }
    take_directory(d, fresh);
  } else {
    directory_unref(fresh);
  }
  seal_directory(d, changed);
  return true;
}

/* --- reserves ----------------------------------------------------------------------------- */

static bool reserve_tokens(struct delivery *d, const char *realm, const char *kid, uint64_t count, bool for_file) {
  struct pg_params p = {0};
  pg_text(&p, realm);
  pg_text(&p, kid);
  pg_int(&p, (int64_t)count);
  PGresult *r = pg_query(&d->db, "SELECT turncred.tokens_reserve($1, $2, $3::bigint)", &p);
  if (!r) {
    return false;
  }
  bool got = PQntuples(r) == 1 && *PQgetvalue(r, 0, 0) == 't';
  bool said = reserve_is_refused(d->config.reserve, realm, kid);
  if (got && for_file) {
    reserve_file_add(d->reserve_file, realm, kid, count);
  } else {
    reserve_add(d->config.reserve, realm, kid, got ? count : 0);
  }
  PQclear(r);
  if (!got && !said) {
    log_line(LOG_ERR,
             "key %s/%s: no more tokens can be reserved (2^32 are the limit, or it is no longer active); "
             "turncredctl key rotate",
             realm, kid);
  }
  return true;
}

/* What the key that signs tokens of a realm needs now. */
struct need {
  char kid[TURNCRED_USERNAME_MAX + 1]; /* "": no key signs */
  uint64_t count;                      /* tokens to reserve in memory */
  bool tag;                            /* the realm has no key of subject tags, and its tokens carry tags */
};

static void find_need(struct delivery *d, const char *realm, struct need *need) {
  const struct store_snapshot *snapshot = store_acquire(d->reader);
  int64_t now = (int64_t)time(NULL);
  memset(need, 0, sizeof *need);
  if (!snapshot) {
    return;
  }
  const struct store_realm *r = store_realm_find(snapshot, realm);
  const struct store_key *key = r ? store_key_to_sign(snapshot, r, TURNCRED_USE_TOKEN, now) : NULL;
  if (key) {
    snprintf(need->kid, sizeof need->kid, "%s", key->kid);
    need->count = reserve_wanted(d->config.reserve, realm, key->kid);
    need->tag = key->subject_tag && !store_key_to_sign(snapshot, r, TURNCRED_USE_TAG, now);
  }
  store_release(d->reader);
}

/* first: what was wrong in the first realm of this look. */
static bool make_tag_key(struct delivery *d, const char *realm, const char *kid, char first[sizeof d->last_tag_error]) {
  char text[300];
  struct reloadable *reloadable = reloadable_get(d->config.reloadable);
  enum tag_key_result result = tag_key_make(&d->db, reloadable->keks, realm, kid, text, sizeof text);
  reloadable_unref(reloadable);
  if (result && result != TAG_KEY_NO_SIGNER && !*first) { /* without the key that signs there is no need */
    snprintf(first, sizeof d->last_tag_error, "realm %s: the key of subject tags cannot be made: %s", realm, text);
  }
  return d->db.conn != NULL;
}

static bool fill_reserves(struct delivery *d) {
  char tag_error[sizeof d->last_tag_error] = "";
  size_t n;
  const struct realm_info *realms = directory_realms(d->directory, &n);
  for (size_t i = 0; i < n; i++) {
    const char *realm = realms[i].name;
    struct need need;
    find_need(d, realm, &need);
    uint64_t for_file = d->reserve_file && *need.kid ? reserve_file_wanted(d->reserve_file, realm, need.kid) : 0;
    if ((need.count && !reserve_tokens(d, realm, need.kid, need.count, false)) ||
        (for_file && !reserve_tokens(d, realm, need.kid, for_file, true)) ||
        (need.tag && !make_tag_key(d, realm, need.kid, tag_error))) {
      return false;
    }
  }
  if (*tag_error && strcmp(d->last_tag_error, tag_error) != 0) {
    log_line(LOG_ERR, "%s", tag_error);
  }
  memcpy(d->last_tag_error, tag_error, sizeof tag_error);
  return true;
}

/* Are there realms and keys, by which reserves are brought? */
static bool is_loaded(struct delivery *d) {
  const struct store_snapshot *snapshot = store_acquire(d->reader);
  if (snapshot) {
    store_release(d->reader);
  }
  return snapshot && d->directory;
}

/* While the database is away: fills reserves that run low from the file. */
static void fill_reserves_from_file(struct delivery *d) {
  size_t n = 0;
  const struct realm_info *realms = d->reserve_file && d->directory ? directory_realms(d->directory, &n) : NULL;
  for (size_t i = 0; i < n; i++) {
    const char *realm = realms[i].name;
    struct need need;
    find_need(d, realm, &need);
    if (*need.kid && reserve_left(d->config.reserve, realm, need.kid) < reserve_file_part(d->reserve_file)) {
      uint64_t count = reserve_file_take(d->reserve_file, realm, need.kid);
      if (count) {
        reserve_add(d->config.reserve, realm, need.kid, count);
      }
    }
  }
}

/* --- the journal -------------------------------------------------------------------------- */

static bool open_journal(struct delivery *d) {
  struct pg_params p = {0};
  pg_text(&p, journal_stream(d->config.journal));
  pg_text(&p, d->config.instance);
  PGresult *r = pg_query(&d->db, "SELECT turncred.journal_open($1, $2)", &p);
  if (!r) {
    return false;
  }
  uint64_t number = PQntuples(r) ? strtoull(PQgetvalue(r, 0, 0), NULL, 10) : 0;
  PQclear(r);
  journal_skip(d->config.journal, number);
  journal_delivered(d->config.journal, number);
  d->stream_open = true;
  return true;
}

/* The first entry after a pause is delivered at once. Entries that follow it closely are collected for PAUSE_MS. */
static void collect(struct delivery *d) {
  int64_t since = clock_ms() - d->delivered_at_ms;
  struct pollfd fd = {d->stop_fd, POLLIN, 0};
  if (since < PAUSE_MS && journal_waiting(d->config.journal) < BATCH) {
    poll(&fd, 1, (int)(PAUSE_MS - since));
  }
  d->delivered_at_ms = clock_ms();
}

/* The database has refused a batch of count entries. Finds the entry that it refuses by halves, and sets it aside.
 * False: delivering has failed. */
static bool take_refusal(struct delivery *d, size_t count) {
  if (!strcmp(d->db.sqlstate, "TC003")) { /* the database was restored, or its row was removed */
    d->stream_open = false;
    return d->db.conn && open_journal(d);
  }
  if (!refused_for_good(&d->db)) {
    return false;
  }
  if (count > 1) {
    d->batch = count / 2;
    return true;
  }
  return refused_set_aside(d->set_aside, &d->db, d->refused, sizeof d->refused);
}

/* Delivers one transaction, so that callers and reserves do not wait for the end of a long journal. */
static bool deliver(struct delivery *d) {
  size_t count = 0;
  if (!d->stream_open && !open_journal(d)) {
    return false;
  }
  if (!journal_waiting(d->config.journal)) {
    return true;
  }
  if (d->batch == BATCH) {
    collect(d);
  }
  char *batch = issue_record_batch(d->config.journal, d->batch, &count);
  if (!batch) {
    return true;
  }
  struct pg_params p = {0};
  pg_text(&p, journal_stream(d->config.journal));
  pg_text(&p, batch);
  PGresult *r = pg_query(&d->db, "SELECT turncred.journal_deliver($1, $2::jsonb)", &p);
  free(batch);
  if (!r) {
    return take_refusal(d, count);
  }
  uint64_t number = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
  PQclear(r);
  atomic_fetch_add(&d->config.metrics->delivered, journal_delivered(d->config.journal, number));
  d->batch = 2 * d->batch < BATCH ? 2 * d->batch : BATCH;
  return true;
}

static bool replay(struct delivery *d) {
  if (!atomic_exchange(&d->replay, false) || refused_replay(d->set_aside, &d->db)) {
    return true;
  }
  atomic_store(&d->replay, true);
  return false;
}

void delivery_replay(struct delivery *d) {
  atomic_store(&d->replay, true);
  delivery_wake(d);
}

size_t delivery_set_aside(const struct delivery *d) { return refused_count(d->set_aside); }

/* --- the thread --------------------------------------------------------------------------- */

static bool connect_database(struct delivery *d) {
  if (d->db.conn) {
    return true;
  }
  d->stream_open = false;
  if (pg_connect(&d->db, d->config.conninfo, "turncredd")) {
    return false;
  }
  if (d->config.listen && pg_run(&d->db, "LISTEN turncred_issuing", NULL, NULL) && !d->db.conn) {
    return false;
  }
  return load_directory(d);
}

static void drain(int fd) {
  uint64_t count;
  while (read(fd, &count, sizeof count) > 0)
    ;
}

/* Waits until there is something to do, for ms milliseconds at most. */
static void wait_for_work(struct delivery *d, uint32_t ms) {
  struct pollfd fds[3] = {
      {d->wake_fd, POLLIN, 0}, {d->stop_fd, POLLIN, 0}, {d->db.conn ? PQsocket(d->db.conn) : -1, POLLIN, 0}};
  poll(fds, 3, (int)ms);
  if (d->db.conn && fds[2].revents && pg_wait(&d->db, 0) == PG_NOTIFIED) {
    d->directory_at_ms = 0;
  }
}

static bool work(struct delivery *d) {
  *d->refused = '\0';
  if (!connect_database(d)) {
    return false;
  }
  bool due = clock_ms() - d->directory_at_ms >= d->config.poll_ms;
  if ((due || !d->directory_at_ms) && !load_directory(d)) {
    return false;
  }
  return deliver(d) && replay(d) && fill_reserves(d);
}

/* Waits ms milliseconds, until the database is tried again. */
static void wait_to_retry(struct delivery *d, uint32_t ms) {
  int64_t now, end = clock_ms() + ms;
  while (!atomic_load(&d->stop) && (now = clock_ms()) < end) {
    struct pollfd fds[2] = {{d->stop_fd, POLLIN, 0}, {d->wake_fd, POLLIN, 0}};
    bool loaded = is_loaded(d);
    fill_reserves_from_file(d);
    if (loaded) {
      atomic_store(&d->settled, true);
    }
    poll(fds, 2, (int)(end - now));
    drain(d->wake_fd);
  }
}

static void log_failure(struct delivery *d) {
  const char *why = *d->refused ? d->refused : d->db.line;
  if (atomic_load(&d->stop) || !strcmp(d->last_error, why)) {
    return;
  }
  log_line(LOG_WARNING, "database: %s; issuing goes on, the journal keeps what is issued", why);
  snprintf(d->last_error, sizeof d->last_error, "%s", why);
}

static void *run(void *arg) {
  struct delivery *d = arg;
  uint32_t delay = RETRY_MIN_MS;
  pthread_setname_np(pthread_self(), "delivery");
  while (!atomic_load(&d->stop)) {
    drain(d->wake_fd);
    bool ok = work(d);
    d->db.connect_ms = d->db.silence_ms = DATABASE_MS;
    atomic_store(&d->connected, ok);
    if (ok) {
      atomic_store(&d->away_since_ms, 0);
      atomic_store(&d->settled, true);
      if (*d->last_error) {
        log_line(LOG_INFO, "database: the journal is being delivered again");
      }
      *d->last_error = '\0';
      delay = RETRY_MIN_MS;
      wait_for_work(d, journal_waiting(d->config.journal) ? 0 : d->config.poll_ms);
      continue;
    }
    if (!atomic_load(&d->away_since_ms)) {
      atomic_store(&d->away_since_ms, clock_ms());
    }
    log_failure(d);
    if (d->reserve_file && !d->directory) {
      directory_from_disk(d);
    }
    wait_to_retry(d, delay);
    uint32_t most = briefly_away(d) ? RETRY_BRIEF_MS : RETRY_MAX_MS;
    delay = delay * 2 > most ? most : delay * 2;
  }
  return NULL;
}

int delivery_start(struct delivery **out, const struct delivery_config *config, char *err, size_t cap) {
  struct delivery *d = calloc(1, sizeof *d);
  if (!d) {
    snprintf(err, cap, "out of memory");
    return -1;
  }
  d->config = *config;
  d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  d->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  pthread_mutex_init(&d->lock, NULL);
  atomic_init(&d->connected, false);
  atomic_init(&d->settled, false);
  atomic_init(&d->away_since_ms, 0);
  atomic_init(&d->stop, false);
  pg_init(&d->db, d->stop_fd);
  bool sealing = config->folder.path != NULL;
  d->db.connect_ms = d->db.silence_ms = sealing ? AT_START_MS : DATABASE_MS;
  if (sealing) {
    d->reserve_file = reserve_file_open(&d->config.folder, config->token_reserve);
  }
  d->batch = BATCH;
  atomic_init(&d->replay, true);
  if (refused_open(&d->set_aside, config->state_dir, config->journal, config->instance, config->journal_entries, err,
                   cap)) {
    delivery_free(d);
    return -1;
  }
  d->reader = store_reader_new(config->store);
  if (d->wake_fd < 0 || d->stop_fd < 0 || !d->reader || (sealing && !d->reserve_file) ||
      pthread_create(&d->thread, NULL, run, d)) {
    store_reader_free(d->reader);
    delivery_free(d);
    snprintf(err, cap, "out of memory, descriptors or threads");
    return -1;
  }
  journal_watch(config->journal, on_entries, d);
  *out = d;
  return 0;
}

void delivery_stop(struct delivery *d, uint32_t wait_ms) {
  if (!d) {
    return;
  }
  int64_t end = clock_ms() + wait_ms;
  delivery_wake(d);
  while (delivery_connected(d) && journal_waiting(d->config.journal) && clock_ms() < end) {
    poll(NULL, 0, 10);
  }
  const uint64_t one = 1;
  atomic_store(&d->stop, true);
  ssize_t done = write(d->stop_fd, &one, sizeof one);
  (void)done;
  pthread_join(d->thread, NULL);
  pg_close(&d->db);
  store_reader_free(d->reader);
}

void delivery_free(struct delivery *d) {
  if (!d) {
    return;
  }
  directory_unref(d->directory);
  reserve_file_free(d->reserve_file);
  refused_free(d->set_aside);
  pthread_mutex_destroy(&d->lock);
  close(d->wake_fd);
  close(d->stop_fd);
  free(d);
}
