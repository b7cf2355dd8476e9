/*
 * import.c - turncredctl import coturn: what coturn's database and turnserver.conf say about credentials
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads coturn's database in one read-only snapshot. Writes in one transaction, which is rolled back without --apply:
 * so the list is the same with and without. The command can be repeated: rows that were imported before are recognised
 * by their octets and left alone.
 */
#include "config.h"

#include "import.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Where coturn puts its SQLite database unless it is told: Debian, upstream's packages, a build from source. */
static const char *const default_files[] = {"/var/lib/turn/turndb", "/var/lib/coturn/turndb",
                                            "/usr/local/var/db/turndb", "/var/db/turndb"};

/* Notes which database is read. */
static void note_source(struct import *im, const char *what, const char *reason) {
  const struct import_row row = {"source", "", what, IMPORT_USED};
  import_note(im, &row, "note", "%s", reason);
}

/* coturn's SQLite database of the file path; "~" is the home of whoever runs coturn. */
static enum ctl_exit open_file(struct ctl *ctl, struct import *im, const char *path) {
  char whole[1200];
  const char *home = getenv("HOME");
  while (*path == ' ') {
    path++;
  }
  snprintf(whole, sizeof whole, "%s%s", *path == '~' && home ? home : "", *path == '~' && home ? path + 1 : path);
  note_source(im, "SQLite", whole);
  return source_open_sqlite(ctl, &im->source, whole);
}

/* The database that coturn uses when nothing names one. */
static enum ctl_exit open_default_file(struct ctl *ctl, struct import *im) {
  struct stat st;
  for (size_t i = 0; i < sizeof default_files / sizeof *default_files; i++) {
    if (!stat(default_files[i], &st) && st.st_size) {
      return open_file(ctl, im, default_files[i]);
    }
  }
  note_source(im, "none",
              "turnserver.conf names no database; coturn then has SQLite in /var/lib/turn/turndb, which is not on this "
              "machine: if coturn has users there, copy the file and name it");
  return CTL_OK;
}

/* A database of a kind that this program does not read. */
static void pass_over(struct import *im, const char *option) {
  const struct import_row row = {"source", "", option, IMPORT_UNKNOWN};
  import_note(im, &row, "skip",
              "not read: copy it to SQLite with coturn's tables, and name that file here (IMPORT.md beside the upgrade "
              "guide has the commands)");
}

/* The database that turnserver.conf names. */
static enum ctl_exit open_configured(struct ctl *ctl, struct import *im) {
  switch (im->conf.database_kind) {
  case TURNSERVER_POSTGRES:
    note_source(im, "PostgreSQL", "psql-userdb of turnserver.conf");
    return source_open_postgres(ctl, &im->source, im->conf.database);
  case TURNSERVER_MYSQL:
    pass_over(im, "mysql-userdb");
    return CTL_OK;
  case TURNSERVER_MONGO:
    pass_over(im, "mongo-userdb");
    return CTL_OK;
  case TURNSERVER_REDIS:
    pass_over(im, "redis-userdb");
    return CTL_OK;
  default:
    return *im->conf.database ? open_file(ctl, im, im->conf.database) : open_default_file(ctl, im);
  }
}

/* Opens the database of the operand: a connection string, or the path of a SQLite file. */
static enum ctl_exit open_operand(struct ctl *ctl, struct import *im, const char *operand) {
  static const char prefix[] = "sqlite:";
  if (!strncmp(operand, prefix, sizeof prefix - 1)) {
    return open_file(ctl, im, operand + sizeof prefix - 1);
  }
  if (strchr("/.~", *operand) && *operand) {
    return open_file(ctl, im, operand);
  }
  enum ctl_exit rc = ctl_refuse_password(ctl, "SOURCE", operand);
  return rc ? rc : source_open_postgres(ctl, &im->source, operand);
}

