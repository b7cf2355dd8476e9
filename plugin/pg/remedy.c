/*
 * remedy.c - an error of PostgreSQL in one line, with what mends it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * libpq tells a failure in several lines: one for each host that was tried, explanations behind a tab, and remarks such
 * as "password retrieved from file". PQERRORS_VERBOSE adds the SQLSTATE, so that the remedy does not depend on the
 * language of the server.
 */
#include "config.h"

#include "remedy.h"

#include "base/fail.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- libpq's message ---------------------------------------------------------------------- */

/* In "FATAL:  28P01: text" the five letters of the SQLSTATE; NULL: the line has none. */
static const char *find_state(const char *line, size_t len) {
  for (const char *p = line; (p = memmem(p, len - (size_t)(p - line), ":  ", 3)); p++) {
    const char *state = p + 3;
    if (state + 7 > line + len || state[5] != ':' || state[6] != ' ') {
      continue;
    }
    bool all = true;
    for (int i = 0; i < 5; i++) {
      all &= isdigit((unsigned char)state[i]) || isupper((unsigned char)state[i]);
    }
    if (all) {
      return state;
    }
  }
  return NULL;
}

static bool begins(const char *line, const char *word) { return strncmp(line, word, strlen(word)) == 0; }

/* "This probably means ...", "Is the server running ...?" begin with a tab. */
static bool is_addition(const char *line) {
  return *line == '\t' || begins(line, "DETAIL:") || begins(line, "HINT:") || begins(line, "LOCATION:");
}

struct writer {
  char *to;
  size_t at, cap;
};

static void put(struct writer *w, const char *text, size_t len) {
  for (size_t i = 0; i < len && w->at + 1 < w->cap; i++) {
    bool blank = text[i] == ' ' || text[i] == '\t' || text[i] == '\n';
    if (blank && (w->at == 0 || w->to[w->at - 1] == ' ')) {
      continue;
    }
    if (blank) {
      w->to[w->at++] = ' ';
    } else {
      w->to[w->at++] = text[i];
    }
  }
  w->to[w->at] = '\0';
}

static void put_text(struct writer *w, const char *text) { put(w, text, strlen(text)); }

static void put_line(struct writer *w, const char *separator, const char *line, size_t len, const char *state) {
  if (w->at > 0) {
    put_text(w, separator);
  }
  if (state) { /* without "28P01: " */
    put(w, line, (size_t)(state - line));
    put(w, state + 7, len - (size_t)(state + 7 - line));
  } else {
    put(w, line, len);
  }
}

/* Puts the reasons into line, everything into text. state: the last SQLSTATE, "" if there is none. */
static void take_apart(struct pg *pg, const char *message, char state[6]) {
  struct writer line = {pg->line, 0, sizeof pg->line}, text = {pg->text, 0, sizeof pg->text};
  pg->line[0] = pg->text[0] = state[0] = '\0';
  for (const char *p = message; *p;) {
    size_t len = strcspn(p, "\n");
    const char *found = find_state(p, len);
    if (found) {
      snprintf(state, 6, "%.5s", found);
    }
    if (len > 0 && !begins(p, "LOCATION:")) {
      put_line(&text, " ", p, len, found);
    }
    if (len > 0 && !is_addition(p)) {
      put_line(&line, "; ", p, len, found);
    }
    p += len + (p[len] == '\n');
  }
}

/* --- remedies ------------------------------------------------------------------------------- */

