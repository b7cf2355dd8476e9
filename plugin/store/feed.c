/*
 * feed.c - follows the database: a full load, then changes by transaction id
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "feed.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WITNESSES                                                                                                      \
  64                        /* changes that are remembered after they have settled: if one is gone from the            \
                               database, history was lost */
#define STANDBY_GRACE 60000 /* ms for which a standby may be behind before its data is believed */
#define KEPT_AT_LEAST 3600  /* s: turncred.maintain_partitions() drops no younger change */

void feed_init(struct feed *feed, int wake_fd, bool credentials, const struct kek_ring *keks, store_log_fn log,
               void *arg) {
  memset(feed, 0, sizeof *feed);
  pg_init(&feed->db, wake_fd);
  rows_init(&feed->rows, keks, log, arg);
  feed->credentials = credentials;
  feed->rows.keep_k = !credentials; /* issuers load no credentials, and need K to sign */
}

void feed_clear(struct feed *feed) {
  pg_close(&feed->db);
  rows_clear(&feed->rows);
  free(feed->known);
  feed->known = NULL;
}

/* --- what one look finds ---------------------------------------------------------------- */

struct change {
  int64_t id;
  uint64_t xid;
  int64_t at;
  const char *random, *kind, *realm, *name; /* point into the result */
};

struct look {
  uint64_t xmin;
  int64_t now; /* UTC seconds of the database's clock */
  char identity[128];
  bool standby;
  int64_t known; /* how many of the changes asked for are still in the database */
  size_t asked;
  PGresult *result;
  struct change *changes; /* those that are not applied yet */
  size_t count;
};

static void look_clear(struct look *look) {
  PQclear(look->result);
  free(look->changes);
}

static const char *begin_sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                               " SET LOCAL search_path = pg_catalog; SET LOCAL lock_timeout = '10s';"
                               " SET LOCAL idle_in_transaction_session_timeout = '60s';"
                               " SELECT pg_snapshot_xmin(pg_current_snapshot()),"
                               " (SELECT id FROM turncred.database) || ' ' || (SELECT system_identifier FROM "
                               "pg_control_system()),"
                               " (SELECT timeline_id FROM pg_control_checkpoint()), pg_is_in_recovery(),"
                               " (SELECT max(version) FROM turncred.migration),"
                               " (SELECT max(min_program) FROM turncred.migration),"
                               " extract(epoch FROM now())::bigint;";

static int fail(struct feed *feed, const char *what) {
  snprintf(feed->message, sizeof feed->message, "%s", what);
  return EIO;
}

static int read_header(struct feed *feed, struct look *look, const PGresult *r) {
  if (PQntuples(r) != 1 || PQnfields(r) != 7) {
    return fail(feed, "the database gives no answer about itself");
  }
  look->xmin = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
  look->standby = *PQgetvalue(r, 0, 3) == 't';
  look->now = strtoll(PQgetvalue(r, 0, 6), NULL, 10);
  /* A standby's control file lags behind: its timeline says nothing. */
  snprintf(look->identity, sizeof look->identity, "%s %s", PQgetvalue(r, 0, 1),
           look->standby ? "" : PQgetvalue(r, 0, 2));
  int version = atoi(PQgetvalue(r, 0, 4)), needs = atoi(PQgetvalue(r, 0, 5));
  feed->rows.schema = version;
  if (version < STORE_SCHEMA_VERSION) {
    snprintf(feed->message, sizeof feed->message,
             "the database has turncred schema %d, this program needs %d: run turncredctl schema "
             "upgrade",
             version, STORE_SCHEMA_VERSION);
    return EPROTONOSUPPORT;
  }
  if (needs > SCHEMA_NEWEST) {
    snprintf(feed->message, sizeof feed->message,
             "the database has turncred schema %d, which needs programs for schema %d or newer; "
             "this one is for %d: upgrade it",
             version, needs, SCHEMA_NEWEST);
    return EPROTONOSUPPORT;
  }
  return 0;
}

