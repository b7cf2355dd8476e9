/*
 * args.c - the command line, sorted by the table of commands
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "ctl.h"

#include "base/calendar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How many words a command's name has. */
static size_t word_count(const char *name) {
  size_t n = 1;
  for (; *name; name++) {
    n += *name == ' ';
  }
  return n;
}

/* Whether the arguments begin with the words of a command's name, one argument a word. */
static bool begins_with(int argc, char **argv, const char *name) {
  for (int i = 0; *name; i++) {
    size_t len = strcspn(name, " ");
    if (i >= argc || strlen(argv[i]) != len || memcmp(argv[i], name, len)) {
      return false;
    }
    name += len;
    name += *name == ' ';
  }
  return true;
}

static const struct ctl_option *find_in(const struct ctl_option *options, const char *name, size_t len) {
  for (; options && options->name; options++) {
    if (strlen(options->name) == len && !memcmp(options->name, name, len)) {
      return options;
    }
  }
  return NULL;
}

static const struct ctl_option *find_option(const struct ctl *ctl, const char *name, size_t len) {
  const struct ctl_option *option = find_in(ctl->global_options, name, len);
  if (!option && ctl->command) {
    option = find_in(ctl->command->options, name, len);
  }
  return option;
}

/* How many operands a command takes: words in [] are optional, "..." stands for any number. */
static void operand_limits(const char *operands, size_t *min, size_t *max) {
  *min = *max = 0;
  if (!operands) {
    return;
  }
  if (strstr(operands, "...")) {
    *max = CTL_OPERANDS_MAX;
  }
  while (*operands) {
    size_t len = strcspn(operands, " ");
    if (*operands != '[') {
      ++*min;
    }
    if (*max < CTL_OPERANDS_MAX) {
      ++*max;
    }
    operands += len;
    operands += *operands == ' ';
  }
}

/* Takes the option at argv[*i], and moves *i to its value if that is the next argument. */
static enum ctl_exit take_option(struct ctl *ctl, int argc, char **argv, int *i) {
  const char *name = argv[*i] + 2, *equals = strchr(name, '=');
  size_t len = equals ? (size_t)(equals - name) : strlen(name);
  const struct ctl_option *option = find_option(ctl, name, len);
  const char *value = equals ? equals + 1 : NULL;
  if (!option) {
    return ctl_fail(ctl, CTL_USAGE, "unknown option --%.*s; see turncredctl %s%s--help", (int)len, name,
                    ctl->command ? ctl->command->name : "", ctl->command ? " " : "");
  }
  if (!option->value && value) {
    return ctl_fail(ctl, CTL_USAGE, "--%s takes no value", option->name);
  }
  if (option->value && !value) {
    if (*i + 1 >= argc) {
      return ctl_fail(ctl, CTL_USAGE, "--%s needs a value: %s", option->name, option->value);
    }
    value = argv[++*i];
  }
  if (!(option->flags & CTL_REPEAT) && ctl_has(ctl, option->name)) {
    return ctl_fail(ctl, CTL_USAGE, "--%s is given twice", option->name);
  }
  if (ctl->value_count >= CTL_VALUES_MAX) {
    return ctl_fail(ctl, CTL_USAGE, "too many options");
  }
  ctl->values[ctl->value_count].option = option;
  ctl->values[ctl->value_count++].value = value ? value : "";
  if (!strcmp(option->name, "json")) {
    ctl->json = true;
  }
  if (!strcmp(option->name, "csv")) {
    ctl->csv = true;
  }
  if (!strcmp(option->name, "help")) {
    ctl->help = true;
  }
  return CTL_OK;
}

/* The command whose name has the most words of those that the arguments begin with; NULL: none. */
static const struct ctl_command *find_command(const struct ctl *ctl, int argc, char **argv) {
  const struct ctl_command *best = NULL;
  for (const struct ctl_command *c = ctl->commands; c->name; c++) {
    if (begins_with(argc, argv, c->name) && (!best || word_count(c->name) > word_count(best->name))) {
      best = c;
    }
  }
  return best;
}

