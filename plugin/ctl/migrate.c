/*
 * migrate.c - runs the numbered migrations of plugin/schema
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "migrate.h"

#include "sql.h"

#include "base/fail.h"
#include "core/turncred.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCK "1953853027, 0" /* advisory lock of migrations */

static int fail_sql(const struct pg *db, const char *what, char *err, size_t cap) {
  return fail_with(EIO, err, cap, "%s: %s%s%s", what, db->text, *db->remedy ? "\n  remedy: " : "", db->remedy);
}

const char *schema_dir(void) {
  const char *dir = getenv("TURNCRED_SCHEMA_DIR");
  return dir && *dir ? dir : TURNCRED_SCHEMA_DIR;
}

static int read_sql(const char *dir, const char *file, char **out, char *err, size_t cap) {
  char path[4352];
  snprintf(path, sizeof path, "%s/%s", dir, file);
  FILE *f = fopen(path, "re");
  if (!f) {
    return fail_with(errno, err, cap, "%s: %s", path, strerror(errno));
  }
  size_t room = 65536, len = 0;
  char *text = malloc(room);
  while (text && (len += fread(text + len, 1, room - 1 - len, f)) == room - 1) {
    char *more = realloc(text, room *= 2);
    if (!more) {
      free(text);
    }
    text = more;
  }
  int bad = ferror(f);
  fclose(f);
  if (!text) {
    return fail_with(ENOMEM, err, cap, "out of memory");
  }
  text[len] = 0;
  if (bad || strlen(text) != len) {
    free(text);
    return fail_with(EINVAL, err, cap, "%s: cannot be read as text", path);
  }
  *out = text;
  return 0;
}

static int by_version(const void *a, const void *b) {
  const struct schema_migration *x = a, *y = b;
  return (x->version > y->version) - (x->version < y->version);
}

static struct schema_migration *add(struct schema_status *status, int version) {
  for (size_t i = 0; i < status->count; i++) {
    if (status->migrations[i].version == version) {
      return &status->migrations[i];
    }
  }
  struct schema_migration *more = realloc(status->migrations, (status->count + 1) * sizeof *status->migrations);
  if (!more) {
    return NULL;
  }
  status->migrations = more;
  struct schema_migration *m = &more[status->count++];
  memset(m, 0, sizeof *m);
  m->version = version;
  return m;
}

static int list_files(const char *dir, struct schema_status *status, char *err, size_t cap) {
  DIR *d = opendir(dir);
  if (!d) {
    return fail_with(errno, err, cap, "schema folder %s: %s; TURNCRED_SCHEMA_DIR names another", dir, strerror(errno));
  }
  int rc = 0;
  for (struct dirent *entry; rc == 0 && (entry = readdir(d));) {
    int version, end = 0;
    char name[64];
    if (strlen(entry->d_name) >= sizeof((struct schema_migration *)0)->file ||
        sscanf(entry->d_name, "%4d-%59[a-z0-9-].sql%n", &version, name, &end) != 2 || end == 0 || entry->d_name[end] ||
        version < 1) {
      continue;
    }
    struct schema_migration *m = add(status, version);
    if (!m) {
      rc = fail_with(ENOMEM, err, cap, "out of memory");
    } else if (m->file[0]) {
      rc = fail_with(EINVAL, err, cap, "schema folder %s: %s and %s have the same number", dir, m->file, entry->d_name);
    } else {
      snprintf(m->file, sizeof m->file, "%.*s", (int)sizeof m->file - 1, entry->d_name);
      snprintf(m->name, sizeof m->name, "%s", name);
      char *text = NULL;
      if ((rc = read_sql(dir, m->file, &text, err, cap)) == 0 && text) {
        uint8_t digest[32];
        unsigned len;
        if (EVP_Digest(text, strlen(text), digest, &len, EVP_sha256(), NULL) != 1) {
          rc = fail_with(EIO, err, cap, "OpenSSL has no SHA-256");
        } else {
          turncred_hex_encode(digest, sizeof digest, m->checksum, sizeof m->checksum);
        }
        free(text);
      }
      if (version > status->files) {
        status->files = version;
      }
    }
  }
  closedir(d);
  if (rc == 0 && status->files == 0) {
    rc = fail_with(ENOENT, err, cap, "schema folder %s: no NNNN-NAME.sql there", dir);
  }
  return rc;
}

static int list_applied(struct pg *db, struct schema_status *status, char *err, size_t cap) {
  /* not to_regclass(): inside a transaction it may answer from before the lock was waited for */
  PGresult *r = pg_query(db,
                         "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c"
                         " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                         " WHERE n.nspname = 'turncred' AND c.relname = 'migration')",
                         NULL);
  if (!r) {
    return fail_sql(db, "schema version", err, cap);
  }
  bool there = *PQgetvalue(r, 0, 0) == 't';
  PQclear(r);
  if (!there) {
    return 0;
  }
  r = pg_query(db,
               "SELECT version, description, coalesce(checksum, ''),"
               " to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
               " FROM turncred.migration ORDER BY version",
               NULL);
  if (!r) {
    return fail_sql(db, "schema version", err, cap);
  }
  int rc = 0;
  for (int i = 0; rc == 0 && i < PQntuples(r); i++) {
    struct schema_migration *m = add(status, atoi(PQgetvalue(r, i, 0)));
    if (!m) {
      rc = fail_with(ENOMEM, err, cap, "out of memory");
      break;
    }
    const char *checksum = PQgetvalue(r, i, 2);
    m->applied = true;
    m->changed = *checksum && m->checksum[0] && strcmp(checksum, m->checksum) != 0;
    if (!m->name[0]) {
      snprintf(m->name, sizeof m->name, "%s", PQgetvalue(r, i, 1));
    }
    snprintf(m->applied_at, sizeof m->applied_at, "%s", PQgetvalue(r, i, 3));
    if (m->version > status->database) {
      status->database = m->version;
    }
  }
  PQclear(r);
  return rc;
}