/* A standby does not tell its timeline, so timelines are compared only where both sides have one. */
static bool same_database(const char *a, const char *b) {
  size_t n = strcspn(a, " ") + 1, m = strcspn(b, " ") + 1;
  n += strcspn(a + n, " ");
  m += strcspn(b + m, " ");
  if (n != m || strncmp(a, b, n) != 0) {
    return false;
  }
  return !a[n + 1] || !b[m + 1] || strcmp(a + n, b + m) == 0;
}

static int by_id(const void *a, const void *b) {
  const struct feed_change *x = a, *y = b;
  return (x->id > y->id) - (x->id < y->id);
}

/* Searches the sorted list: while a long transaction is open, many changes are known. */
static bool is_known(const struct feed *feed, int64_t id, const char *random) {
  const struct feed_change key = {.id = id};
  const struct feed_change *found =
      feed->known_count > 0 ? bsearch(&key, feed->known, feed->known_count, sizeof *feed->known, by_id) : NULL;
  return found && strcmp(found->random, random) == 0;
}

static int query(struct feed *feed, const char *sql, PGresult **results, size_t cap) {
  int rc = pg_batch(&feed->db, sql, results, cap);
  if (rc) {
    snprintf(feed->message, sizeof feed->message, "%s", feed->db.line);
  }
  return rc;
}

/* Notes those changes of the result that are not applied yet. */
static int take_changes(struct feed *feed, struct look *look) {
  int rows = PQntuples(look->result);
  look->changes = calloc((size_t)rows + 1, sizeof *look->changes);
  for (int i = 0; look->changes && i < rows; i++) {
    struct change c = {strtoll(PQgetvalue(look->result, i, 0), NULL, 10),
                       strtoull(PQgetvalue(look->result, i, 1), NULL, 10),
                       strtoll(PQgetvalue(look->result, i, 6), NULL, 10),
                       PQgetvalue(look->result, i, 2),
                       PQgetvalue(look->result, i, 3),
                       PQgetvalue(look->result, i, 4),
                       PQgetvalue(look->result, i, 5)};
    if (strlen(c.random) == 36 && !is_known(feed, c.id, c.random)) {
      look->changes[look->count++] = c;
    }
  }
  return look->changes ? 0 : fail(feed, "out of memory");
}

/* Opens the transaction and reads what changed since feed->xmin. */
static int look_begin(struct feed *feed, struct look *look) {
  memset(look, 0, sizeof *look);
  size_t room = strlen(begin_sql) + 600 + 80 * (WITNESSES + 1);
  char *sql = malloc(room);
  if (!sql) {
    return fail(feed, "out of memory");
  }
  /* Before the first load: the changes that the load will contain, and the newest of the others, which
   * then show whether history was lost */
  char which[160] = "xid >= pg_snapshot_xmin(pg_current_snapshot()) OR id IN"
                    " (SELECT id FROM turncred.change ORDER BY id DESC LIMIT 64)";
  if (feed->loaded) {
    snprintf(which, sizeof which, "xid >= '%llu'", (unsigned long long)feed->xmin);
  }
  int n = snprintf(sql, room,
                   "%s SELECT id, xid, random, kind, realm, name,"
                   " CASE WHEN isfinite(at) THEN extract(epoch FROM at)::bigint ELSE 0 END FROM turncred.change"
                   " WHERE (%s) AND xid < pg_snapshot_xmax(pg_current_snapshot())"
                   " ORDER BY id; SELECT count(*) FROM turncred.change WHERE (id, random) IN"
                   " ((0, '00000000-0000-0000-0000-000000000000'::uuid)",
                   begin_sql, which);
  for (size_t i = feed->known_count; i-- > 0 && look->asked < WITNESSES; look->asked++) {
    n += snprintf(sql + n, room - (size_t)n, ", (%lld, '%s')", (long long)feed->known[i].id, feed->known[i].random);
  }
  snprintf(sql + n, room - (size_t)n, ")");
  PGresult *r[7];
  int rc = query(feed, sql, r, 7);
  free(sql);
  if (rc == 0 && !r[6]) {
    rc = fail(feed, "the database answers fewer questions than it was asked");
  }
  if (rc == 0) {
    rc = read_header(feed, look, r[4]);
  }
  if (rc == 0) {
    look->result = r[5];
    r[5] = NULL;
    look->known = strtoll(PQgetvalue(r[6], 0, 0), NULL, 10);
    rc = take_changes(feed, look);
  }
  for (int i = 0; i < 7; i++) {
    PQclear(r[i]);
  }
  return rc;
}

