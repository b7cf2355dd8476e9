/*
 * import.h - what the files of turncredctl import coturn share: one run, its report, its realms
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions of type enum ctl_exit have written their message when they return anything but CTL_OK. A row that cannot be
 * taken over is no error: the report says why.
 */
#ifndef TURNCRED_CTL_IMPORT_H
#define TURNCRED_CTL_IMPORT_H

#include "import_source.h"
#include "keyring.h"
#include "turnserver_conf.h"

struct batch;

struct import {
  struct source source;  /* coturn's database; not open if there is none */
  struct kek_ring *ring; /* may be NULL */
  json_t *report;        /* array of what --json prints */
  json_t *realms;        /* name: {at_rest, kek_id, mechanisms, server_name, ...} of realms here, and of added ones */
  json_t *needs;         /* realm: {mechanism: true, ...} of coturn's rows */
  json_t *served;        /* names of the realms that coturn serves: the default realm, and those with origins */
  bool apply, add_realms, truncate, only_used;
  enum turncred_username_format form; /* of user names under imported secrets */
  const char *default_realm;          /* realm of rows that name none; may be NULL */
  struct turnserver_conf conf;
  json_t *conf_users;  /* name: whether it has a key for any realm; users of turnserver.conf */
  json_t *homeless;    /* name: key, rows of no realm, which are read last; null: the default realm has a row too */
  struct batch *users; /* of import_users.c, while it runs */
  int64_t skipped;     /* rows of the report whose action is "skip" */
  int64_t lost;        /* those of them that work in coturn */
  int64_t gained;      /* rows that are taken over though coturn, as configured, does not take them */
};

/* Whether coturn takes what a row offers, as it is configured. */
enum import_use { IMPORT_UNUSED, IMPORT_USED, IMPORT_UNKNOWN /* without a turnserver.conf */ };

/* What a line of the report is about. */
struct import_row {
  const char *kind, *realm, *name;
  enum import_use use;
};

/* --- import_report.c --- */

/* Adds a line to the report. action: add, same, update, set, skip, note. A skipped row that is not IMPORT_UNUSED counts
 * as lost. */
void import_note(struct import *im, const struct import_row *row, const char *action, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A note that counts as lost: something works in coturn, and will not afterwards. */
void import_warn(struct import *im, const struct import_row *row, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Prints the report, and on standard error what is lost and what is gained. */
enum ctl_exit import_print(struct ctl *ctl, struct import *im);

/* --- import_write.c: a row's own savepoint --- */

struct import_attempt {
  struct ctl_said said; /* why the row was refused */
};
/* What is written from here on is one row. Messages go to *attempt. */
enum ctl_exit import_attempt(struct ctl *ctl, struct import_attempt *attempt);
/* Ends the attempt, whose outcome is rc. *refused: a rule refused the row, and nothing of it is written; attempt->said
 * has the reason. Anything worse is returned. */
enum ctl_exit import_attempted(struct ctl *ctl, struct import_attempt *attempt, enum ctl_exit rc, bool *refused);

/* --- import_target.c --- */

/* The entry in im->realms for a row of coturn's; an empty row->realm becomes the default realm. NULL: there is none, or
 * the row is not to be taken over, and the report says why. */
json_t *import_target(struct import *im, struct import_row *row);
/* Whether a row for the realm of entry can be stored as the realm wants it; false: the report says
 * why not. *id gets the id of the key encryption key that seals the row, NULL for a plain row. */
bool import_can_store(struct import *im, const struct import_row *row, const json_t *entry, const char **id);
/* Fills im->realms from turncred.realm. */
enum ctl_exit import_load_realms(struct ctl *ctl, struct import *im);
/* Fills im->served. */
enum ctl_exit import_load_served(struct ctl *ctl, struct import *im);
/* Adds the realms that only coturn has, with the mechanisms that their rows need. */
enum ctl_exit import_add_realms(struct ctl *ctl, struct import *im);
/* Reports once when the realm does not offer the mechanism that an imported row needs. */
void import_need_mechanism(struct import *im, const struct import_row *row, json_t *entry, const char *mechanism);

/* --- import_use.c: which credentials coturn takes --- */

enum import_use import_user_use(const struct import *im);
enum import_use import_secret_use(const struct import *im);
enum import_use import_token_use(const struct import *im);
/* use, unless the row is of no realm: coturn looks users and secrets up by the name of the session's realm. */
enum import_use import_row_use(const struct import *im, enum import_use use, const char *realm);

/* --- import_users.c --- */

/* Users of turnserver.conf and of turnusers_lt become pushed credentials. */
enum ctl_exit import_users(struct ctl *ctl, struct import *im);

/* --- import_keys.c --- */

/* Secrets of turn_secret and of turnserver.conf become rest keys, rows of oauth_key token keys. */
enum ctl_exit import_secrets(struct ctl *ctl, struct import *im);
enum ctl_exit import_oauth_keys(struct ctl *ctl, struct import *im);

/* --- import_peers.c --- */

/* Denied peers of coturn's realms become denied peers of realms; other ranges are named. */
enum ctl_exit import_peers(struct ctl *ctl, struct import *im);

/* --- import_settings.c --- */

/* Quotas and origins of realms, peer ranges, and what turnserver.conf says besides. */
enum ctl_exit import_settings(struct ctl *ctl, struct import *im);

#endif