int schema_status(struct pg *db, const char *dir, struct schema_status *out, char *err, size_t err_cap) {
  memset(out, 0, sizeof *out);
  int rc = list_files(dir ? dir : schema_dir(), out, err, err_cap);
  if (rc == 0) {
    rc = list_applied(db, out, err, err_cap);
  }
  if (rc) {
    schema_status_clear(out);
  } else if (out->count > 1) {
    qsort(out->migrations, out->count, sizeof *out->migrations, by_version);
  }
  return rc;
}

void schema_status_clear(struct schema_status *status) {
  free(status->migrations);
  memset(status, 0, sizeof *status);
}

static int run(struct pg *db, const char *sql, const char *what, char *err, size_t cap) {
  return pg_batch(db, sql, NULL, 0) ? fail_sql(db, what, err, cap) : 0;
}

/* Inside the transaction and under the lock: 1 if somebody else was faster, 0 if not, -1 error. */
static int applied_meanwhile(struct pg *db, int version, char *err, size_t cap) {
  struct schema_status now = {0};
  if (list_applied(db, &now, err, cap)) {
    return -1;
  }
  int found = 0;
  for (size_t i = 0; i < now.count; i++) {
    found |= now.migrations[i].version == version;
  }
  schema_status_clear(&now);
  return found;
}

static int record(struct pg *db, const struct schema_migration *m, char *err, size_t cap) {
  struct pg_params params = {0};
  int64_t rows = 0;
  pg_int(&params, m->version);
  pg_text(&params, m->checksum);
  if (pg_run(db, "UPDATE turncred.migration SET checksum = $2 WHERE version = $1::int", &params, &rows)) {
    return fail_sql(db, m->file, err, cap);
  }
  return rows == 1 ? 0 : fail_with(EINVAL, err, cap, "%s: does not record itself in turncred.migration", m->file);
}

/* One upgrade at a time. Anybody can hold this lock (there is no table yet that could be locked), but not unseen. */
static int lock(struct pg *db, const char *file, char *err, size_t cap) {
  char holders[600];
  int rc = run(db, "SET LOCAL lock_timeout = '60s'", file, err, cap);
  if (rc || !(rc = run(db, "SELECT pg_advisory_xact_lock(" LOCK ")", file, err, cap)) ||
      strcmp(db->sqlstate, "55P03")) {
    return rc;
  }
  pg_run(db, "ROLLBACK", NULL, NULL);
  ctl_lock_holders(db, holders, sizeof holders);
  return fail_with(EBUSY, err, cap, "%s: another upgrade has been running for 60 s, or this session keeps its lock: %s",
                   file, holders);
}

static int apply(struct pg *db, const char *dir, const struct schema_migration *m, bool *done, char *err, size_t cap) {
  char *sql = NULL;
  int rc = read_sql(dir, m->file, &sql, err, cap);
  if (rc || !sql) {
    return rc;
  }
  *done = false;
  rc = run(db, "BEGIN", m->file, err, cap);
  if (rc == 0) {
    rc = lock(db, m->file, err, cap);
  }
  if (rc == 0) {
    int meanwhile = applied_meanwhile(db, m->version, err, cap);
    if (meanwhile < 0) {
      rc = EIO;
    } else if (meanwhile == 0) {
      /* else the patterns in the files would lose their backslashes */
      rc = run(db, "SET LOCAL standard_conforming_strings = on", m->file, err, cap);
      if (rc == 0) {
        rc = run(db, sql, m->file, err, cap);
      }
      if (rc == 0) {
        rc = run(db, "SET LOCAL ROLE turncred_owner", m->file, err, cap);
      }
      if (rc == 0) {
        rc = record(db, m, err, cap);
      }
      *done = rc == 0;
    }
  }
  free(sql);
  if (rc) {
    pg_run(db, "ROLLBACK", NULL, NULL);
    return rc;
  }
  return run(db, "COMMIT", m->file, err, cap);
}

/* EPROTONOSUPPORT unless the database is in UTF8. */
static int need_utf8(struct pg *db, char *err, size_t cap) {
  const char *encoding = PQparameterStatus(db->conn, "server_encoding");
  if (encoding && !strcmp(encoding, "UTF8")) {
    return 0;
  }
  return fail_with(EPROTONOSUPPORT, err, cap,
                   "this database is in the encoding %s, and names of users need UTF8: CREATE DATABASE ... ENCODING "
                   "'UTF8' TEMPLATE template0, and move what is in this one with pg_dump",
                   encoding ? encoding : "(unknown)");
}

int schema_upgrade(struct pg *db, const char *dir, schema_applied_fn applied, void *arg, char *err, size_t err_cap) {
  struct schema_status status;
  if (!dir) {
    dir = schema_dir();
  }
  int rc = need_utf8(db, err, err_cap);
  if (!rc) {
    rc = schema_status(db, dir, &status, err, err_cap);
  }
  if (rc) {
    return rc;
  }
  if (status.database > status.files) {
    rc = fail_with(EPROTONOSUPPORT, err, err_cap,
                   "the database has turncred schema %d, this program knows up to %d: upgrade turncred "
                   "on this machine",
                   status.database, status.files);
  }
  for (size_t i = 0; rc == 0 && i < status.count; i++) {
    const struct schema_migration *m = &status.migrations[i];
    bool done = false;
    if (m->applied) {
      continue;
    }
    if ((rc = apply(db, dir, m, &done, err, err_cap)) == 0 && done && applied) {
      applied(m, arg);
    }
  }
  schema_status_clear(&status);
  return rc;
}