/* Maintenance drops the oldest changes: of those that were asked for the first ones, while nothing older stays. Forgets
 * these. Since the last look was less than an hour ago, whatever else was dropped had been applied. */
static int forget_dropped(struct feed *feed, struct look *look) {
  size_t gone = look->asked - (size_t)look->known, end = feed->known_count - look->asked + gone;
  if (gone == 0 || gone > look->asked || look->now - feed->looked_at >= KEPT_AT_LEAST ||
      look->now - feed->known[end - 1].at <= KEPT_AT_LEAST) {
    return 0;
  }
  char sql[100];
  PGresult *r = NULL;
  snprintf(sql, sizeof sql, "SELECT FROM turncred.change WHERE id <= %lld LIMIT 1", (long long)feed->known[end - 1].id);
  int rc = query(feed, sql, &r, 1);
  if (rc == 0 && r && PQntuples(r) == 0) {
    feed->known_count -= end;
    look->asked -= gone;
    memmove(feed->known, feed->known + end, feed->known_count * sizeof *feed->known);
  }
  PQclear(r);
  return rc;
}

/* Remembers the changes of a look, and forgets settled ones but for the newest WITNESSES. */
static int remember(struct feed *feed, const struct look *look) {
  size_t need = feed->known_count + look->count;
  if (need > feed->known_cap) {
    size_t cap = need * 2;
    struct feed_change *more = realloc(feed->known, cap * sizeof *more);
    if (!more) {
      return ENOMEM;
    }
    feed->known = more;
    feed->known_cap = cap;
  }
  for (size_t i = 0; i < look->count; i++) {
    struct feed_change *k = &feed->known[feed->known_count++];
    k->id = look->changes[i].id;
    k->xid = look->changes[i].xid;
    k->at = look->changes[i].at;
    memcpy(k->random, look->changes[i].random, sizeof k->random);
  }
  if (feed->known_count > 1) {
    qsort(feed->known, feed->known_count, sizeof *feed->known, by_id);
  }
  size_t settled = 0, kept = 0;
  for (size_t i = 0; i < feed->known_count; i++) {
    settled += feed->known[i].xid < look->xmin;
  }
  for (size_t i = 0; i < feed->known_count; i++) {
    if (feed->known[i].xid < look->xmin && settled-- > WITNESSES) {
      continue;
    }
    feed->known[kept++] = feed->known[i];
  }
  feed->known_count = kept;
  feed->xmin = look->xmin;
  feed->looked_at = look->now;
  feed->standby = look->standby;
  snprintf(feed->identity, sizeof feed->identity, "%s", look->identity);
  return 0;
}

bool feed_unsettled(const struct feed *feed) {
  for (size_t i = feed->known_count; i-- > 0;) {
    if (feed->known[i].xid >= feed->xmin) {
      return true;
    }
  }
  return false;
}

/* --- loading ---------------------------------------------------------------------------- */

static int copy(struct feed *feed, char *sql, enum rows_table table) {
  if (!sql) {
    return fail(feed, "out of memory");
  }
  int rc = pg_copy(&feed->db, sql, rows_take(table), &feed->rows);
  free(sql);
  if (rc == 0 && feed->rows.all && table == ROWS_CREDENTIAL) {
    rc = snapshot_settle_credentials(feed->rows.snapshot);
  }
  if (rc) {
    snprintf(feed->message, sizeof feed->message, "%s: %.900s", rows_table_name(table),
             rc == ENOMEM ? "out of memory" : feed->db.line);
  }
  return rc;
}

