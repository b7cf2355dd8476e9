/*
 * store.c - the thread that follows the database and publishes snapshots, its reports and its saver
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/clock.h"
#include "base/kek.h"
#include "disk.h"
#include "feed.h"
#include "peers.h"
#include "pg/array.h"
#include "readers.h"
#include "servers.h"
#include "snapshot.h"
#include "store.h"

#include <errno.h>
#include <openssl/rand.h>
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

#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 15000
#define SETTLE_MS 250           /* the first pause between looks while transactions are open */
#define REPORT_EVERY_MS 10000   /* between progress reports while progress stands still */
#define REPORT_DRAINING_MS 2000 /* the same while this server is drained: operators watch its sessions */
#define NEWER_FORM_AGAIN_MS                                                                                            \
  600000                    /* before a newer form of report is tried again on a database that does not know it */
#define GOODBYE_MS 1000     /* a database that does not take the goodbye in this time does not get it */
#define SAVE_EVERY_MS 10000 /* between snapshots on disk; at least 20 times as long as one takes */
#define SAVE_AT_END_MS 2000 /* a snapshot that takes longer is not saved at the end */
#define START_WAIT_MS 3000  /* for the database, before the snapshot on disk is taken */

/* What a progress report says: an older schema has no functions for the newer forms. */
enum report_form { REPORT_PROGRESS, REPORT_WITH_CLOCK, REPORT_WITH_SOFTWARE, REPORT_WITH_PLACE };

struct store {
  struct store_config config; /* with copies of the strings */
  uint64_t seed;
  int wake_fd;
  atomic_bool stop, reload;
  bool started, saving;
  pthread_t thread, saver;

  struct readers readers;
  pthread_mutex_t lock; /* of status */
  pthread_cond_t loaded;
  struct store_status status;
  struct store_servers *servers; /* under lock */
  atomic_uint silent_ms;
  bool end_saver;
  uint8_t disk_kek[TURNCRED_KEK]; /* the key of the saver, and its id; "": there is none */
  char disk_kek_id[KEK_ID_MAX + 1];

  /* the store's thread alone uses these */
  struct kek_ring *keks;
  struct feed feed;
  struct pg write; /* for progress reports, if conninfo_write is given */
  uint64_t reported_xmin, changed_xid;
  int64_t reported_ms;
  enum report_form report_form; /* the newest that the database knows */
  int report_schema;            /* the schema at which this was found */
  int64_t newer_form_ms;        /* no newer form is tried before, unless the schema changes */
  char last_error[PG_LINE], last_report_error[PG_LINE], last_servers_error[PG_LINE];
  int64_t servers_ms; /* when the servers of the fleet were loaded; 0: not yet */
  bool draining;
  bool peers_told, write_peers_told;
  struct peers peers;
};

/* --- status ----------------------------------------------------------------------------- */

static void set_status(struct store *store, const char *error) {
  const struct store_snapshot *snapshot = readers_current(&store->readers);
  pthread_mutex_lock(&store->lock);
  struct store_status *status = &store->status;
  status->connected = !error;
  snprintf(status->database_error, sizeof status->database_error, "%.*s", (int)sizeof status->database_error - 1,
           error ? error : "");
  if (!error) {
    status->loaded_at = (int64_t)time(NULL);
    status->xmin = store->feed.xmin;
    status->from_disk = false;
  }
  status->refused_rows = store->feed.rows.refused.count;
  if (snapshot) {
    status->generation = snapshot->generation;
    status->realms = snapshot->realms.count;
    status->keys = snapshot->keys;
    status->credentials = snapshot->credentials;
    status->revocations = snapshot->revocations.count;
    pthread_cond_broadcast(&store->loaded);
  }
  pthread_mutex_unlock(&store->lock);
}

void store_status(struct store *store, struct store_status *out) {
  pthread_mutex_lock(&store->lock);
  *out = store->status;
  pthread_mutex_unlock(&store->lock);
}

const char *store_instance(const struct store *store) { return store->config.instance; }

bool store_wait(struct store *store, uint32_t timeout_ms) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += timeout_ms / 1000;
  until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock(&store->lock);
  int rc = 0;
  while (store->status.generation == 0 && rc == 0) {
    rc = pthread_cond_timedwait(&store->loaded, &store->lock, &until);
  }
  bool there = store->status.generation > 0;
  pthread_mutex_unlock(&store->lock);
  return there;
}

