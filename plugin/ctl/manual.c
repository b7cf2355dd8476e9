/*
 * manual.c - turncredctl manual: turncredctl(1), made from the table of commands
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "ctl.h"

#include <stdio.h>
#include <string.h>

/* Writes text for mdoc: escapes backslashes, hyphens of options, and dots and quotes at the
 * beginning of a line. sentences: each sentence begins a line. */
static void put_text(const char *text, bool sentences) {
  bool first = true;
  for (; *text; text++) {
    if (first && (*text == '.' || *text == '\'')) {
      fputs("\\&", stdout);
    }
    first = *text == '\n';
    if (*text == '\\') {
      fputs("\\e", stdout);
    } else if (*text == '-' && text[1] == '-') {
      fputs("\\-", stdout);
    } else if (sentences && *text == '.' && text[1] == ' ' && text[2] >= 'A' && text[2] <= 'Z') {
      fputs(".\n", stdout);
      text++;
    } else {
      putchar(*text);
    }
  }
}

static void put_options(const struct ctl_option *options) {
  puts(".Bl -tag -width Ds");
  for (; options->name; options++) {
    printf(".It Fl \\-%s", options->name);
    if (options->value) {
      printf(" Ar %s", options->value);
    }
    putchar('\n');
    put_text(options->help, true);
    puts(options->flags & CTL_REQUIRED ? ".\nRequired." : options->flags & CTL_REPEAT ? ".\nMay be repeated." : ".");
  }
  puts(".El");
}

static void put_operands(const char *operands) {
  for (const char *word = operands; word && *word;) {
    size_t len = strcspn(word, " ");
    if (*word == '[') {
      printf(" Oo Ar %.*s Oc", (int)len - 2, word + 1); /* Op would enclose the rest of the line */
    } else {
      printf(" Ar %.*s", (int)len, word);
    }
    word += len;
    word += *word == ' ';
  }
}

/* Writes the details of a command; lines with two blanks in front are an example and stay as they
 * are. */
static void put_details(const char *details) {
  bool example = false;
  while (*details) {
    size_t len = strcspn(details, "\n");
    char line[256];
    snprintf(line, sizeof line, "%.*s", (int)len, details);
    bool literal = len && !strncmp(line, "  ", 2);
    if (literal && !example) {
      puts(".Bd -literal -offset indent");
    }
    if (!literal && example) {
      puts(".Ed");
    }
    example = literal;
    if (len) {
      put_text(literal ? line + 2 : line, !literal);
      putchar('\n');
    } else if (details[1] && strncmp(details + 1, "  ", 2)) {
      puts(".Pp");
    }
    details += len;
    details += *details == '\n';
  }
  if (example) {
    puts(".Ed");
  }
}

static const char head[] =
    ".Dd November 29, 2026\n.Dt TURNCREDCTL 1\n.Os\n.Sh NAME\n.Nm turncredctl\n"
    ".Nd provision TURN credentials for coturn and look after them\n.Sh SYNOPSIS\n.Nm\n"
    ".Ar command\n.Op Ar operands\n.Op Ar options\n.Sh DESCRIPTION\n.Nm\n"
    "works on the database that patched coturn servers and issuers share: it sets up the schema,\n"
    "adds and rotates keys, issues and revokes credentials, and tries servers as a TURN client.\n"
    ".Pp\n"
    "Answers are tables for people, or JSON with\n.Fl \\-json :\n"
    "lists are arrays, every other answer is an object, times are UTC seconds, and the names of\n"
    "members do not change; later versions may add members.\n"
    "Messages go to standard error.\n.Pp\n"
    "Secrets are read from files or standard input, never from the command line, and are written\n"
    "only to standard output or to the file that an option names.\n"
    "A\n.Ar TIME\nis UTC seconds, now, now plus a duration (+12h), or 2026\\-01\\-31T12:00:00Z.\n"
    "A\n.Ar DURATION\nis seconds, or a number with s, m, h or d.\n";

static const char guide[] =
    ".Sh KEY ENCRYPTION KEYS\n"
    "Keys and pushed credentials are sealed before they reach the database.\n"
    "The key encryption key that seals them is a file of 32 octets that every TURN server and\n"
    "issuer needs, and that only the user of that program can read; the file's name is the key's\n"
    "id.\n"
    "Carry the file to those machines over a way that is safer than the database's backups:\n"
    "configuration management with secrets, systemd credentials, or by hand.\n"
    "Anybody who has both the file and a dump has every key; a dump alone opens nothing.\n.Pp\n"
    "Keep one copy of the file offline.\n"
    "If the file is lost, nobody can open the sealed rows: running servers go on until they are\n"
    "restarted; add new keys under a new file, and push credentials again.\n.Pp\n"
    "To change the key encryption key, put the new file beside the old one in a folder that\n"
    ".Ql kek\n"
    "of every server and issuer names, reload them, call\n.Nm\n.Cm kek rewrap Ar ID ,\n"
    "then take the old file away.\n"
    "A realm may have a key encryption key of its own:\n.Nm\n.Cm realm set Ar NAME\n"
    ".Fl \\-kek\\-id Ar ID .\n"
    ".Sh ROTATION AND EMERGENCY\n"
    ".Cm key rotate\n"
    "replaces a key in service at any time of day; no credential stops working before its time.\n"
    "A key that has leaked must not live that long:\n"
    ".Cm key disable\n"
    "takes effect at once and ends the sessions made with the key.\n"
    "Call it after\n"
    ".Cm key rotate\n"
    "has put a new key in place, or before it if nobody may log in meanwhile.\n.Pp\n"
    ".Cm revoke user\n"
    "ends a subscriber's sessions and refuses the subscriber's credentials.\n"
    "Credentials from before a revocation stay refused when the revocation is lifted.\n"
    "Where the database has standby servers, make them synchronous: a failover must not lose a\n"
    "revocation.\n"
    ".Sh BACKUP AND RESTORE\n"
    "A dump of the database by\n"
    ".Xr pg_dump 1\n"
    "and the key encryption key are all that a restore needs.\n"
    "Restore into an empty database of a cluster that has the roles turncred_owner,\n"
    "turncred_server, turncred_issuer, turncred_admin and turncred_auditor (pg_dumpall \\-\\-roles\\-only).\n"
    "Servers notice that the database lost history, load all rows anew, and keep the revocations\n"
    "that they knew until those run out.\n"
    "Issue those revocations again all the same, since a server that was down has not seen them.\n";