/* Takes operands and options behind the command's name. */
static enum ctl_exit take_arguments(struct ctl *ctl, int argc, char **argv, int i) {
  enum ctl_exit rc = CTL_OK;
  bool only_operands = false; /* after "--" */
  for (; !rc && i < argc; i++) {
    if (!only_operands && !strcmp(argv[i], "--")) {
      only_operands = true;
    } else if (!only_operands && !strncmp(argv[i], "--", 2)) {
      rc = take_option(ctl, argc, argv, &i);
    } else if (!only_operands && argv[i][0] == '-' && argv[i][1]) {
      rc = ctl_fail(ctl, CTL_USAGE, "unknown option %s; options begin with --", argv[i]);
    } else if (ctl->operand_count >= CTL_OPERANDS_MAX) {
      rc = ctl_fail(ctl, CTL_USAGE, "too many operands");
    } else {
      ctl->operands[ctl->operand_count++] = argv[i];
    }
  }
  return rc;
}

/* Refuses a wrong number of operands, and a command line that lacks a required option. */
static enum ctl_exit check_arguments(const struct ctl *ctl) {
  size_t min, max;
  operand_limits(ctl->command->operands, &min, &max);
  if (ctl->operand_count < min || ctl->operand_count > max) {
    return ctl_fail(ctl, CTL_USAGE, "%s: usage: turncredctl %s%s%s [OPTIONS]; see --help",
                    ctl->operand_count < min ? "an operand is missing" : "too many operands", ctl->command->name,
                    ctl->command->operands ? " " : "", ctl->command->operands ? ctl->command->operands : "");
  }
  for (const struct ctl_option *o = ctl->command->options; o && o->name; o++) {
    if (o->flags & CTL_REQUIRED && !ctl_has(ctl, o->name)) {
      return ctl_fail(ctl, CTL_USAGE, "--%s %s is missing: %s", o->name, o->value ? o->value : "", o->help);
    }
  }
  return CTL_OK;
}

enum ctl_exit ctl_parse(struct ctl *ctl, const struct ctl_command *commands, const struct ctl_option *global_options,
                        int argc, char **argv) {
  *ctl = (struct ctl){.commands = commands, .global_options = global_options};
  int i = 1;
  /* options of every command may stand in front of its name */
  for (; i < argc && !strncmp(argv[i], "--", 2) && argv[i][2]; i++) {
    enum ctl_exit rc = take_option(ctl, argc, argv, &i);
    if (rc) {
      return rc;
    }
  }
  ctl->command = find_command(ctl, argc - i, argv + i);
  if (!ctl->command) {
    if (i < argc) {
      ctl->operands[ctl->operand_count++] = argv[i];
    }
    for (int j = i; j < argc; j++) {
      ctl->help |= !strcmp(argv[j], "--help");
    }
    return CTL_OK;
  }
  enum ctl_exit rc = take_arguments(ctl, argc, argv, i + (int)word_count(ctl->command->name));
  return rc || ctl->help ? rc : check_arguments(ctl);
}

const char *ctl_get_nth(const struct ctl *ctl, const char *name, size_t n) {
  for (size_t i = 0; i < ctl->value_count; i++) {
    if (!strcmp(ctl->values[i].option->name, name) && !n--) {
      return ctl->values[i].value;
    }
  }
  return NULL;
}

const char *ctl_get(const struct ctl *ctl, const char *name) { return ctl_get_nth(ctl, name, 0); }

bool ctl_has(const struct ctl *ctl, const char *name) { return ctl_get(ctl, name) != NULL; }

const char *ctl_operand(const struct ctl *ctl, size_t n) { return n < ctl->operand_count ? ctl->operands[n] : NULL; }

bool ctl_number(const char *text, int64_t min, int64_t max, int64_t *out) {
  if (!*text || strspn(text, "0123456789") != strlen(text)) {
    return false;
  }
  errno = 0;
  long long value = strtoll(text, NULL, 10);
  if (errno || value < min || value > max) {
    return false;
  }
  *out = value;
  return true;
}