/* --- the thread ------------------------------------------------------------------------- */

static void drain(struct store *store) {
  uint64_t count;
  while (read(store->wake_fd, &count, sizeof count) > 0)
    ;
}

/* Sleeps for ms milliseconds, or until store_stop() or store_reload() wakes the thread. */
static void pause_ms(struct store *store, uint32_t ms) {
  struct pollfd fd = {store->wake_fd, POLLIN, 0};
  poll(&fd, 1, (int)ms);
}

static void reading_begun(PGconn *conn, void *arg) {
  struct store *store = arg;
  peers_tell_named(&store->peers, conn, &store->peers_told);
}

static void writing_begun(PGconn *conn, void *arg) {
  struct store *store = arg;
  peers_tell_named(&store->peers, conn, &store->write_peers_told);
}

static bool connect_database(struct store *store) {
  struct feed *feed = &store->feed;
  char name[80];
  snprintf(name, sizeof name, "turncred %s", store->config.kind);
  int rc = pg_connect(&feed->db, store->config.conninfo, name);
  if (rc) {
    snprintf(feed->message, sizeof feed->message, "%s", feed->db.line);
    return false;
  }
  peers_tell_connected(&store->peers, feed->db.conn);
  /* Notifications are a hint only, so a failure does not matter: a standby refuses LISTEN, a pooler
   * swallows it. */
  if (store->config.listen && pg_run(&feed->db, "LISTEN turncred", NULL, NULL) && !feed->db.conn) {
    snprintf(feed->message, sizeof feed->message, "%s", feed->db.line);
    return false;
  }
  return true;
}

static void choose_disk_kek(struct store *store);

static void read_keks(struct store *store) {
  char err[300];
  struct kek_ring *keks;
  if (!store->config.kek_path) {
    return;
  }
  if (kek_ring_load(&keks, store->config.kek_path, err, sizeof err)) {
    rows_say(&store->feed.rows, STORE_LOG_ERROR, "%s; the keys read before stay in use", err);
    return;
  }
  kek_ring_free(store->keks);
  store->keks = keks;
  store->feed.rows.keks = keks;
  choose_disk_kek(store);
  store->reported_ms = 0; /* report at once: operators wait until every server has a new key */
}

/* Seconds since the snapshot was last known to be current, as the column takes them. */
static int64_t snapshot_age(struct store *store) {
  pthread_mutex_lock(&store->lock);
  int64_t age = (int64_t)time(NULL) - store->status.loaded_at;
  pthread_mutex_unlock(&store->lock);
  return age < 0 ? 0 : age > INT32_MAX ? INT32_MAX : age;
}

/* The ids of the key encryption keys (16 at most) as an array literal, which the caller clears. NULL: out of memory. */
static const char *kek_ids(const struct store *store, struct pg_array *ids) {
  for (size_t i = 0; store->keks && i < kek_ring_count(store->keks) && i < 16; i++) {
    pg_array_text(ids, kek_ring_id(store->keks, i));
  }
  return pg_array_end(ids);
}

