/*
 * import.h - what the files of turncredctl import coturn share: one run, its report, its realms
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Functions of type enum ctl_exit have written their message when they return anything but CTL_OK.
 */
#ifndef TURNCRED_CTL_IMPORT_H
#define TURNCRED_CTL_IMPORT_H

#include "keyring.h"
#include "turnserver_conf.h"

struct import {
  struct pg source;      /* coturn's database, in one read-only snapshot */
  struct kek_ring *ring; /* may be NULL */
  json_t *report;        /* array of what --json prints */
  json_t *realms;        /* name: {at_rest, kek_id, mechanisms} of realms here, and of added ones */
  bool apply, add_realms, truncate;
  const char *default_realm; /* realm of rows that name none; may be NULL */
  struct turnserver_conf conf;
  json_t *conf_users; /* name: true, users of turnserver.conf in the default realm */
  int64_t skipped;    /* rows of the report whose action is "skip" */
};

/* --- import_target.c --- */

/* Adds a row to the report. action: add, same, update, set, skip, note. */
void import_note(struct import *im, const char *kind, const char *realm, const char *name, const char *action,
                 const char *format, ...) __attribute__((format(printf, 6, 7)));
/* Queries coturn's database; the caller clears *out. */
enum ctl_exit import_query(struct ctl *ctl, struct import *im, const char *sql, PGresult **out);
/* The entry in im->realms for a row of coturn's whose realm is *realm; an empty *realm becomes the
 * default realm. NULL: there is none, and the report says why. */
json_t *import_target(struct import *im, const char *kind, const char **realm, const char *name);
/* Whether a row for the realm of entry can be stored as the realm wants it; false: the report says
 * why not. *id gets the id of the key encryption key that seals the row, NULL for a plain row. */
bool import_can_store(struct import *im, const char *kind, const char *realm, const char *name, const json_t *entry,
                      const char **id);
/* Fills im->realms from turncred.realm. */
enum ctl_exit import_load_realms(struct ctl *ctl, struct import *im);
/* Adds the realms that only coturn's database has, with the mechanisms that their rows need. */
enum ctl_exit import_add_realms(struct ctl *ctl, struct import *im);
/* Reports once when the realm does not offer the mechanism that an imported row needs. */
void import_need_mechanism(struct import *im, const char *kind, const char *realm, const json_t *entry,
                           const char *mechanism);

/* --- import_users.c --- */

/* Users of turnserver.conf and of turnusers_lt become pushed credentials. */
enum ctl_exit import_users(struct ctl *ctl, struct import *im);

/* --- import_keys.c --- */

/* A REST secret called name in the report. realm "": the default realm. */
enum ctl_exit import_secret(struct ctl *ctl, struct import *im, const char *realm, const char *secret,
                            const char *name);
/* Row i of kid, ikm_key, timestamp, lifetime, as_rs_alg, realm of oauth_key becomes a token key. */
enum ctl_exit import_oauth_key(struct ctl *ctl, struct import *im, const PGresult *r, int i);

#endif