/* Reads the options and what turnserver.conf says. */
static enum ctl_exit read_conf(struct ctl *ctl, struct import *im) {
  const char *conf = ctl_get(ctl, "turnserver-conf"), *arguments = ctl_get(ctl, "turnserver-cmdline");
  enum ctl_exit rc = CTL_OK;
  if (arguments) {
    rc = turnserver_conf_command_line(ctl, arguments, conf, &im->conf);
  } else if (conf) {
    rc = turnserver_conf_read(ctl, conf, &im->conf);
  } else if (!ctl_operand(ctl, 0)) {
    rc = ctl_fail(
        ctl, CTL_USAGE,
        "an operand is missing: name coturn's turnserver.conf with --turnserver-conf, its database with SOURCE, or "
        "both");
  }
  if (!im->default_realm && *im->conf.realm) {
    im->default_realm = im->conf.realm;
  }
  if (!rc && im->default_realm && (!*im->default_realm || strlen(im->default_realm) > TURNCRED_REALM_MAX)) {
    rc = ctl_fail(ctl, CTL_USAGE, "--default-realm: 1 to %d octets", TURNCRED_REALM_MAX);
  }
  return rc;
}

/* --username-format: the form of user names under imported secrets. */
static enum ctl_exit read_form(const struct ctl *ctl, struct import *im) {
  const char *form = ctl_get(ctl, "username-format");
  im->form = TURNCRED_TIMESTAMP_USER_ID;
  return form && turncred_username_format_parse(form, &im->form)
             ? ctl_fail(ctl, CTL_USAGE,
                        "--username-format: \"%s\" is not one of timestamp:user-id, user-id:timestamp, either", form)
             : CTL_OK;
}

static enum ctl_exit import_everything(struct ctl *ctl, struct import *im) {
  enum ctl_exit rc = import_load_realms(ctl, im);
  if (!rc) {
    rc = import_load_served(ctl, im);
  }
  if (!rc && im->add_realms) {
    rc = import_add_realms(ctl, im);
  }
  if (!rc) {
    rc = import_users(ctl, im);
  }
  if (!rc) {
    rc = import_secrets(ctl, im);
  }
  if (!rc) {
    rc = import_oauth_keys(ctl, im);
  }
  return rc ? rc : import_settings(ctl, im);
}

enum ctl_exit cmd_import_coturn(struct ctl *ctl) {
  struct import im = {.apply = ctl_has(ctl, "apply"),
                      .add_realms = ctl_has(ctl, "add-realms"),
                      .truncate = ctl_has(ctl, "truncate"),
                      .only_used = ctl_has(ctl, "only-used"),
                      .default_realm = ctl_get(ctl, "default-realm"),
                      .report = json_array(),
                      .realms = json_object(),
                      .needs = json_object(),
                      .served = json_object(),
                      .conf_users = json_object(),
                      .homeless = json_object()};
  const char *operand = ctl_operand(ctl, 0);
  enum ctl_exit rc = read_form(ctl, &im);
  if (!rc) {
    rc = read_conf(ctl, &im);
  }
  if (!rc) {
    rc = operand && *operand ? open_operand(ctl, &im, operand) : im.conf.given ? open_configured(ctl, &im) : CTL_OK;
  }
  if (!rc) {
    rc = keyring_load_optional(ctl, &im.ring);
  }
  if (!rc) {
    rc = ctl_begin(ctl);
  }
  if (!rc) {
    rc = import_everything(ctl, &im);
  }
  if (!rc && im.apply) {
    rc = ctl_commit(ctl);
  }
  ctl_rollback(ctl);
  source_close(&im.source);
  rc = rc ? rc : import_print(ctl, &im);
  kek_ring_free(im.ring);
  turnserver_conf_free(&im.conf);
  json_decref(im.homeless);
  json_decref(im.conf_users);
  json_decref(im.served);
  json_decref(im.needs);
  json_decref(im.realms);
  json_decref(im.report);
  return rc;
}