static bool report_on(struct store *store, struct pg *db, const char *state, enum report_form form) {
  static const char *const statements[] = {
#define REPORT_ALL "SELECT turncred.instance_report($1, $2, $3, $4::xid8, $5, $6, $7, $8, $9)"
#define REPORT_CLOCK ", turncred.instance_clock($1, to_timestamp($10::float8))"
      [REPORT_PROGRESS] = REPORT_ALL,
      [REPORT_WITH_CLOCK] = REPORT_ALL REPORT_CLOCK,
#define REPORT_SOFTWARE ", turncred.instance_software($1, $11, $12, $13, $14)"
      [REPORT_WITH_SOFTWARE] = REPORT_ALL REPORT_CLOCK REPORT_SOFTWARE,
      [REPORT_WITH_PLACE] = REPORT_ALL REPORT_CLOCK REPORT_SOFTWARE
      ", turncred.instance_advertise($1, string_to_array(nullif($15, ''), ' '), $16, $17, $18)",
  };
  const struct store_config *c = &store->config;
  struct pg_params params = {0};
  struct pg_array array = {0};
  struct timespec now;
  char clock[40];
  const char *ids = kek_ids(store, &array);
  if (!ids) {
    snprintf(db->line, sizeof db->line, "out of memory");
    return false;
  }
  pg_text(&params, c->instance);
  pg_text(&params, c->kind);
  pg_text(&params, c->version);
  pg_int(&params, (int64_t)store->feed.xmin);
  pg_int(&params, snapshot_age(store));
  pg_text(&params, state);
  pg_text(&params, ids);
  pg_int(&params, (int64_t)store->feed.rows.refused.count);
  pg_int(&params, STORE_SCHEMA_VERSION);
  if (form >= REPORT_WITH_CLOCK) {
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(clock, sizeof clock, "%lld.%03ld", (long long)now.tv_sec, now.tv_nsec / 1000000);
    pg_text(&params, clock);
  }
  if (form >= REPORT_WITH_SOFTWARE) {
    pg_int(&params, SCHEMA_NEWEST);
    pg_text(&params, c->host);
    pg_text(&params, c->series);
    pg_text(&params, c->abi);
  }
  if (form >= REPORT_WITH_PLACE) {
    pg_text(&params, c->uris);
    pg_text(&params, c->region);
    pg_int(&params, c->weight ? c->weight : 100);
    if (c->sessions) {
      pg_int(&params, (int64_t)c->sessions(c->arg));
    } else {
      pg_text(&params, NULL);
    }
  }
  int rc = pg_run(db, statements[form], &params, NULL);
  pg_array_clear(&array);
  return rc == 0;
}

/* Reports progress, and as much more as the schema has functions for. */
static bool report_all(struct store *store, struct pg *db, const char *state) {
  if (store->feed.rows.schema != store->report_schema || clock_ms() >= store->newer_form_ms) {
    store->report_form = strcmp(store->config.kind, "server") ? REPORT_WITH_SOFTWARE : REPORT_WITH_PLACE;
    store->report_schema = store->feed.rows.schema;
  }
  bool ok = report_on(store, db, state, store->report_form);
  while (!ok && store->report_form > REPORT_PROGRESS && !strcmp(db->sqlstate, "42883")) {
    store->report_form--;
    store->newer_form_ms = clock_ms() + NEWER_FORM_AGAIN_MS;
    ok = report_on(store, db, state, store->report_form);
  }
  return ok;
}

/* Tells the database how far this store is. When that fails, only rotations suffer, which wait for the
 * report. state: a text for people about the connection that the store reads from. */
static void report(struct store *store, const char *state) {
  struct pg *db = &store->feed.db;
  const char *error = NULL;
  if (store->config.conninfo_write) {
    db = &store->write;
    if (!db->conn && pg_connect(db, store->config.conninfo_write, "turncred progress") == 0) {
      peers_tell_connected(&store->peers, db->conn);
    } else if (db->conn && PQtransactionStatus(db->conn) == PQTRANS_UNKNOWN) {
      pg_close(db);
    }
  } else if (store->feed.standby) {
    error = "the database is a standby: name the primary in database_write";
  }
  store->reported_ms = clock_ms();
  if (!error && (!db->conn || !report_all(store, db, state))) {
    if (db->error == PG_INTERRUPTED) { /* a reload, which reports again, or the end */
      store->reported_ms = 0;
      return;
    }
    error = db->line;
  }
  if (error && strcmp(error, store->last_report_error) != 0) {
    rows_say(&store->feed.rows, STORE_LOG_WARNING, "progress is not reported: %s", error);
  }
  snprintf(store->last_report_error, sizeof store->last_report_error, "%s", error ? error : "");
  if (!error) {
    store->reported_xmin = store->feed.xmin;
  }
}

/* The last statement of a store: nobody waits for it from now on. Where the database was away a moment ago it may be
 * back, so one connection is tried; while it is away, the store is waited for as if it had crashed. */
static void say_goodbye(struct store *store) {
  bool apart = store->config.conninfo_write != NULL;
  struct pg *db = apart ? &store->write : &store->feed.db;
  const char *conninfo = apart ? store->config.conninfo_write : store->config.conninfo;
  struct pg_params params = {0};
  if (store->reported_xmin == 0) {
    return;
  }
  drain(store); /* what has ended the thread's waits must not end these */
  db->connect_ms = db->silence_ms = GOODBYE_MS;
  if (!db->conn && pg_connect(db, conninfo, "turncred goodbye")) {
    return;
  }
  pg_text(&params, store->config.instance);
  pg_run(db, "SELECT turncred.instance_stopped($1)", &params, NULL);
}

