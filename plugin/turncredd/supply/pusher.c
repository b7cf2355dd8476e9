/*
 * pusher.c - the thread that pushes credentials and waits until the TURN servers have them
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/clock.h"
#include "pg/pg.h"
#include "pusher.h"
#include "turncredd/log.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOK_MS 20 /* between two questions for the servers' progress */

struct pusher {
  const char *conninfo, *instance;
  struct pg db;
  int wake_fd, stop_fd;
  pthread_t thread;
  pthread_mutex_t lock;
  struct push *fresh, **fresh_end;
  struct push *waiting;     /* pushes that are in the database and not yet on every live server */
  char last_error[PG_LINE]; /* of a database that is there, as it was logged; "": the last push went well */
  atomic_bool stop;
};

void pusher_add(struct pusher *p, struct push *push) {
  const uint64_t one = 1;
  push->next = NULL;
  pthread_mutex_lock(&p->lock);
  *p->fresh_end = push;
  p->fresh_end = &push->next;
  pthread_mutex_unlock(&p->lock);
  ssize_t done = write(p->wake_fd, &one, sizeof one);
  (void)done;
}

static struct push *take_fresh(struct pusher *p) {
  pthread_mutex_lock(&p->lock);
  struct push *list = p->fresh;
  p->fresh = NULL;
  p->fresh_end = &p->fresh;
  pthread_mutex_unlock(&p->lock);
  return list;
}

static void finish(struct push *push, enum push_result result) { push->done(push, result, push->arg); }

static enum push_result failed(const struct pusher *p, struct push *push) {
  snprintf(push->text, sizeof push->text, "%s", p->db.line);
  if (!p->db.conn || !*p->db.sqlstate) {
    return PUSH_UNKNOWN;
  }
  if (!strcmp(p->db.sqlstate, "TC002")) {
    return PUSH_REVOKED;
  }
  if (!strncmp(p->db.sqlstate, "23", 2) || !strncmp(p->db.sqlstate, "TC", 2) || !strncmp(p->db.sqlstate, "22", 2)) {
    return PUSH_REFUSED;
  }
  return PUSH_FAILED;
}

/* Each push fails for the same reason, such as a right that the role lacks, until somebody mends it. */
static void log_failure(struct pusher *p) {
  if (strcmp(p->last_error, p->db.line) != 0) {
    log_line(LOG_ERR, "database: %s; the push is answered with 503", p->db.line);
    snprintf(p->last_error, sizeof p->last_error, "%s", p->db.line);
  }
}

static PGresult *put(struct pusher *p, const struct push *push) {
  struct pg_params params = {0};
  bool sealed = *push->kek_id;
  pg_text(&params, push->realm);
  pg_text(&params, push->username);
  if (sealed) {
    pg_octets(&params, push->octets, TURNCRED_CREDENTIAL_SEALED);
    pg_text(&params, push->kek_id);
    pg_text(&params, NULL);
    pg_text(&params, NULL);
  } else {
    pg_text(&params, NULL);
    pg_text(&params, NULL);
    pg_octets(&params, push->octets, TURNCRED_LONG_TERM_MD5);
    pg_octets(&params, push->octets + TURNCRED_LONG_TERM_MD5, TURNCRED_LONG_TERM_SHA256);
  }
  pg_int(&params, push->expiry);
  pg_text(&params, push->client_address);
  pg_text(&params, p->instance);
  pg_text(&params, push->caller);
  pg_text(&params, push->provider); /* the functions that record take it from the transaction's setting */
#define PROVIDER " FROM set_config('turncred.provider', $11, true)"
  if (push->max_bps || push->max_allocations) {
    pg_text(&params, *push->user ? push->user : NULL);
    pg_int(&params, push->max_bps);
    pg_int(&params, push->max_allocations);
    return pg_query(&p->db,
                    "SELECT turncred.credential_push_limited($1, $12, $2, $3::bytea, $4, $5::bytea, $6::bytea,"
                    " to_timestamp($7::bigint), $8, $13::bigint, $14::integer, $9, $10), true" PROVIDER,
                    &params);
  }
  if (*push->user) {
    pg_text(&params, push->user);
  }
  return pg_query(&p->db,
                  *push->user ? "SELECT turncred.credential_push_recorded_of($1, $12, $2, $3::bytea, $4, $5::bytea,"
                                " $6::bytea, to_timestamp($7::bigint), $8, $9, $10), true" PROVIDER
                              : "SELECT turncred.credential_push_recorded($1, $2, $3::bytea, $4, $5::bytea, $6::bytea,"
                                " to_timestamp($7::bigint), $8, $9, $10), true" PROVIDER,
                  &params);
#undef PROVIDER
}

static PGresult *take_back(struct pusher *p, const struct push *push) {
  char reason[120];
  struct pg_params params = {0};
  snprintf(reason, sizeof reason, "requested by caller %s", push->caller);
  pg_text(&params, push->realm);
  pg_text(&params, push->username);
  pg_text(&params, push->kind == PUSH_REVOKE ? "t" : "f");
  pg_text(&params, reason);
  return pg_query(&p->db, "SELECT xid, removed FROM turncred.credential_take_back($1, $2, $3::boolean, $4)", &params);
}

