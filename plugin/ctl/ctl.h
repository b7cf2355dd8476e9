/*
 * ctl.h - what the commands of turncredctl share: the table of commands, arguments, answers
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * README.md has one line a file and the way of a command.
 */
#ifndef TURNCRED_CTL_H
#define TURNCRED_CTL_H

#include "core/turncred.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes, which turncredctl(1) documents. Functions of this type have written their message to
 * standard error when they return anything but CTL_OK. */
enum ctl_exit {
  CTL_OK = 0,
  CTL_REFUSED = 1,  /* not found, exists already, not allowed, does not decode */
  CTL_USAGE = 2,    /* the command line or a file given there is wrong */
  CTL_DATABASE = 3, /* cannot connect, or the database failed */
  CTL_PROBE = 4,    /* a step of the probe failed */
  CTL_LATE = 5,     /* done, but not every instance has reported the change in time */
  CTL_INTERNAL = 6, /* out of memory, OpenSSL failed */
  CTL_LOST = 7      /* import coturn: what works with coturn today would not work afterwards */
};

struct ctl;

enum { CTL_REQUIRED = 1, CTL_REPEAT = 2 };
struct ctl_option {
  const char *name;  /* without "--" */
  const char *value; /* what the help calls the value; NULL: the option is a flag */
  unsigned flags;
  const char *help;
};

struct ctl_command {
  const char *name;     /* "key add" */
  const char *operands; /* "REALM [KID]"; NULL: none */
  const char *summary;
  const struct ctl_option *options; /* ends with a NULL name; may be NULL */
  enum ctl_exit (*run)(struct ctl *ctl);
  const char *details; /* more lines for --help and the manual; may be NULL */
};

extern const struct ctl_command ctl_commands[]; /* ends with a NULL name */
extern const struct ctl_option ctl_global_options[];

/* Messages that are the reason for something, and not for standard error yet. */
struct ctl_said {
  char text[1024];
};

#define CTL_VALUES_MAX 64
#define CTL_OPERANDS_MAX 64

struct ctl {
  const struct ctl_command *commands;      /* all, ends with a NULL name */
  const struct ctl_option *global_options; /* of every command, ends with a NULL name */
  const struct ctl_command *command;       /* the one to run; NULL: the command line names none */
  struct {
    const struct ctl_option *option;
    const char *value;
  } values[CTL_VALUES_MAX];
  size_t value_count;
  const char *operands[CTL_OPERANDS_MAX];
  size_t operand_count;
  bool json, csv, help;
  /* from option, environment or configuration file; NULL: nothing names it */
  char *database, *kek;
  bool settings_read;
  struct pg *db;
  struct ctl_said *said; /* NULL: messages go to standard error */
};

/* --- args.c --- */

/* Finds the command among commands and sorts the arguments into *ctl. Where the command line names
 * none, ctl->command is NULL and operand 0 the first word. CTL_USAGE with a message if a word does
 * not fit. */
enum ctl_exit ctl_parse(struct ctl *ctl, const struct ctl_command *commands, const struct ctl_option *global_options,
                        int argc, char **argv);
/* The value of an option, "" for a flag that is given; NULL: the option is not given. */
const char *ctl_get(const struct ctl *ctl, const char *name);
bool ctl_has(const struct ctl *ctl, const char *name);
/* Value n, from 0, of an option that may be repeated; NULL: there are fewer. */
const char *ctl_get_nth(const struct ctl *ctl, const char *name, size_t n);
/* Operand n, from 0; NULL: there are fewer. */
const char *ctl_operand(const struct ctl *ctl, size_t n);
/* Reads an option whose value is a whole number from min to max; *out stays if it is not given.
 * CTL_USAGE for anything else. */
enum ctl_exit ctl_get_int(const struct ctl *ctl, const char *name, int64_t min, int64_t max, int64_t *out);
/* --max-bps and --max-allocations of a key or a pushed credential; 0: as the realm has it. */
struct ctl_limits {
  int64_t max_bps, max_allocations;
};
/* What is not given stays as it is. */
enum ctl_exit ctl_get_limits(const struct ctl *ctl, struct ctl_limits *limits);
/* Whether text is a number from min to max in decimal digits alone, which *out gets. */
bool ctl_number(const char *text, int64_t min, int64_t max, int64_t *out);
/* The same for a duration in seconds with an optional unit: 90, 90s, 15m, 12h, 30d. */
enum ctl_exit ctl_get_duration(const struct ctl *ctl, const char *name, int64_t min, int64_t max, int64_t *out);
/* The same for a time: UTC seconds, now, +DURATION, or YYYY-MM-DD[THH:MM[:SS]][Z] in UTC; *out gets
 * UTC seconds. now: the time in UTC seconds. */
enum ctl_exit ctl_get_time(const struct ctl *ctl, const char *name, int64_t now, int64_t *out);
/* The same for the end of something, which 0 would leave without one: 0 is refused. */
enum ctl_exit ctl_get_end(const struct ctl *ctl, const char *name, int64_t now, int64_t *out);