/* Milliseconds until the next report while progress stands still; negative: since it was due. */
static int64_t report_in(const struct store *store) {
  return store->reported_ms + (store->draining ? REPORT_DRAINING_MS : REPORT_EVERY_MS) - clock_ms();
}

static bool report_due(const struct store *store) {
  return store->reported_ms == 0 || store->reported_xmin <= store->changed_xid || report_in(store) <= 0;
}

/* error: why the servers of the fleet were not loaded; "": they were. */
static void tell_servers_error(struct store *store, const char *error) {
  char *last = store->last_servers_error;
  if (*error && strcmp(error, last) != 0) {
    rows_say(&store->feed.rows, STORE_LOG_WARNING, "the list of servers is not loaded: %s; the one before stays in use",
             error);
  } else if (!*error && *last) {
    rows_say(&store->feed.rows, STORE_LOG_INFO, "the list of servers is loaded again");
  }
  snprintf(last, sizeof store->last_servers_error, "%s", error);
}

/* Loads the servers of the fleet if one has changed, and from time to time: silence is no change. A failure leaves the
 * list as it was. */
static void look_for_servers(struct store *store) {
  struct feed *feed = &store->feed;
  struct store_servers *fresh;
  bool due = store->servers_ms == 0 || feed->servers_changed || clock_ms() - store->servers_ms >= REPORT_EVERY_MS;
  if (!due || feed->rows.schema < SERVERS_SCHEMA || !feed->db.conn) {
    return;
  }
  /* this thread alone replaces the list */
  int rc = servers_load(&fresh, &feed->db, store->servers, store->config.instance, atomic_load(&store->silent_ms));
  if (!rc || feed->db.error != PG_INTERRUPTED) {
    tell_servers_error(store, !rc ? "" : rc == ENOMEM ? "out of memory" : feed->db.line);
  }
  if (rc) {
    return;
  }
  pthread_mutex_lock(&store->lock);
  struct store_servers *old = store->servers;
  store->servers = fresh;
  pthread_mutex_unlock(&store->lock);
  store_servers_release(old);
  store->servers_ms = clock_ms();
  feed->servers_changed = false;
  store->draining = servers_self_draining(fresh);
  if (store->config.servers) {
    store->config.servers(store_servers_ref(fresh), store->draining, store->config.arg);
  }
}

struct store_servers *store_servers(struct store *store) {
  pthread_mutex_lock(&store->lock);
  struct store_servers *servers = store_servers_ref(store->servers);
  pthread_mutex_unlock(&store->lock);
  return servers;
}

void store_set_silent(struct store *store, uint32_t silent_ms) { atomic_store(&store->silent_ms, silent_ms); }

static void failed(struct store *store) {
  const char *message = store->feed.message;
  set_status(store, *message ? message : "unknown error");
  if (strcmp(message, store->last_error) != 0) {
    rows_say(&store->feed.rows, STORE_LOG_WARNING, "database: %s; %s", message,
             readers_current(&store->readers) ? "what is loaded stays in use" : "nothing is loaded yet");
  }
  snprintf(store->last_error, sizeof store->last_error, "%s", message);
  /* the connection to the primary may work while the standby is away */
  if (store->config.conninfo_write && readers_current(&store->readers) &&
      clock_ms() - store->reported_ms >= REPORT_EVERY_MS) {
    report(store, message);
  }
}