/* Loads all rows of a table, of which the snapshot has none. */
static int copy_all(struct feed *feed, enum rows_table table) {
  feed->rows.all = true;
  int rc = copy(feed, rows_sql(feed->rows.schema, table, NULL), table);
  feed->rows.all = false;
  return rc;
}

struct keep {
  struct store_snapshot *to;
  int64_t now;
  bool ok;
};
/* A revocation that only the lost history had stays in force for as long as what it revoked could
 * live. */
static bool keep_revocation(const struct hamt_item *hamt, void *arg) {
  struct keep *keep = arg;
  const struct revocation_item *item = (const struct revocation_item *)hamt;
  if (store_revoked_at(keep->to, item->name.kind, item->name.realm, item->name.name) >= item->until) {
    return true;
  }
  const struct store_realm *realm = store_realm_find(keep->to, item->name.realm);
  int64_t until = keep->now + (realm ? realm->max_ttl : 86400) + TURNCRED_AHEAD_SLACK;
  if (item->until < until) {
    until = item->until;
  }
  keep->ok = snapshot_put_revocation(keep->to, &item->name, until) == 0;
  return keep->ok;
}

/* True if a database that lost its history has no realm, though realms are loaded. Most likely it was
 * restarted empty or is the wrong one; hardly ever does it mean that nobody shall log in any more. Where
 * history goes on, the removal of the last realm is a change like any other. */
static bool is_blank(const struct store_snapshot *snapshot, const struct store_snapshot *from) {
  return from && from->realms.count > 0 && snapshot->realms.count == 0;
}

static int load_all(struct feed *feed, const struct store_snapshot *from, bool lost) {
  int rc = 0;
  rows_begin_full(&feed->rows);
  for (enum rows_table table = 0; rc == 0 && table < ROWS_TABLES; table++) {
    if (table != ROWS_CREDENTIAL || feed->credentials) {
      rc = copy_all(feed, table);
    }
  }
  if (rc == 0 && lost && is_blank(feed->rows.snapshot, from)) {
    rc = fail(feed, "it is another one, or restored, and holds no realm; if that is meant, restart");
  }
  if (rc == 0 && lost && from) {
    struct keep keep = {feed->rows.snapshot, (int64_t)time(NULL), true};
    hamt_each(&from->revocations, keep_revocation, &keep);
    if (!keep.ok) {
      rc = fail(feed, "out of memory");
    }
  }
  rows_end_full(&feed->rows, rc == 0);
  return rc;
}

/* --- changes ---------------------------------------------------------------------------- */

struct touched {
  bool bulk[ROWS_TABLES];
  size_t count[ROWS_TABLES];
  char *ids[ROWS_TABLES]; /* "1,2,3" */
  size_t len[ROWS_TABLES], cap[ROWS_TABLES];
};

static int add_id(struct touched *touched, enum rows_table table, int64_t id) {
  if (touched->cap[table] - touched->len[table] < 24) {
    size_t cap = touched->cap[table] * 2 + 256;
    char *more = realloc(touched->ids[table], cap);
    if (!more) {
      return ENOMEM;
    }
    touched->ids[table] = more;
    touched->cap[table] = cap;
  }
  touched->len[table] += (size_t)snprintf(touched->ids[table] + touched->len[table], 24, "%s%lld",
                                          touched->count[table]++ ? "," : "", (long long)id);
  return 0;
}

static int sort_changes(const struct look *look, struct touched *touched) {
  for (size_t i = 0; i < look->count; i++) {
    const struct change *c = &look->changes[i];
    for (enum rows_table table = 0; table < ROWS_TABLES; table++) {
      if (strcmp(c->kind, "bulk") == 0 && strcmp(c->name, rows_table_name(table)) == 0) {
        touched->bulk[table] = true;
      } else if (strcmp(c->kind, rows_table_name(table)) == 0 && add_id(touched, table, c->id)) {
        return ENOMEM;
      }
    }
  }
  return 0;
}