/* --- help.c --- */
/* --help of ctl->command; NULL: of turncredctl itself. */
void ctl_help(const struct ctl *ctl);
/* --help of the commands whose first word is topic. */
void ctl_help_topic(const struct ctl *ctl, const char *topic);

/* --- output.c --- */

enum ctl_column_kind { CTL_TEXT = 0, CTL_TIME, CTL_SECONDS };
struct ctl_column {
  const char *member; /* of the JSON object; stable */
  const char *title;
  enum ctl_column_kind kind; /* times are UTC seconds in JSON */
};
/* Prints an array of objects as JSON, as CSV (where the command has --csv) or as a table, and releases it. */
enum ctl_exit ctl_print_list(const struct ctl *ctl, json_t *list, const struct ctl_column *columns);
/* The same for one object, a line for each member. */
enum ctl_exit ctl_print_record(const struct ctl *ctl, json_t *record, const struct ctl_column *columns);
/* Has standard output taken all that was written? */
enum ctl_exit ctl_written(const struct ctl *ctl);
/* The text of a member in a table; out has cap octets, 32 at least. */
void ctl_cell(const json_t *value, enum ctl_column_kind kind, char *out, size_t cap);
/* "2025-11-24T17:00:00Z" */
void ctl_time_text(int64_t seconds, char *out, size_t cap);

/* Writes "turncredctl key add: ..." to standard error; returns code. */
enum ctl_exit ctl_fail(const struct ctl *ctl, enum ctl_exit code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for what libturncred refused: "what: bad_key: ...". CTL_INTERNAL if memory or OpenSSL
 * failed, else CTL_REFUSED. */
enum ctl_exit ctl_core_error(const struct ctl *ctl, const char *what, enum turncred_err err);
/* A remark beside the answer, on standard error. */
void ctl_note(const struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- settings.c --- */
/* Sets ctl->database and ctl->kek from options, environment and configuration file, once. */
enum ctl_exit ctl_settings(struct ctl *ctl);

/* --- the commands --- */
enum ctl_exit cmd_probe(struct ctl *ctl);
enum ctl_exit cmd_token_encode(struct ctl *ctl);
enum ctl_exit cmd_token_decode(struct ctl *ctl);
enum ctl_exit cmd_credential_derive(struct ctl *ctl);
enum ctl_exit cmd_kek_generate(struct ctl *ctl);
enum ctl_exit cmd_schema_status(struct ctl *ctl);
enum ctl_exit cmd_schema_upgrade(struct ctl *ctl);
enum ctl_exit cmd_realm_add(struct ctl *ctl);
enum ctl_exit cmd_realm_set(struct ctl *ctl);
enum ctl_exit cmd_realm_list(struct ctl *ctl);
enum ctl_exit cmd_realm_show(struct ctl *ctl);
enum ctl_exit cmd_realm_remove(struct ctl *ctl);
enum ctl_exit cmd_key_add(struct ctl *ctl);
enum ctl_exit cmd_key_set(struct ctl *ctl);
enum ctl_exit cmd_key_list(struct ctl *ctl);
enum ctl_exit cmd_key_show(struct ctl *ctl);
enum ctl_exit cmd_key_disable(struct ctl *ctl);
enum ctl_exit cmd_key_remove(struct ctl *ctl);
enum ctl_exit cmd_token_issue(struct ctl *ctl);
enum ctl_exit cmd_credential_issue(struct ctl *ctl);
enum ctl_exit cmd_credential_push(struct ctl *ctl);
enum ctl_exit cmd_credential_list(struct ctl *ctl);
enum ctl_exit cmd_credential_remove(struct ctl *ctl);
enum ctl_exit cmd_revoke(struct ctl *ctl);
enum ctl_exit cmd_unrevoke(struct ctl *ctl);
enum ctl_exit cmd_revocation_list(struct ctl *ctl);
enum ctl_exit cmd_server_list(struct ctl *ctl);
enum ctl_exit cmd_server_drain(struct ctl *ctl);
enum ctl_exit cmd_server_undrain(struct ctl *ctl);
enum ctl_exit cmd_server_forget(struct ctl *ctl);
enum ctl_exit cmd_session_list(struct ctl *ctl);
enum ctl_exit cmd_session_show(struct ctl *ctl);
enum ctl_exit cmd_session_end(struct ctl *ctl);
enum ctl_exit cmd_usage(struct ctl *ctl);
enum ctl_exit cmd_user_forget(struct ctl *ctl);
enum ctl_exit cmd_maintain(struct ctl *ctl);
enum ctl_exit cmd_caller_add(struct ctl *ctl);
enum ctl_exit cmd_caller_list(struct ctl *ctl);
enum ctl_exit cmd_caller_remove(struct ctl *ctl);
enum ctl_exit cmd_import_coturn(struct ctl *ctl);
enum ctl_exit cmd_doctor(struct ctl *ctl);
enum ctl_exit cmd_manual(struct ctl *ctl);
enum ctl_exit cmd_completion(struct ctl *ctl);
enum ctl_exit cmd_key_rotate(struct ctl *ctl);
enum ctl_exit cmd_kek_rewrap(struct ctl *ctl);

#endif