/* Looks once and publishes what is new. False: the look failed. */
static bool look(struct store *store, bool *full) {
  struct feed *feed = &store->feed;
  struct store_snapshot *next;
  enum feed_result result = feed_look(feed, readers_current(&store->readers), store->seed, *full, &next);
  if (result == FEED_STOPPED) {
    return true;
  }
  if (result == FEED_FAILED) {
    failed(store);
    return false;
  }
  if (feed->xmin < store->reported_xmin) { /* the numbers are another cluster's, where a dump was restored */
    store->changed_xid = 0;
    store->reported_xmin = feed->xmin;
    store->reported_ms = 0;
  }
  if (result == FEED_CHANGED) {
    bool all = *full || readers_current(&store->readers) == NULL;
    readers_publish(&store->readers, next);
    for (size_t i = 0; i < feed->known_count; i++) {
      if (feed->known[i].xid > store->changed_xid) {
        store->changed_xid = feed->known[i].xid;
      }
    }
    set_status(store, NULL);
    if (all) {
      rows_say(&store->feed.rows, STORE_LOG_INFO,
               "loaded: %zu realms, %zu keys, %zu credentials, %zu revocations, %zu rows refused", next->realms.count,
               next->keys, next->credentials, next->revocations.count, feed->rows.refused.count);
    }
    if (store->config.changed) {
      store->config.changed(store->config.arg);
    }
  } else {
    set_status(store, NULL);
  }
  *full = false;
  if (*store->last_error) {
    rows_say(&store->feed.rows, STORE_LOG_INFO, "database: connected again");
  }
  *store->last_error = 0;
  look_for_servers(store); /* before the report, which says that changes are in force */
  if (report_due(store)) {
    report(store, feed->standby ? "connected to a standby" : "connected");
  }
  return true;
}

/* --- the snapshot on disk --------------------------------------------------------------- */

static void choose_disk_kek(struct store *store) {
  const char *id =
      store->keks && kek_ring_count(store->keks) > 0 ? kek_ring_id(store->keks, kek_ring_count(store->keks) - 1) : NULL;
  pthread_mutex_lock(&store->lock);
  snprintf(store->disk_kek_id, sizeof store->disk_kek_id, "%s", id ? id : "");
  if (id) {
    memcpy(store->disk_kek, kek_ring_find(store->keks, id), sizeof store->disk_kek);
  }
  pthread_mutex_unlock(&store->lock);
}

static void take_from_disk(struct store *store) {
  struct sealed_header header;
  struct store_snapshot *snapshot;
  char err[300];
  int64_t now = (int64_t)time(NULL);
  const struct sealed_reading how = {store->keks, store->config.instance, now, store->config.snapshot_max_age};
  int rc = disk_read(store->config.snapshot_path, &how, store->seed, &snapshot, &header, err, sizeof err);
  if (rc) {
    rows_say(&store->feed.rows, STORE_LOG_WARNING, "%s", err);
    return;
  }
  struct feed *feed = &store->feed;
  feed->from_disk = true;
  feed->xmin = snapshot->progress = header.progress;
  memcpy(feed->identity, header.identity, sizeof feed->identity);
  memcpy(snapshot->identity, header.identity, sizeof snapshot->identity);
  readers_publish(&store->readers, snapshot);
  pthread_mutex_lock(&store->lock);
  store->status.from_disk = true;
  store->status.loaded_at = header.time;
  store->status.xmin = header.progress;
  pthread_mutex_unlock(&store->lock);
  rows_say(&store->feed.rows, STORE_LOG_WARNING,
           "the database is away: using the snapshot on disk, %lld seconds old: %zu realms, %zu keys, "
           "%zu credentials, %zu revocations",
           (long long)(now - header.time), snapshot->realms.count, snapshot->keys, snapshot->credentials,
           snapshot->revocations.count);
  set_status(store, store->feed.message);
  if (store->config.changed) {
    store->config.changed(store->config.arg);
  }
}

/* Writes the newest snapshot to disk. *reader: the saver's, which is made here if it is NULL. False: that failed, or no
 * snapshot came from the database yet. */
static bool save(struct store *store, struct store_reader **reader, char *last_error, size_t cap) {
  struct sealed_header header;
  uint8_t kek[TURNCRED_KEK];
  char err[300] = "";
  memset(&header, 0, sizeof header);
  pthread_mutex_lock(&store->lock);
  bool current = !store->status.from_disk;
  header.time = store->status.loaded_at;
  memcpy(header.kek_id, store->disk_kek_id, sizeof header.kek_id);
  memcpy(kek, store->disk_kek, sizeof kek);
  pthread_mutex_unlock(&store->lock);
  if (current && !*reader && !(*reader = store_reader_new(store))) {
    current = false;
    snprintf(err, sizeof err, "snapshot %s: it is not written: out of memory", store->config.snapshot_path);
  }
  /* the time was read before the snapshot: so the snapshot is at least as new as its file says */
  const struct store_snapshot *snapshot = current ? store_acquire(*reader) : NULL;
  if (snapshot) {
    snprintf(header.instance, sizeof header.instance, "%s", store->config.instance);
    memcpy(header.identity, snapshot->identity, sizeof header.identity);
    header.progress = snapshot->progress;
    if (!*header.kek_id) {
      snprintf(err, sizeof err, "snapshot %s: it is not written, because there is no key encryption key",
               store->config.snapshot_path);
    } else {
      disk_write(store->config.snapshot_path, snapshot, &header, kek, err, sizeof err);
    }
  }
  if (current) {
    store_release(*reader);
  }
  turncred_cleanse(kek, sizeof kek);
  if (*err && strcmp(err, last_error) != 0) {
    rows_say(&store->feed.rows, STORE_LOG_WARNING, "%s", err);
  }
  snprintf(last_error, cap, "%s", err);
  return snapshot && !*err;
}

