/*
 * usage_delivery.c - the thread that takes the journal of sessions, and reports of living ones, to the database
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/clock.h"
#include "fleet_quota.h"
#include "module_settings.h"
#include "usage.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 1000 /* entries of a statement */
#define IDLE_MS 1000
#define PAUSE_MS 500
#define RETRY_MIN_MS 250
#define RETRY_MAX_MS 15000
#define REPORT_TEXT 512

struct text {
  char *data;
  size_t len, cap;
  size_t count;
  bool full; /* no memory for the next entry, so for none behind it: what the database takes ends before it */
};

static bool room(struct text *text, size_t more) {
  if (text->cap - text->len > more + 2) {
    return true;
  }
  size_t cap = text->cap * 2 + more + 4096;
  char *data = realloc(text->data, cap);
  if (!data) {
    return false;
  }
  text->data = data;
  text->cap = cap;
  return true;
}

static void add_entry(uint64_t number, const char *octets, size_t len, void *arg) {
  struct text *text = arg;
  text->full |= !room(text, len + 40);
  if (!text->full) {
    text->len += (size_t)snprintf(text->data + text->len, text->cap - text->len, "%s{\"q\":%" PRIu64 ",%.*s",
                                  text->count++ ? "," : "[", number, (int)len, octets);
  }
}

static bool open_stream(struct usage *usage, struct journal *journal) {
  struct pg_params p = {0};
  pg_text(&p, journal_stream(journal));
  pg_text(&p, store_instance(usage->module->store));
  PGresult *r = pg_query(&usage->db, "SELECT turncred.usage_open($1, $2)", &p);
  if (!r) {
    return false;
  }
  uint64_t number = PQntuples(r) ? strtoull(PQgetvalue(r, 0, 0), NULL, 10) : 0;
  PQclear(r);
  journal_skip(journal, number);
  journal_delivered(journal, number);
  usage->stream_open = true;
  return true;
}

/* The first entry of a batch that the database refuses by itself is given up, and named in the log. */
static bool take_refusal(struct usage *usage, struct journal *journal, size_t count, uint64_t first) {
  struct pg *db = &usage->db;
  if (!strcmp(db->sqlstate, "TC003")) { /* the database was restored, or the row of the journal was removed */
    usage->stream_open = false;
    return db->conn != NULL;
  }
  bool for_good = !strncmp(db->sqlstate, "22", 2) || !strncmp(db->sqlstate, "23", 2);
  if (!for_good || !db->conn) {
    return false;
  }
  if (count > 1) {
    usage->batch = count / 2;
    return true;
  }
  module_log(usage->module, COTURN_AUTH_LOG_ERROR, "usage: the database refuses entry %" PRIu64 " for good: %s", first,
             db->line);
  size_t lost = journal_delivered(journal, first);
  atomic_fetch_add(&usage->lost, lost);
  usage->gone += lost;
  return true;
}

static void first_number(uint64_t number, const char *octets, size_t len, void *arg) {
  (void)octets;
  (void)len;
  *(uint64_t *)arg = number;
}

static bool deliver_entries(struct usage *usage, struct journal *journal) {
  if (!usage->stream_open && !open_stream(usage, journal)) {
    return false;
  }
  struct text text = {0};
  uint64_t first = 0;
  journal_read(journal, 1, first_number, &first);
  journal_read(journal, usage->batch, add_entry, &text);
  if (!text.count) {
    free(text.data);
    return !text.full;
  }
  memcpy(text.data + text.len, "]", 2);
  struct pg_params p = {0};
  pg_text(&p, journal_stream(journal));
  pg_text(&p, text.data);
  PGresult *r = pg_query(&usage->db, "SELECT turncred.usage_deliver($1, $2::jsonb)", &p);
  free(text.data);
  if (!r) {
    return take_refusal(usage, journal, text.count, first);
  }
  uint64_t number = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
  PQclear(r);
  size_t delivered = journal_delivered(journal, number);
  atomic_fetch_add(&usage->delivered, delivered);
  usage->gone += delivered;
  usage->batch = usage->batch * 2 < BATCH ? usage->batch * 2 : BATCH;
  return true;
}

/* Takes reports out of the table. Their sessions' starts are on disk. Returns how many. */
static size_t take_reports(struct usage *usage) {
  size_t count = 0;
  pthread_mutex_lock(&usage->lock);
  while (usage->report_count && count < USAGE_SENDING) {
    usage->sending[count++] = usage->reports[--usage->report_count];
  }
  pthread_mutex_unlock(&usage->lock);
  return count;
}

/* Puts back reports that the database has not taken; what finds no room is dropped. */
static void put_back(struct usage *usage, size_t count) {
  pthread_mutex_lock(&usage->lock);
  while (count && usage->report_count < USAGE_REPORTS) {
    usage->reports[usage->report_count++] = usage->sending[--count];
  }
  pthread_mutex_unlock(&usage->lock);
  atomic_fetch_add(&usage->dropped, count);
}

static bool deliver_reports(struct usage *usage, struct journal *journal, size_t count) {
  struct text text = {0};
  struct pg_params p = {0};
  for (size_t i = 0; i < count && room(&text, REPORT_TEXT); i++) {
    text.data[text.len++] = text.count++ ? ',' : '[';
    text.len += usage_report_entry(&usage->sending[i], text.data + text.len, REPORT_TEXT);
  }
  if (!text.count) {
    free(text.data);
    return true;
  }
  memcpy(text.data + text.len, "]", 2);
  pg_text(&p, journal_stream(journal));
  pg_int(&p, usage->life_us);
  pg_text(&p, text.data);
  bool done = pg_run(&usage->db, "SELECT turncred.usage_progress($1, $2, $3::jsonb)", &p, NULL) == 0;
  free(text.data);
  return done;
}