/* Carries out one push. False: the database is away. */
static bool carry_out(struct pusher *p, struct push *push) {
  if (p->db.conn) {
    pg_wait(&p->db, 0); /* notices a connection that was lost while it was idle */
  }
  if (!p->db.conn && pg_connect(&p->db, p->conninfo, "turncredd push")) {
    snprintf(push->text, sizeof push->text, "%s", p->db.line);
    finish(push, PUSH_UNKNOWN);
    return false;
  }
  PGresult *r = push->kind == PUSH_PUT ? put(p, push) : take_back(p, push);
  if (!r) {
    enum push_result result = failed(p, push);
    if (result == PUSH_FAILED) {
      log_failure(p);
    }
    finish(push, result);
    return p->db.conn != NULL;
  }
  *p->last_error = '\0';
  push->xid = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
  bool found = *PQgetvalue(r, 0, 1) == 't';
  PQclear(r);
  if (!found) {
    finish(push, PUSH_MISSING);
    return true;
  }
  push->deadline_ms = clock_ms() + push->wait_ms;
  push->next = p->waiting;
  p->waiting = push;
  return true;
}

/* Changes of transactions below this one are in force on all live servers: those that have not stopped, and were heard
 * of lately. 0: not known, as with a progress that another cluster has counted, from before a restore. The row as JSON
 * has stopped_at or, in an older schema, nothing. */
static uint64_t progress(struct pusher *p, int64_t silent_ms) {
  uint64_t least = 0;
  PGresult *r = NULL;
  if (p->db.conn) {
    struct pg_params params = {0};
    pg_int(&params, silent_ms);
    r = pg_query(&p->db,
                 "SELECT coalesce(min(CASE WHEN progress > pg_snapshot_xmax(pg_current_snapshot()) THEN 0"
                 " ELSE progress::text::numeric END), 18446744073709551615)"
                 " FROM turncred.instance i WHERE kind = 'server' AND to_jsonb(i)->>'stopped_at' IS NULL"
                 " AND last_seen > now() - $1::bigint * interval '1 ms'",
                 &params);
  }
  if (r) {
    least = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
  }
  PQclear(r);
  return least;
}

/* Finishes the pushes that all live servers have, and those that are late. */
static void finish_waiting(struct pusher *p) {
  uint64_t least = progress(p, p->waiting->silent_ms);
  for (struct push **at = &p->waiting; *at;) {
    struct push *push = *at;
    bool done = push->xid < least;
    if (!done && clock_ms() < push->deadline_ms && p->db.conn) {
      at = &push->next;
      continue;
    }
    *at = push->next;
    finish(push, done ? PUSH_DONE : PUSH_LATE);
  }
}

static void *run(void *arg) {
  struct pusher *p = arg;
  pthread_setname_np(pthread_self(), "pusher");
  while (!atomic_load(&p->stop)) {
    struct pollfd fds[2] = {{p->wake_fd, POLLIN, 0}, {p->stop_fd, POLLIN, 0}};
    poll(fds, 2, p->waiting ? LOOK_MS : -1);
    uint64_t count;
    while (read(p->wake_fd, &count, sizeof count) > 0)
      ;
    bool away = false;
    for (struct push *push = take_fresh(p), *next; push; push = next) {
      next = push->next;
      if (away) {
        snprintf(push->text, sizeof push->text, "%s", p->db.line);
        finish(push, PUSH_UNKNOWN);
      } else if (!carry_out(p, push)) {
        away = true;
        log_line(LOG_WARNING, "database: %s; pushes are answered with 503", p->db.line);
        if (!next) { /* the pushes that came meanwhile have waited as long */
          next = take_fresh(p);
        }
      }
    }
    if (p->waiting) {
      finish_waiting(p);
    }
  }
  return NULL;
}

struct pusher *pusher_start(const char *conninfo, const char *instance, uint32_t database_ms) {
  struct pusher *p = calloc(1, sizeof *p);
  if (!p) {
    return NULL;
  }
  p->conninfo = conninfo;
  p->instance = instance;
  p->fresh_end = &p->fresh;
  p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  pthread_mutex_init(&p->lock, NULL);
  atomic_init(&p->stop, false);
  pg_init(&p->db, p->stop_fd);
  p->db.connect_ms = p->db.silence_ms = database_ms;
  if (p->wake_fd < 0 || p->stop_fd < 0 || pthread_create(&p->thread, NULL, run, p)) {
    free(p);
    return NULL;
  }
  return p;
}

void pusher_stop(struct pusher *p) {
  const uint64_t one = 1;
  if (!p) {
    return;
  }
  atomic_store(&p->stop, true);
  ssize_t done = write(p->stop_fd, &one, sizeof one);
  (void)done;
  pthread_join(p->thread, NULL);
  pg_close(&p->db);
  pthread_mutex_destroy(&p->lock);
  close(p->wake_fd);
  close(p->stop_fd);
  free(p);
}