/* The saver is a thread of its own, because a large snapshot takes seconds to write and changes shall
 * not wait for it. */
static void *run_saver(void *arg) {
  struct store *store = arg;
  struct store_reader *reader = NULL;
  char last_error[300] = "";
  uint64_t saved = 0;
  int64_t next = 0, saved_ms = 0, took = 0;
  bool end = false;
  while (!end) {
    pthread_mutex_lock(&store->lock);
    int64_t now = clock_ms();
    bool fresh = store->status.generation > saved;
    /* a snapshot that does not change is written again before its file becomes too old */
    bool stale =
        saved_ms > 0 && store->status.connected && now - saved_ms > (int64_t)store->config.snapshot_max_age * 250;
    if (!store->end_saver && !((fresh || stale) && now >= next)) {
      struct timespec until;
      clock_gettime(CLOCK_MONOTONIC, &until);
      until.tv_sec += 1;
      pthread_cond_timedwait(&store->loaded, &store->lock, &until);
    }
    end = store->end_saver;
    now = clock_ms();
    fresh = store->status.generation > saved;
    uint64_t generation = store->status.generation;
    pthread_mutex_unlock(&store->lock);
    /* at the end once more, unless store_stop() would have to wait long for it */
    if ((end && fresh && took < SAVE_AT_END_MS) || (!end && (fresh || stale) && now >= next)) {
      bool done = save(store, &reader, last_error, sizeof last_error);
      took = clock_ms() - now;
      next = clock_ms() + (took * 20 > SAVE_EVERY_MS ? took * 20 : SAVE_EVERY_MS);
      if (done) {
        saved = generation;
        saved_ms = now;
      }
    }
  }
  store_reader_free(reader);
  return NULL;
}

static uint32_t backoff(uint32_t *delay) {
  uint32_t now = *delay;
  unsigned char r = 0;
  RAND_bytes(&r, 1);
  *delay = now * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : now * 2;
  return now / 2 + now / 2 * r / 255; /* jitter: not all servers try at once */
}

/* Connects if there is no connection. A failure is noted, unless the store is asked to stop or to reload. */
static bool is_connected(struct store *store) {
  if (store->feed.db.conn || connect_database(store)) {
    return true;
  }
  if (!atomic_load(&store->stop) && !atomic_load(&store->reload)) {
    failed(store);
  }
  return false;
}

/* Milliseconds to wait for notifications: a long poll interval does not keep a report waiting, which says that this
 * server lives. */
static uint32_t next_look_in(const struct store *store, uint32_t settle) {
  uint32_t wait = store->config.poll_ms;
  int64_t report = report_in(store);
  if (feed_unsettled(&store->feed) && settle < wait) {
    wait = settle;
  }
  return report > 0 && report < wait ? (uint32_t)report : wait;
}

