/*
 * refused.c - journal entries that the database refuses for good: set aside on disk, and delivered on request
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "refused.h"

#include "base/set_aside.h"
#include "core/turncred.h"
#include "turncredd/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX (JOURNAL_ENTRY_MAX + 64) /* one entry as the database takes it */

struct refused {
  char folder[1100];
  const char *instance;
  struct journal *journal;
  size_t max;
  atomic_size_t count;
  char last_reason[256]; /* logged last */
};

int refused_open(struct refused **out, const char *state_dir, struct journal *journal, const char *instance, size_t max,
                 char *err, size_t cap) {
  struct refused *refused = calloc(1, sizeof *refused);
  if (!refused) {
    snprintf(err, cap, "out of memory");
    return -1;
  }
  snprintf(refused->folder, sizeof refused->folder, "%s/set-aside", state_dir);
  refused->journal = journal;
  refused->instance = instance;
  refused->max = max;
  long count = set_aside_open(refused->folder, err, cap);
  if (count < 0) {
    free(refused);
    return -1;
  }
  atomic_init(&refused->count, (size_t)count);
  *out = refused;
  return 0;
}

void refused_free(struct refused *refused) { free(refused); }

size_t refused_count(const struct refused *refused) { return refused ? atomic_load(&refused->count) : 0; }

bool refused_for_good(const struct pg *db) {
  /* data (with encodings), constraints, limits of the program, and a trigger of the operator's that raises */
  static const char *const classes[] = {"22", "23", "54", "P0001"};
  for (size_t i = 0; db->conn && i < sizeof classes / sizeof *classes; i++) {
    if (!strncmp(db->sqlstate, classes[i], strlen(classes[i]))) {
      return true;
    }
  }
  return false;
}

struct entry {
  uint64_t number;
  size_t len;
  char octets[JOURNAL_ENTRY_MAX + 1];
};

static void copy(uint64_t number, const char *octets, size_t len, void *arg) {
  struct entry *entry = arg;
  entry->number = number;
  entry->len = len;
  memcpy(entry->octets, octets, len);
  entry->octets[len] = '\0';
}

/* Tells the database how many entries are set aside, and to pass over those up to number. A schema from before version
 * 4 cannot be told. False: the connection is lost. */
static bool tell(struct refused *refused, struct pg *db, uint64_t number) {
  struct pg_params p = {0};
  pg_text(&p, journal_stream(refused->journal));
  pg_int(&p, (int64_t)refused_count(refused));
  pg_int(&p, (int64_t)number);
  pg_run(db, "SELECT turncred.journal_set_aside($1::uuid, $2::bigint, $3::bigint)", &p, NULL);
  return db->conn != NULL;
}

bool refused_set_aside(struct refused *refused, struct pg *db, char *err, size_t cap) {
  struct entry entry = {0};
  char reason[sizeof db->line];
  bool fresh = false;
  memcpy(reason, db->line, sizeof reason);
  if (!journal_read(refused->journal, 1, copy, &entry)) {
    return true;
  }
  if (refused_count(refused) >= refused->max) {
    snprintf(err, cap, "%zu entries of the journal are set aside in %s, as many as may; the last was refused: %s",
             refused_count(refused), refused->folder, reason);
    return false;
  }
  int rc = set_aside_add(refused->folder, entry.number, entry.octets, entry.len, reason, &fresh);
  if (rc) {
    snprintf(err, cap, "an entry of the journal cannot be set aside in %s: %s", refused->folder, strerror(rc));
    return false;
  }
  if (fresh) {
    atomic_fetch_add(&refused->count, 1);
  }
  if (strcmp(reason, refused->last_reason) != 0) {
    log_line(LOG_ERR, "the database refuses entry %" PRIu64 " of the journal, which is set aside in %s: %s",
             entry.number, refused->folder, reason);
    snprintf(refused->last_reason, sizeof refused->last_reason, "%s", reason);
  }
  if (!tell(refused, db, entry.number)) {
    return false;
  }
  journal_delivered(refused->journal, entry.number);
  return true;
}

/* --- replay ------------------------------------------------------------------------------- */

/* The entry's own stream, always the same: the database then takes the entry once. False: no SHA-256. */
static bool stream_of(const struct refused *refused, uint64_t number, char stream[JOURNAL_STREAM]) {
  char text[JOURNAL_STREAM + 32];
  uint8_t digest[32];
  int n = snprintf(text, sizeof text, "%s/%" PRIu64, journal_stream(refused->journal), number);
  if (turncred_sha256(NULL, (const uint8_t *)text, (size_t)n, digest)) {
    return false;
  }
  digest[6] = (uint8_t)((digest[6] & 0x0f) | 0x80);
  digest[8] = (uint8_t)((digest[8] & 0x3f) | 0x80);
  for (size_t i = 0, at = 0; i < 16; i++) {
    at += (size_t)snprintf(stream + at, JOURNAL_STREAM - at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                           digest[i]);
  }
  return true;
}

static bool deliver_one(struct refused *refused, struct pg *db, const struct entry *entry) {
  char stream[JOURNAL_STREAM], batch[BATCH_MAX];
  struct pg_params open = {0}, deliver = {0};
  if (!stream_of(refused, entry->number, stream) || pg_run(db, "BEGIN", NULL, NULL)) {
    return false;
  }
  snprintf(batch, sizeof batch, "[{\"q\":%" PRIu64 ",%s]", entry->number, entry->octets);
  pg_text(&open, stream);
  pg_text(&open, refused->instance);
  pg_text(&deliver, stream);
  pg_text(&deliver, batch);
  if (pg_run(db, "SELECT turncred.journal_open($1::uuid, $2)", &open, NULL) ||
      pg_run(db, "SELECT turncred.journal_deliver($1::uuid, $2::jsonb)", &deliver, NULL)) {
    if (db->conn) {
      pg_run(db, "ROLLBACK", NULL, NULL);
    }
    return false;
  }
  return !pg_run(db, "COMMIT", NULL, NULL);
}

struct replay {
  struct refused *refused;
  struct pg *db;
  size_t delivered;
};

static void replay_one(uint64_t number, const char *octets, size_t len, void *arg) {
  struct replay *replay = arg;
  struct entry entry;
  if (len > JOURNAL_ENTRY_MAX || !replay->db->conn) {
    return;
  }
  copy(number, octets, len, &entry);
  if (deliver_one(replay->refused, replay->db, &entry) && !set_aside_remove(replay->refused->folder, number)) {
    replay->delivered++;
  }
}

bool refused_replay(struct refused *refused, struct pg *db) {
  char err[1200];
  struct replay replay = {refused, db, 0};
  long before = set_aside_open(refused->folder, err, sizeof err); /* an operator may have removed files */
  if (before > 0) {
    set_aside_read(refused->folder, SIZE_MAX, replay_one, &replay);
  }
  size_t left = before > 0 ? (size_t)before - replay.delivered : 0;
  atomic_store(&refused->count, left);
  *refused->last_reason = '\0';
  if (before > 0) {
    log_line(left ? LOG_WARNING : LOG_INFO, "set aside in %s: %zu entries delivered, %zu still refused",
             refused->folder, replay.delivered, left);
  }
  return db->conn && tell(refused, db, 0);
}