static bool connect_database(struct usage *usage) {
  const struct store_settings *s = &usage->module->config->store;
  if (usage->db.conn && PQstatus(usage->db.conn) == CONNECTION_OK) {
    return true;
  }
  pg_close(&usage->db);
  usage->stream_open = false;
  return pg_connect(&usage->db, *s->database_write ? s->database_write : s->database, "turncred usage") == 0;
}

/* Are there entries that are just being written? */
static bool is_writing(struct journal *journal) { return journal_waiting(journal) > 0 && journal_writable(journal); }

/* Is an entry on disk that has not been delivered? */
static bool is_readable(struct journal *journal) {
  uint64_t first;
  return journal_read(journal, 1, first_number, &first) > 0;
}

static bool has_work(struct usage *usage, struct journal *journal) {
  pthread_mutex_lock(&usage->lock);
  bool reports = usage->report_count > 0;
  pthread_mutex_unlock(&usage->lock);
  return reports || is_readable(journal);
}

/* Reports are taken first: the entries that are on disk by then have the starts of their sessions. */
static bool work(struct usage *usage, struct journal *journal) {
  size_t reports = take_reports(usage);
  uint64_t until = usage->gone + journal_waiting(journal);
  bool done = connect_database(usage) && deliver_entries(usage, journal);
  while (done && usage->gone < until && is_readable(journal)) {
    done = deliver_entries(usage, journal);
  }
  done = done && deliver_reports(usage, journal, reports);
  if (!done) {
    put_back(usage, reports);
  }
  return done;
}

static void log_state(struct usage *usage, bool ok) {
  const char *line = ok ? "" : usage->db.line;
  if (strcmp(line, usage->error) != 0) {
    module_log(usage->module, ok ? COTURN_AUTH_LOG_INFO : COTURN_AUTH_LOG_WARNING,
               ok ? "usage: the journal is being delivered again%s" : "usage: %s; the journal keeps what has happened",
               line);
  }
  snprintf(usage->error, sizeof usage->error, "%s", line);
}

static void wait_ms(const struct usage *usage, int ms) {
  struct pollfd fd = {usage->wake_fd, POLLIN, 0};
  uint64_t count;
  poll(&fd, 1, ms);
  while (read(usage->wake_fd, &count, sizeof count) > 0)
    ;
}

/* Waits ms milliseconds, whatever comes, but for the end. */
static void pause_ms(const struct usage *usage, int64_t ms) {
  int64_t end = clock_ms() + ms, left;
  while (!atomic_load(&usage->stop_delivery) && (left = end - clock_ms()) > 0) {
    wait_ms(usage, (int)left);
  }
}

/* What comes closely together goes in one statement. */
static void gather(const struct usage *usage, struct journal *journal, int64_t delivered_ms) {
  int64_t since = clock_ms() - delivered_ms;
  if (since < PAUSE_MS && journal_waiting(journal) < BATCH) {
    pause_ms(usage, PAUSE_MS - since);
  }
}

/* Asks who is at the quota of the fleet, where a realm has one and it is time. False: the database does not answer. */
static bool ask_quota(struct usage *usage) {
  struct module *module = usage->module;
  int64_t now = clock_ms();
  if (!atomic_load(&module->counts_fleet) || (usage->quota_ms && now - usage->quota_ms < FLEET_QUOTA_MS)) {
    return true;
  }
  usage->quota_ms = now;
  return connect_database(usage) && fleet_quota_load(module->fleet_quota, &usage->db, store_instance(module->store));
}

/* Until there is something to do again, unless on_written() comes first. */
static int idle_ms(const struct usage *usage) {
  int64_t left = usage->quota_ms + FLEET_QUOTA_MS - clock_ms();
  return atomic_load(&usage->module->counts_fleet) && left < IDLE_MS ? (left > 0 ? (int)left : 1) : IDLE_MS;
}

void *usage_deliver(void *arg) {
  struct usage *usage = arg;
  int delay = RETRY_MIN_MS;
  int64_t end = 0, delivered_ms = 0;
  usage->batch = BATCH;
  while (!end || clock_ms() < end) {
    struct journal *journal = atomic_load(&usage->journal);
    if (!end && atomic_load(&usage->stop_delivery)) {
      end = clock_ms() + USAGE_STOP_MS;
    }
    if (!end && !ask_quota(usage)) {
      log_state(usage, false);
    }
    if (!journal || !has_work(usage, journal)) {
      if (end && !(journal && is_writing(journal))) {
        break;
      }
      wait_ms(usage, idle_ms(usage)); /* on_written() ends it */
      continue;
    }
    gather(usage, journal, delivered_ms);
    bool ok = work(usage, journal);
    delivered_ms = clock_ms();
    if (end && !ok) {
      break;
    }
    log_state(usage, ok);
    if (ok) {
      delay = RETRY_MIN_MS;
      continue;
    }
    pause_ms(usage, delay);
    delay = delay * 2 < RETRY_MAX_MS ? delay * 2 : RETRY_MAX_MS;
  }
  return NULL;
}