static void *run(void *arg) {
  struct store *store = arg;
  struct feed *feed = &store->feed;
  bool full = true, disk = store->config.snapshot_path != NULL;
  uint32_t delay = BACKOFF_MIN_MS, settle = SETTLE_MS;
  uint32_t connect_ms = feed->db.connect_ms, silence_ms = feed->db.silence_ms;
  if (disk) {
    feed->db.connect_ms = feed->db.silence_ms = START_WAIT_MS;
  }
  while (!atomic_load(&store->stop)) {
    drain(store);
    if (atomic_exchange(&store->reload, false)) {
      read_keks(store);
      full = true;
    }
    if (atomic_load(&store->stop)) {
      break;
    }
    bool ok = is_connected(store) && look(store, &full);
    /* a reload has ended the look, which says nothing of the database */
    if (disk && !atomic_load(&store->stop) && !atomic_load(&store->reload)) {
      disk = false;
      feed->db.connect_ms = connect_ms;
      feed->db.silence_ms = silence_ms;
      if (!ok && !readers_current(&store->readers)) {
        take_from_disk(store);
      }
    }
    readers_reap(&store->readers);
    if (atomic_load(&store->stop) || atomic_load(&store->reload)) {
      continue;
    }
    if (!ok &&
        feed->db.conn) { /* it cannot be used now; a notification, or the end of the connection, may change that */
      if (pg_wait(&feed->db, backoff(&delay)) == EIO) {
        delay = BACKOFF_MIN_MS;
      }
      continue;
    }
    if (!feed->db.conn) { /* the connection can be lost while reporting, too */
      pause_ms(store, backoff(&delay));
      continue;
    }
    delay = BACKOFF_MIN_MS;
    settle = feed_unsettled(feed) ? settle * 2 : SETTLE_MS;
    if (pg_wait(&feed->db, next_look_in(store, settle / 2)) == PG_NOTIFIED) {
      settle = SETTLE_MS;
    }
  }
  say_goodbye(store);
  return NULL;
}

/* --- life ------------------------------------------------------------------------------- */

static char *copy_of(const char *s) { return s ? strdup(s) : NULL; }

static void free_store(struct store *store) {
  feed_clear(&store->feed);
  pg_close(&store->write);
  readers_free(&store->readers);
  store_servers_release(store->servers);
  kek_ring_free(store->keks);
  turncred_cleanse(store->disk_kek, sizeof store->disk_kek);
  if (store->wake_fd >= 0) {
    close(store->wake_fd);
  }
  pthread_mutex_destroy(&store->lock);
  pthread_cond_destroy(&store->loaded);
  const struct store_config *c = &store->config;
  const char *strings[] = {c->conninfo, c->conninfo_write, c->kek_path,    c->instance, c->kind,
                           c->version,  c->snapshot_path,  c->host,        c->series,   c->abi,
                           c->uris,     c->region,         c->plain_realms};
  for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
    if (strings[i]) {
      turncred_cleanse((char *)strings[i], strlen(strings[i])); /* conninfo may hold a password */
    }
    free((char *)strings[i]);
  }
  free(store);
}

static int copy_config(struct store_config *to, const struct store_config *from) {
  char host[256] = "localhost", instance[300];
  *to = *from;
  const char *kind = from->kind ? from->kind : "server";
  gethostname(host, sizeof host - 1);
  snprintf(instance, sizeof instance, "%s-%s", host, kind);
  to->conninfo = copy_of(from->conninfo ? from->conninfo : "");
  to->conninfo_write = copy_of(from->conninfo_write);
  to->kek_path = copy_of(from->kek_path);
  to->plain_realms = copy_of(from->plain_realms);
  to->instance = copy_of(from->instance ? from->instance : instance);
  to->kind = copy_of(kind);
  to->version = copy_of(from->version ? from->version : "");
  to->snapshot_path = copy_of(from->snapshot_path);
  to->host = copy_of(from->host);
  to->series = copy_of(from->series);
  to->abi = copy_of(from->abi);
  to->uris = copy_of(from->uris);
  to->region = copy_of(from->region);
  if (to->poll_ms == 0) {
    to->poll_ms = 5000;
  }
  if (to->snapshot_max_age == 0) {
    to->snapshot_max_age = 86400;
  }
  bool ok = to->conninfo && to->instance && to->kind && to->version && (to->conninfo_write || !from->conninfo_write) &&
            (to->kek_path || !from->kek_path) && (to->plain_realms || !from->plain_realms) &&
            (to->snapshot_path || !from->snapshot_path) && (to->uris || !from->uris) && (to->region || !from->region) &&
            (to->host || !from->host) && (to->series || !from->series) && (to->abi || !from->abi);
  return ok ? 0 : ENOMEM;
}

static int refuse(char *err, size_t cap, int code, const char *message) {
  if (cap > 0) {
    snprintf(err, cap, "%s", message);
  }
  return code;
}