enum ctl_exit ctl_get_int(const struct ctl *ctl, const char *name, int64_t min, int64_t max, int64_t *out) {
  const char *text = ctl_get(ctl, name);
  if (text && !ctl_number(text, min, max, out)) {
    return ctl_fail(ctl, CTL_USAGE, "--%s: \"%s\" is not a whole number from %lld to %lld", name, text, (long long)min,
                    (long long)max);
  }
  return CTL_OK;
}

enum ctl_exit ctl_get_limits(const struct ctl *ctl, struct ctl_limits *limits) {
  enum ctl_exit rc = ctl_get_int(ctl, "max-bps", 0, INT64_MAX, &limits->max_bps);
  return rc ? rc : ctl_get_int(ctl, "max-allocations", 0, INT32_MAX, &limits->max_allocations);
}

/* Whether text is a duration; *out gets it in seconds. */
static bool parse_duration(const char *text, int64_t *out) {
  char digits[24];
  size_t len = strspn(text, "0123456789");
  int64_t unit = 1, value = 0;
  if (!len || len >= sizeof digits) {
    return false;
  }
  memcpy(digits, text, len);
  digits[len] = '\0';
  if (text[len]) {
    /* min as well, since the configuration files of the programs take it */
    static const struct {
      const char *name;
      int64_t seconds;
    } units[] = {{"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}};
    unit = 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
      if (!strcmp(text + len, units[i].name)) {
        unit = units[i].seconds;
      }
    }
    if (!unit) {
      return false;
    }
  }
  if (!ctl_number(digits, 0, 999999999999999 / unit, &value)) {
    return false;
  }
  *out = value * unit;
  return true;
}

enum ctl_exit ctl_get_duration(const struct ctl *ctl, const char *name, int64_t min, int64_t max, int64_t *out) {
  const char *text = ctl_get(ctl, name);
  int64_t value = 0;
  if (!text) {
    return CTL_OK;
  }
  if (!parse_duration(text, &value) || value < min || value > max) {
    return ctl_fail(ctl, CTL_USAGE,
                    "--%s: \"%s\" is not a duration from %lld to %lld seconds (90, 90s, 15m, 12h, "
                    "30d)",
                    name, text, (long long)min, (long long)max);
  }
  *out = value;
  return CTL_OK;
}

enum ctl_exit ctl_get_time(const struct ctl *ctl, const char *name, int64_t now, int64_t *out) {
  static const char *const formats[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%MZ",
                                        "%Y-%m-%dT%H:%M:%SZ"};
  const char *text = ctl_get(ctl, name);
  if (!text) {
    return CTL_OK;
  }
  int64_t value = 0;
  if (!strcmp(text, "now")) {
    *out = now;
    return CTL_OK;
  }
  if (*text == '+' && parse_duration(text + 1, &value)) {
    *out = now + value;
    return CTL_OK;
  }
  if (ctl_number(text, 0, 999999999999999, out)) {
    return CTL_OK;
  }
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
    struct tm date = {0};
    const char *end = strptime(text, formats[i], &date);
    if (end && !*end && calendar_seconds(&date, out)) {
      return CTL_OK;
    }
  }
  return ctl_fail(ctl, CTL_USAGE,
                  "--%s: \"%s\" is not a time: give UTC seconds, now, +12h, or "
                  "2026-01-31T12:00:00Z",
                  name, text);
}

enum ctl_exit ctl_get_end(const struct ctl *ctl, const char *name, int64_t now, int64_t *out) {
  enum ctl_exit rc = ctl_get_time(ctl, name, now, out);
  if (!rc && ctl_has(ctl, name) && !*out) {
    rc = ctl_fail(ctl, CTL_USAGE, "--%s: \"%s\" would be no end at all", name, ctl_get(ctl, name));
  }
  return rc;
}