static int load_bulk(struct feed *feed, enum rows_table table) {
  struct store_snapshot *snapshot = feed->rows.snapshot;
  int rc = 0;
  if (table == ROWS_KEY) {
    rc = snapshot_clear_keys(snapshot);
  } else if (table == ROWS_CREDENTIAL) {
    rc = snapshot_clear_credentials(snapshot);
  } else {
    snapshot_clear_revocations(snapshot);
  }
  return rc ? fail(feed, "out of memory") : copy_all(feed, table);
}

/* Loads keys and credentials of realms that the last snapshot did not have: they are new, or were
 * refused before. */
static int load_new_realms(struct feed *feed, const struct look *look, const struct store_snapshot *from) {
  struct touched fresh = {0};
  int rc = 0;
  for (size_t i = 0; i < look->count && rc == 0; i++) {
    const struct change *c = &look->changes[i];
    if (strcmp(c->kind, "realm") == 0 && !snapshot_realm(from, c->realm) &&
        snapshot_realm(feed->rows.snapshot, c->realm) && add_id(&fresh, ROWS_REALM, c->id)) {
      rc = fail(feed, "out of memory");
    }
  }
  if (rc == 0 && fresh.count[ROWS_REALM] > 0) {
    rc = copy(feed, rows_sql_of_realms(feed->rows.schema, ROWS_KEY, fresh.ids[ROWS_REALM]), ROWS_KEY);
  }
  if (rc == 0 && fresh.count[ROWS_REALM] > 0 && feed->credentials) {
    rc = copy(feed, rows_sql_of_realms(feed->rows.schema, ROWS_CREDENTIAL, fresh.ids[ROWS_REALM]), ROWS_CREDENTIAL);
  }
  free(fresh.ids[ROWS_REALM]);
  return rc;
}

/* Applies the changes of a look. EAGAIN: a full load is needed. */
static int load_changes(struct feed *feed, const struct look *look, const struct store_snapshot *from) {
  struct touched touched = {0};
  int rc = sort_changes(look, &touched) ? fail(feed, "out of memory") : 0;
  for (enum rows_table table = 0; rc == 0 && table < ROWS_TABLES; table++) {
    /* a bulk load does not meet refused rows that are gone: only a full load forgets them */
    if (touched.bulk[table] && (table == ROWS_REALM || rows_refuse_some(&feed->rows, table))) {
      rc = EAGAIN;
    }
  }
  for (enum rows_table table = 0; rc == 0 && table < ROWS_TABLES; table++) {
    if (table == ROWS_CREDENTIAL && !feed->credentials) {
      continue;
    }
    if (touched.bulk[table]) {
      rc = load_bulk(feed, table);
    } else if (touched.count[table] > 0) {
      rc = copy(feed, rows_sql(feed->rows.schema, table, touched.ids[table]), table);
    }
    if (rc == 0 && table == ROWS_REALM && touched.count[table] > 0) {
      rc = load_new_realms(feed, look, from);
    }
  }
  for (enum rows_table table = 0; table < ROWS_TABLES; table++) {
    free(touched.ids[table]);
  }
  return rc;
}

/* --- one look --------------------------------------------------------------------------- */

/* Why history was lost, so that changes cannot be applied to what is loaded. NULL: it was not. */
static const char *doubt(const struct feed *feed, const struct look *look) {
  if (!same_database(feed->identity, look->identity)) {
    return "the database is another one, or on another timeline";
  }
  if (look->known != (int64_t)look->asked) {
    return "changes that were applied are gone (failover, restore, or away for too long)";
  }
  if (look->xmin < feed->xmin) {
    return "the database has gone back in time";
  }
  return NULL;
}

static enum feed_result ended(struct feed *feed, int rc) {
  if (feed->db.conn) {
    pg_run(&feed->db, "ROLLBACK", NULL, NULL);
  }
  if (rc == ECANCELED) {
    return FEED_STOPPED;
  }
  return FEED_FAILED;
}

