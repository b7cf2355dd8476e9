/*
 * migrate.h - runs the numbered migrations of plugin/schema
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Files are NNNN-NAME.sql. Each runs in a transaction of its own, under an advisory lock, and
 * records itself in turncred.migration. The operator's command calls this, no server does.
 */
#ifndef TURNCRED_CTL_MIGRATE_H
#define TURNCRED_CTL_MIGRATE_H

#include "pg/pg.h"

#include <stdbool.h>
#include <stddef.h>

struct schema_migration {
  int version;
  char name[128];      /* "init" */
  char file[64];       /* "0001-init.sql"; "" if this program has no such file */
  char checksum[65];   /* SHA-256 of the file in hex; "" if there is none */
  bool applied;        /* in this database */
  bool changed;        /* recorded with another checksum than the file's */
  char applied_at[40]; /* "" if not applied */
};

struct schema_status {
  int database;                        /* version in the database; 0: none yet */
  int files;                           /* highest version this program has a file for */
  struct schema_migration *migrations; /* in order */
  size_t count;
};

/* Told of each migration that has been applied. */
typedef void (*schema_applied_fn)(const struct schema_migration *migration, void *arg);

/* $TURNCRED_SCHEMA_DIR, or the folder the migrations are installed in. */
const char *schema_dir(void);
/* dir NULL: schema_dir(). 0, or an errno value with a message in err. Free with
 * schema_status_clear. */
int schema_status(struct pg *db, const char *dir, struct schema_status *out, char *err, size_t err_cap);
void schema_status_clear(struct schema_status *status);
/* Applies what is missing, up to the highest file. Nothing to do is success. A database newer than
 * the files, or in another encoding than UTF8, is refused with EPROTONOSUPPORT. */
int schema_upgrade(struct pg *db, const char *dir, schema_applied_fn applied, void *arg, char *err, size_t err_cap);

#endif