static int check_conninfo(const char *what, const char *conninfo, char *err, size_t cap) {
  char *message = NULL;
  PQconninfoOption *options = PQconninfoParse(conninfo, &message);
  if (!options) {
    /* libpq's message quotes the string, which may hold a password, and is not passed on */
    PQfreemem(message);
    if (cap > 0) {
      snprintf(err, cap, "%s: not a PostgreSQL connection string or URI", what);
    }
    return EINVAL;
  }
  PQconninfoFree(options);
  return 0;
}

int store_new(struct store **out, const struct store_config *config, char *err, size_t err_cap) {
  if (config->kind && strcmp(config->kind, "server") != 0 && strcmp(config->kind, "issuer") != 0) {
    return refuse(err, err_cap, EINVAL, "kind: server or issuer is needed");
  }
  int rc = check_conninfo("database", config->conninfo ? config->conninfo : "", err, err_cap);
  if (rc == 0 && config->conninfo_write) {
    rc = check_conninfo("database_write", config->conninfo_write, err, err_cap);
  }
  if (rc) {
    return rc;
  }
  struct store *store = calloc(1, sizeof *store);
  if (!store) {
    return refuse(err, err_cap, ENOMEM, "out of memory");
  }
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&store->loaded, &attr);
  pthread_condattr_destroy(&attr);
  pthread_mutex_init(&store->lock, NULL);
  readers_init(&store->readers);
  store->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  rc = copy_config(&store->config, config);
  atomic_init(&store->silent_ms, config->silent_ms ? config->silent_ms : 60000);
  store->peers = (struct peers){.tell = config->peer, .arg = config->arg};
  bool server = !config->kind || strcmp(config->kind, "server") == 0;
  feed_init(&store->feed, store->wake_fd, server, NULL, config->log, config->arg);
  store->feed.rows.plain_realms = store->config.plain_realms;
  store->feed.session_end = config->session_end;
  store->feed.session_end_arg = config->arg;
  pg_init(&store->write, store->wake_fd);
  store->feed.db.group = store->write.group = server ? "turncred_server" : "turncred_issuer";
  store->feed.db.begun = reading_begun;
  store->write.begun = writing_begun;
  store->feed.db.begun_arg = store->write.begun_arg = store;
  store->write.connect_ms = store->write.silence_ms = 3000;
  if (rc || store->wake_fd < 0 || RAND_bytes((uint8_t *)&store->seed, sizeof store->seed) != 1) {
    rc = refuse(err, err_cap, ENOMEM, "out of memory, file descriptors or randomness");
  } else if (config->kek_path) {
    rc = kek_ring_load(&store->keks, config->kek_path, err, err_cap);
  }
  store->feed.rows.keks = store->keks;
  choose_disk_kek(store);
  if (rc) {
    free_store(store);
  } else {
    *out = store;
  }
  return rc;
}

static void start_saver(struct store *store) {
  int rc = pthread_create(&store->saver, NULL, run_saver, store);
  store->saving = rc == 0;
  if (rc) {
    rows_say(&store->feed.rows, STORE_LOG_ERROR, "snapshot %s: it is not written: its thread does not start: %s",
             store->config.snapshot_path, strerror(rc));
  }
}

int store_start(struct store *store) {
  sigset_t all, before;
  sigfillset(&all);
  /* the host's own threads take its signals */
  pthread_sigmask(SIG_BLOCK, &all, &before);
  int rc = pthread_create(&store->thread, NULL, run, store);
  store->started = rc == 0;
  if (rc == 0 && store->config.snapshot_path) {
    start_saver(store);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return rc;
}

static void wake(struct store *store) {
  const uint64_t one = 1;
  ssize_t done = write(store->wake_fd, &one, sizeof one);
  (void)done; /* it fails when the counter is full: then the thread is awake anyway */
}

void store_reload(struct store *store) {
  atomic_store(&store->reload, true);
  wake(store);
}

struct store_reader *store_reader_new(struct store *store) { return readers_add(&store->readers); }

void store_stop(struct store *store) {
  if (!store) {
    return;
  }
  atomic_store(&store->stop, true);
  wake(store);
  if (store->started) {
    pthread_join(store->thread, NULL);
  }
  if (store->saving) {
    pthread_mutex_lock(&store->lock);
    store->end_saver = true;
    pthread_cond_broadcast(&store->loaded);
    pthread_mutex_unlock(&store->lock);
    pthread_join(store->saver, NULL);
  }
  free_store(store);
}