/* True while a standby that differs from what is loaded is believed to lag behind it: most likely it has
 * not caught up yet, and what is loaded is newer. */
static bool standby_lags(struct feed *feed, const char *why) {
  int64_t now = clock_ms();
  if (feed->lag_since == 0) {
    feed->lag_since = now;
  }
  if (now - feed->lag_since >= STANDBY_GRACE) {
    return false;
  }
  snprintf(feed->message, sizeof feed->message, "the standby is behind what is loaded: %s", why);
  return true;
}

/* Makes the next snapshot, if there is anything new: from the changes of the look, or (*full) from
 * everything. *full becomes true where changes turn out not to be enough. */
static int load(struct feed *feed, const struct look *look, const struct store_snapshot *from, uint64_t seed, bool lost,
                bool *full) {
  int rc = 0;
  if (!*full && look->count > 0) {
    feed->rows.snapshot = snapshot_fork(from);
    rc = feed->rows.snapshot ? load_changes(feed, look, from) : fail(feed, "out of memory");
    if (rc == EAGAIN) {
      snapshot_free(feed->rows.snapshot);
      feed->rows.snapshot = NULL;
      *full = true;
      rc = 0;
    }
  }
  if (rc == 0 && *full) {
    feed->rows.snapshot = snapshot_new(seed);
    rc = feed->rows.snapshot ? load_all(feed, from, lost) : fail(feed, "out of memory");
  }
  return rc;
}

/* Ends the transaction and remembers what was read. */
static int commit(struct feed *feed, const struct look *look, bool full) {
  int rc = query(feed, "COMMIT", NULL, 0);
  if (rc) {
    return rc;
  }
  if (full) {
    feed->known_count = 0;
    feed->loaded = true;
    feed->from_disk = feed->lost_told = false;
  }
  if (remember(feed, look)) {
    feed->loaded = false;
    return fail(feed, "out of memory");
  }
  return 0;
}

/* Tells of changes of objects that no snapshot holds. */
static void tell_others(struct feed *feed, const struct look *look) {
  for (size_t i = 0; i < look->count; i++) {
    if (feed->session_end && !strcmp(look->changes[i].kind, "session")) {
      feed->session_end(look->changes[i].name, feed->session_end_arg);
    }
    feed->servers_changed |= !strcmp(look->changes[i].kind, "server");
  }
}

enum feed_result feed_look(struct feed *feed, const struct store_snapshot *from, uint64_t seed, bool full,
                           struct store_snapshot **out) {
  struct look look;
  *out = NULL;
  int rc = look_begin(feed, &look);
  if (!rc && feed->loaded) {
    rc = forget_dropped(feed, &look);
  }
  const char *why = !rc && (feed->loaded || feed->from_disk) ? doubt(feed, &look) : NULL;
  if (why && look.standby && standby_lags(feed, why)) {
    rc = EIO;
  }
  if (rc) {
    look_clear(&look);
    return ended(feed, rc);
  }
  feed->lag_since = 0;
  if (why && !feed->lost_told) {
    rows_say(&feed->rows, STORE_LOG_WARNING, "loading everything anew: %s", why);
    feed->lost_told = true;
  }
  full = full || why || !from || !feed->loaded;
  rc = load(feed, &look, from, seed, why != NULL, &full);
  if (rc == 0) {
    rc = commit(feed, &look, full);
  }
  bool changed = full || look.count > 0;
  if (rc == 0) {
    tell_others(feed, &look);
  }
  look_clear(&look);
  struct store_snapshot *next = feed->rows.snapshot;
  feed->rows.snapshot = NULL;
  if (rc) {
    snapshot_free(next);
    return ended(feed, rc);
  }
  if (next) {
    next->progress = feed->xmin;
    memcpy(next->identity, feed->identity, sizeof feed->identity);
  }
  *out = next;
  return changed ? FEED_CHANGED : FEED_SAME;
}