static const char tail[] =
    ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
    ".It Ev TURNCRED_DATABASE\nthe same as\n.Fl \\-database .\n"
    ".It Ev TURNCRED_KEK\nthe same as\n.Fl \\-kek .\n"
    ".It Ev TURNCRED_CONFIG\nthe same as\n.Fl \\-config .\n"
    ".It Ev TURNCRED_SCHEMA_DIR\nthe folder of the numbered SQL files.\n"
    ".It Ev PGHOST , PGDATABASE , PGUSER , PGSERVICE , PGPASSFILE , ...\n"
    "libpq's own variables and files name the database if nothing else does.\n"
    ".El\n.Sh FILES\n.Bl -tag -width Ds\n"
    ".It Pa " SYSCONFDIR "/turncred/turncredctl.conf\n"
    "an optional file with the lines\n.Ql database = CONNINFO\nand\n.Ql kek = PATH ,\nand comments "
    "that begin with "
    "#.\n"
    ".It Pa ~/.pgpass\npasswords of database roles.\n"
    ".El\n.Sh EXIT STATUS\n.Bl -tag -width Ds -compact\n"
    ".It 0\ndone\n.It 1\nrefused: not found, exists already, against a rule, does not decode; doctor: a check failed\n"
    ".It 2\nthe command line, or a file named there, is wrong\n"
    ".It 3\nthe database cannot be reached, lacks the schema, or denies a right\n"
    ".It 4\na step of the probe failed\n"
    ".It 5\ndone, but not every server and issuer has reported the change in time; key rotate: call it again\n"
    ".It 6\nout of memory, or a fault of the system\n"
    ".It 7\nimport coturn: something that works with coturn today would not work afterwards\n.El\n"
    ".Sh EXAMPLES\nFrom nothing to a relayed datagram:\n"
    ".Bd -literal -offset indent\n"
    "runuser -u postgres \\-\\- createdb \\-E UTF8 \\-T template0 turncred\n"
    "runuser -u postgres \\-\\- turncredctl schema upgrade \\-\\-database dbname=turncred\n"
    "runuser -u postgres \\-\\- psql -d turncred -c 'CREATE ROLE root LOGIN IN ROLE "
    "turncred_admin'\n"
    "turncredctl kek generate /etc/turncred/kek/main\n"
    "export TURNCRED_DATABASE=dbname=turncred TURNCRED_KEK=/etc/turncred/kek/main\n"
    "turncredctl realm add example.org \\-\\-server\\-name turn.example.org\n"
    "turncredctl key add example.org\n"
    "turncredctl token issue example.org alice \\-\\-json |\n"
    "  turncredctl probe \\-\\-server turn.example.org \\-\\-credential \\-\n"
    ".Ed\n.Pp\nEnd all sessions of a subscriber, and refuse the subscriber's credentials:\n"
    ".Bd -literal -offset indent\n"
    "turncredctl revoke user example.org alice \\-\\-reason contract\\-ended\n"
    ".Ed\n.Sh SEE ALSO\n.Xr psql 1 ,\n.Xr turnserver 1 ,\n.Xr turncred.conf 5\n"
    ".Sh STANDARDS\nRFC 7635 (tokens), RFC 8489 (STUN), RFC 8656 (TURN), 3GPP TS 33.203 annex "
    "X.5.\n";

enum ctl_exit cmd_manual(struct ctl *ctl) {
  fputs(head, stdout);
  puts(".Sh OPTIONS OF EVERY COMMAND");
  put_options(ctl->global_options);
  puts(".Sh COMMANDS");
  for (const struct ctl_command *c = ctl->commands; c->name; c++) {
    printf(".Ss %s\n.Nm\n.Cm %s", c->name, c->name);
    put_operands(c->operands);
    printf("%s\n.Pp\n%s.\n", c->options && c->options->name ? " Oo Ar options Oc" : "", c->summary);
    if (c->details) {
      put_details(c->details);
    }
    if (c->options && c->options->name) {
      put_options(c->options);
    }
  }
  fputs(guide, stdout);
  fputs(tail, stdout);
  return CTL_OK;
}