static void remedy(struct pg *pg, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void remedy(struct pg *pg, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(pg->remedy, sizeof pg->remedy, format, args);
  va_end(args);
}

/* A parameter of the connection; false: it has none. */
static bool parameter(const struct pg *pg, const char *keyword, char *out, size_t cap) {
  PQconninfoOption *options = pg->conn ? PQconninfo(pg->conn) : NULL;
  *out = '\0';
  for (const PQconninfoOption *o = options; o && o->keyword; o++) {
    if (!strcmp(o->keyword, keyword) && o->val) {
      snprintf(out, cap, "%s", o->val);
    }
  }
  PQconninfoFree(options);
  return *out;
}

static const char *user_of(const struct pg *pg) {
  const char *user = pg->conn ? PQuser(pg->conn) : NULL;
  return user ? user : "";
}

/* Why libpq takes nothing from the passfile: it skips one that it cannot use without a word to its caller. */
static bool passfile_fault(const char *path, char *out, size_t cap) {
  struct stat st;
  int fd = -1;
  if (stat(path, &st) || (S_ISREG(st.st_mode) && (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)) {
    fail_to_read(errno, out, cap, "passfile", path);
    return true;
  }
  if (fd >= 0) {
    close(fd);
  }
  if (!S_ISREG(st.st_mode)) {
    fail_with(EINVAL, out, cap, "passfile %s is no regular file, so it is not used", path);
    return true;
  }
  if (st.st_mode & (S_IRWXG | S_IRWXO)) {
    fail_with(EPERM, out, cap, "passfile %s is open to its group or to others, so it is not used: chmod 600 it", path);
    return true;
  }
  return false;
}

static void no_password(struct pg *pg) {
  char path[400], fault[460];
  if (!parameter(pg, "passfile", path, sizeof path)) {
    remedy(pg, "write passfile=FILE into the connection string");
  } else if (passfile_fault(path, fault, sizeof fault)) {
    remedy(pg, "%s", fault);
  } else {
    const char *host = PQhost(pg->conn), *port = PQport(pg->conn), *database = PQdb(pg->conn);
    remedy(pg, "passfile %s has no line for %s:%s:%s:%s:PASSWORD", path, host && *host != '/' ? host : "*",
           port ? port : "5432", database ? database : "", user_of(pg));
  }
}

static void wrong_password(struct pg *pg) {
  char path[400], given[8];
  bool in_string = parameter(pg, "password", given, sizeof given);
  memset(given, 0, sizeof given);
  if (!in_string && parameter(pg, "passfile", path, sizeof path)) {
    remedy(pg, "write the password of role \"%s\" into %s, or give the role that one: ALTER ROLE ... PASSWORD",
           user_of(pg), path);
  } else {
    remedy(pg, "mend the password of role \"%s\" in the connection string or PGPASSWORD, or ALTER ROLE ... PASSWORD",
           user_of(pg));
  }
}

static void permission_denied(struct pg *pg) {
  char user[PROGRAM_USER_MAX];
  remedy(pg, "this program runs as user %s, who must be able to use that file", program_user(user));
}

struct known {
  const char *sign; /* an SQLSTATE, or words of libpq's own */
  void (*fn)(struct pg *pg);
  const char *remedy;
};

static const struct known states[] = {
    {"28P01", wrong_password, NULL},
    {"28000", NULL,
     "pg_hba.conf of the database says who may log in from where, and how; a role that is missing is made with CREATE "
     "ROLE ... LOGIN"},
    {"3D000", NULL,
     "name the right database with dbname=, or make it: createdb -E UTF8 -T template0, then turncredctl schema "
     "upgrade"},
    {"53300", NULL, "raise max_connections in postgresql.conf, or end other sessions"},
    {"57P03", NULL, "PostgreSQL is starting or stopping: wait until it answers"},
    {"42501", NULL, "GRANT CONNECT ON DATABASE to this role"},
    {NULL, NULL, NULL},
};

static const struct known words[] = {
    {"no password supplied", no_password, NULL},
    {"Permission denied", permission_denied, NULL},
    {"Connection refused", NULL,
     "start PostgreSQL, or name the right host= and port=; listen_addresses says where it listens"},
    {"No such file or directory", NULL,
     "start PostgreSQL there, or name the right host= and port=, and files that exist"},
    {"could not translate host name", NULL, "name the right host=, or mend DNS or /etc/hosts"},
    {"timeout expired", NULL, "see whether host= and port= are right and no firewall is between"},
    {"no answer in time", NULL, "see whether host= and port= are right and no firewall is between"},
    {"definition of service", NULL,
     "write the service into pg_service.conf (PGSERVICEFILE), or host= and dbname= here"},
    {"service file", NULL, "write the service into pg_service.conf (PGSERVICEFILE), or host= and dbname= here"},
    {"does not match host name", NULL,
     "put the certificate's name into host=, and the address into hostaddr= if DNS does not know that name"},
    {"root certificate file", NULL,
     "sslrootcert= names the file of the authority that signed the server's certificate"},
    {"certificate verify failed", NULL,
     "sslrootcert= names the file of the authority that signed the server's certificate"},
    {"does not support SSL", NULL, "set ssl = on in postgresql.conf, or name another sslmode="},
    {"server closed the connection unexpectedly", NULL, "the log of PostgreSQL says why"},
    {NULL, NULL, NULL},
};

static bool apply(struct pg *pg, const struct known *known) {
  if (known->sign && known->fn) {
    known->fn(pg);
  } else if (known->sign) {
    remedy(pg, "%s", known->remedy);
  }
  return known->sign != NULL;
}

/* Behind the reasons in line: what mends them. */
static void append_remedy(struct pg *pg) {
  struct writer line = {pg->line, strlen(pg->line), sizeof pg->line};
  if (*pg->remedy) {
    put_text(&line, " (");
    put_text(&line, pg->remedy);
    put_text(&line, ")");
  }
}

void pg_tell_connection(struct pg *pg, const char *message) {
  char state[6];
  take_apart(pg, *message ? message : "the connection is lost", state);
  pg->remedy[0] = '\0';
  const struct known *known = states;
  while (*state && known->sign && strcmp(known->sign, state) != 0) {
    known++;
  }
  if (!*state || !apply(pg, known)) {
    for (known = words; known->sign && !strstr(pg->line, known->sign); known++)
      ;
    apply(pg, known);
  }
  append_remedy(pg);
}

void pg_tell_statement(struct pg *pg, const char *primary, const char *hint) {
  struct writer line = {pg->line, 0, sizeof pg->line}, text = {pg->text, 0, sizeof pg->text};
  put(&line, primary, strnlen(primary, 200));
  put_text(&line, " (");
  put_text(&line, *pg->sqlstate ? pg->sqlstate : "no SQLSTATE");
  put_text(&line, ")");
  put_text(&text, primary);
  if (hint) {
    put_text(&text, ". ");
    put_text(&text, hint);
  }
  pg->remedy[0] = '\0';
  if (pg->error == PG_DENIED && pg->group) {
    char *role = pg->conn ? PQescapeIdentifier(pg->conn, user_of(pg), strlen(user_of(pg))) : NULL;
    remedy(pg, "GRANT %s TO %s", pg->group, role ? role : "this role");
    PQfreemem(role);
  } else if (pg->error == PG_MISSING && pg->group) {
    remedy(pg, "this database lacks the turncred schema or has an old one: run turncredctl schema upgrade");
  }
  append_remedy(pg);
}
