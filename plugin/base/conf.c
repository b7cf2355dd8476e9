/*
 * conf.c - reads a configuration file by a table of settings
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "conf.h"

#include "ip.h"
#include "utf8.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libpq-fe.h>

struct parser {
  const struct conf *conf;
  void *file_values;              /* of the file itself */
  const struct setting *settings; /* of the file, or of the section that the line is in */
  void *values;                   /* where their values go */
  char section[CONF_NAME_MAX];    /* "": the line is in none */
  int section_line;               /* where the section began */
  int given[CONF_SETTINGS_MAX];   /* the line of each setting; 0: it was not given */
  const char *path;
  int line;
  conf_warn_fn warn;
  void *arg;
  char *err;
  size_t err_cap;
};

static int fail(struct parser *parser, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int fail(struct parser *parser, const char *format, ...) {
  int n = parser->line > 0 ? snprintf(parser->err, parser->err_cap, "%s:%d: ", parser->path, parser->line)
                           : snprintf(parser->err, parser->err_cap, "%s: ", parser->path);
  if (n < 0 || (size_t)n >= parser->err_cap) {
    return -1;
  }
  va_list args;
  va_start(args, format);
  vsnprintf(parser->err + n, parser->err_cap - (size_t)n, format, args);
  va_end(args);
  return -1;
}

/* Levenshtein distance of two short names. */
static size_t distance(const char *a, const char *b) {
  size_t row[64];
  size_t m = strlen(b);
  if (m + 1 > sizeof row / sizeof *row) {
    return SIZE_MAX;
  }
  for (size_t j = 0; j <= m; j++) {
    row[j] = j;
  }
  for (size_t i = 1; a[i - 1]; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= m; j++) {
      size_t above = row[j];
      size_t best = diagonal + (a[i - 1] != b[j - 1]);
      if (above + 1 < best) {
        best = above + 1;
      }
      if (row[j - 1] + 1 < best) {
        best = row[j - 1] + 1;
      }
      row[j] = best;
      diagonal = above;
    }
  }
  return row[m];
}

static const struct setting *setting_find(const struct setting *settings, const char *name) {
  for (const struct setting *s = settings; s->name; s++) {
    if (strcmp(s->name, name) == 0) {
      return s;
    }
  }
  return NULL;
}

/* The setting that was probably meant: few letters differ, or it begins with what was written. */
static const char *nearest(const struct setting *settings, const char *name) {
  const char *best = NULL;
  size_t least = 4;
  for (const struct setting *s = settings; s->name; s++) {
    size_t d = distance(name, s->name);
    if (d < least) {
      least = d;
      best = s->name;
    }
  }
  for (const struct setting *s = settings; s->name && !best && strlen(name) > 2; s++) {
    if (strncmp(s->name, name, strlen(name)) == 0) {
      best = s->name;
    }
  }
  return best;
}

static int parse_bool(struct parser *parser, const struct setting *s, const char *text, bool *out) {
  static const char *const yes[] = {"yes", "on", "true", "1"};
  static const char *const no[] = {"no", "off", "false", "0"};
  for (size_t i = 0; i < 4; i++) {
    if (strcasecmp(text, yes[i]) == 0) {
      *out = true;
      return 0;
    }
    if (strcasecmp(text, no[i]) == 0) {
      *out = false;
      return 0;
    }
  }
  return fail(parser, "%s is \"%s\": say yes or no", s->name, text);
}

static int parse_duration(struct parser *parser, const struct setting *s, const char *text, int64_t *out) {
  static const struct {
    const char *unit;
    int64_t ms;
  } units[] = {{"ms", 1},          {"s", CONF_SECOND}, {"", CONF_SECOND}, {"min", CONF_MINUTE},
               {"m", CONF_MINUTE}, {"h", CONF_HOUR},   {"d", CONF_DAY}};
  char *end;
  errno = 0;
  long long number = strtoll(text, &end, 10);
  if (end == text || errno || number < 0) {
    return fail(parser, "%s is \"%s\": say a number with its unit (500ms, 5s, 10min, 2h, 1d)", s->name, text);
  }
  while (*end == ' ') {
    end++;
  }
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (strcmp(end, units[i].unit) != 0) {
      continue;
    }
    if (number > INT64_MAX / units[i].ms) {
      break;
    }
    *out = (int64_t)number * units[i].ms;
    if (*out < s->min || *out > s->max) {
      return fail(parser, "%s is %s: it must lie between %lldms and %llds", s->name, text, (long long)s->min,
                  (long long)(s->max / CONF_SECOND));
    }
    return 0;
  }
  return fail(parser, "%s is \"%s\": the units are ms, s, m or min, h and d", s->name, text);
}

int conf_conninfo(const char *text, bool *password, char *err, size_t err_cap) {
  char *message = NULL;
  PQconninfoOption *options = PQconninfoParse(text, &message);
  /* libpq's message repeats parts of the string, which may be a password */
  PQfreemem(message);
  if (!options) {
    snprintf(
        err, err_cap, "%s",
        *text == '"' || *text == '\''
            ? "stands in quotes: write the connection string without them"
            : "is not a libpq connection string: write host=... dbname=... user=... or "
              "postgresql://user@host/dbname, quote values that hold blanks, and put comments on lines of their own");
    return -1;
  }
  *password = false;
  for (PQconninfoOption *o = options; o->keyword; o++) {
    *password |= strcmp(o->keyword, "password") == 0 && o->val && o->val[0];
  }
  PQconninfoFree(options);
  return 0;
}

static int check_conninfo(struct parser *parser, const struct setting *s, const char *text) {
  char why[300];
  bool password;
  if (conf_conninfo(text, &password, why, sizeof why)) {
    return fail(parser, "%s %s", s->name, why);
  }
  if (password && parser->warn) {
    char line[CONF_VALUE_MAX + 128];
    snprintf(line, sizeof line,
             "%s:%d: %s holds a password: better keep it in a passfile (passfile=...) or a "
             "service file, readable by the server's user alone",
             parser->path, parser->line, s->name);
    parser->warn(line, parser->arg);
  }
  return 0;
}

/* Sets addr to an address in its one spelling and a port. */
static int set_address(const char *address, uint16_t port, struct sockaddr_storage *addr) {
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)addr;
  struct sockaddr_in *v4 = (struct sockaddr_in *)addr;
  memset(addr, 0, sizeof *addr);
  if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return 0;
  }
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  return inet_pton(AF_INET6, address, &v6->sin6_addr) == 1 ? 0 : -1;
}

int conf_address(const char *text, struct sockaddr_storage *addr) {
  char host[IP_TEXT + 2], canonical[IP_TEXT], why[160];
  const char *colon = strrchr(text, ':');
  uint16_t port;
  if (!colon || colon == text || (size_t)(colon - text) >= sizeof host ||
      !ip_port(colon + 1, strlen(colon + 1), &port)) {
    return -1;
  }
  bool bracket = text[0] == '[' && colon[-1] == ']';
  size_t len = (size_t)(colon - text) - (bracket ? 2 : 0);
  memcpy(host, text + bracket, len);
  host[len] = '\0';
  if (bracket != (strchr(host, ':') != NULL) || ip_canonical(host, canonical, why, sizeof why)) {
    return -1;
  }
  return set_address(canonical, port, addr);
}

int conf_loopback(const char *text, struct sockaddr_storage *addr) {
  if (conf_address(text, addr)) {
    return -1;
  }
  if (addr->ss_family == AF_INET6) {
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)addr)->sin6_addr) ? 0 : -1;
  }
  const struct sockaddr_in *v4 = (const struct sockaddr_in *)addr;
  return (ntohl(v4->sin_addr.s_addr) >> 24) == IN_LOOPBACKNET ? 0 : -1;
}

static int parse_number(struct parser *parser, const struct setting *s, const char *text, int64_t *out) {
  char *end;
  errno = 0;
  long long number = strtoll(text, &end, 10);
  if (end == text || *end || errno || number < s->min || number > s->max) {
    return fail(parser, "%s is \"%s\": say a whole number from %lld to %lld", s->name, text, (long long)s->min,
                (long long)s->max);
  }
  *out = number;
  return 0;
}

/* The words stand in front of the help: "stop|continue: ...". */
static int check_word(struct parser *parser, const struct setting *s, const char *text) {
  size_t len = strlen(text);
  for (const char *word = s->help;;) {
    size_t n = strcspn(word, "|:");
    if (n == len && strncmp(word, text, n) == 0) {
      return 0;
    }
    if (word[n] != '|') {
      return fail(parser, "%s is \"%s\": say %.*s", s->name, text, (int)strcspn(s->help, ":"), s->help);
    }
    word += n + 1;
  }
}

static int parse_value(struct parser *parser, const struct setting *s, const char *text) {
  void *field = (char *)parser->values + s->offset;
  if (!*text) {
    return fail(parser, "%s has no value: give one, or take the line out", s->name);
  }
  if (s->type != SETTING_PATH && s->type != SETTING_KEK && !utf8_is(text, strlen(text))) {
    return fail(parser, "%s is not UTF-8: save the file in this encoding", s->name);
  }
  switch (s->type) {
  case SETTING_BOOL:
    return parse_bool(parser, s, text, field);
  case SETTING_DURATION:
    return parse_duration(parser, s, text, field);
  case SETTING_CONNINFO:
    if (check_conninfo(parser, s, text)) {
      return -1;
    }
    break;
  case SETTING_PATH:
    if (text[0] != '/') {
      return fail(parser, "%s is \"%s\": the path must be absolute", s->name, text);
    }
    break;
  case SETTING_KEK:
    if (text[0] != '/' &&
        (strncmp(text, "credential:", 11) != 0 || !text[11] || strchr(text + 11, '/') || text[11] == '.')) {
      return fail(parser, "%s is \"%s\": say an absolute path or credential:NAME", s->name, text);
    }
    break;
  case SETTING_LOOPBACK: {
    struct sockaddr_storage addr;
    if (conf_loopback(text, &addr)) {
      return fail(parser, "%s is \"%s\": say a loopback address and a port, 127.0.0.1:9641 or [::1]:9641", s->name,
                  text);
    }
    break;
  }
  case SETTING_ADDRESS: {
    struct sockaddr_storage addr;
    if (conf_address(text, &addr)) {
      return fail(parser, "%s is \"%s\": say an address and a port, 192.0.2.1:443 or [::]:443", s->name, text);
    }
    break;
  }
  case SETTING_NUMBER:
    return parse_number(parser, s, text, field);
  case SETTING_WORD:
    if (check_word(parser, s, text)) {
      return -1;
    }
    break;
  case SETTING_TEXT:
    break;
  }
  if (strlen(text) >= CONF_VALUE_MAX) {
    return fail(parser, "%s is longer than %d octets", s->name, CONF_VALUE_MAX - 1);
  }
  memcpy(field, text, strlen(text) + 1);
  return 0;
}

char *conf_behind_mark(char *line) { return strncmp(line, "\xef\xbb\xbf", 3) ? line : line + 3; }

static char *trim(char *text) {
  while (*text == ' ' || *text == '\t') {
    text++;
  }
  char *end = text + strlen(text);
  while (end > text && strchr(" \t\r\n", end[-1])) {
    *--end = '\0';
  }
  return text;
}

bool conf_is_name(const char *text) {
  return *text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")];
}

/* Refuses a setting that is in no table. */
static int fail_unknown(struct parser *parser, const char *name) {
  if (!conf_is_name(name)) {
    return fail(parser, "this line does not begin with a setting's name: %s lists them all", parser->conf->manual);
  }
  for (const struct conf_gone *g = parser->conf->gone; g && g->name && !*parser->section; g++) {
    size_t n = strlen(g->name);
    if (g->name[n - 1] == '*' ? !strncmp(name, g->name, n - 1) : !strcmp(name, g->name)) {
      return fail(parser, "%.64s is no setting any more: %s", name, g->remedy);
    }
  }
  const char *near = nearest(parser->settings, name);
  const char *elsewhere = *parser->section && setting_find(parser->conf->settings, name)
                              ? "; this one belongs in front of the first section"
                              : "";
  if (near && !*elsewhere) {
    return fail(parser, "unknown setting \"%.64s\": did you mean \"%s\"?", name, near);
  }
  return fail(parser, "unknown setting \"%.64s\": %s lists them all%s", name, parser->conf->manual, elsewhere);
}

static int set_defaults(struct parser *parser) {
  for (const struct setting *s = parser->settings; s->name; s++) {
    if (s->value && parse_value(parser, s, s->value)) {
      return -1;
    }
  }
  return 0;
}

/* Have all settings that must be given been given? */
static int check_required(struct parser *parser) {
  for (const struct setting *s = parser->settings; s->name; s++) {
    if (s->required && !parser->given[s - parser->settings]) {
      parser->line = parser->section_line; /* 0: of the file itself */
      return *parser->section ? fail(parser, "[%s %s]: %s is missing: %s", parser->conf->sections->kind,
                                     parser->section, s->name, s->help)
                              : fail(parser, "%s is missing: %s", s->name, s->help);
    }
  }
  return 0;
}

/* Begins a section. text: the line, from its bracket on. */
static int parse_section(struct parser *parser, char *text) {
  const struct conf_sections *sections = parser->conf->sections;
  size_t n = sections ? strlen(sections->kind) : 0;
  if (!sections) {
    return fail(parser, "this file has no sections: %s lists what it may have", parser->conf->manual);
  }
  char *name = text + 1, *end = strchr(text, ']');
  if (!end || end[1] || strncmp(name, sections->kind, n) != 0 || (name[n] != ' ' && name[n] != '\t')) {
    return fail(parser, "a section begins with [%s NAME]", sections->kind);
  }
  *end = '\0';
  name = trim(name + n);
  if (!*name || strlen(name) >= sizeof parser->section ||
      name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")]) {
    return fail(parser, "[%s NAME]: a name has letters, digits, dots, dashes and underscores, %d at most",
                sections->kind, CONF_NAME_MAX - 1);
  }
  int line = parser->line;
  if (check_required(parser)) {
    return -1;
  }
  parser->line = parser->section_line = line;
  parser->settings = sections->settings;
  memset(parser->given, 0, sizeof parser->given);
  memcpy(parser->section, name, strlen(name) + 1);
  parser->values = sections->begin(parser->file_values, name);
  if (!parser->values) {
    return fail(parser, "[%s %s]: there is a section of this name already, or there are more than %d", sections->kind,
                name, sections->max);
  }
  return set_defaults(parser);
}

static int parse_line(struct parser *parser, char *line) {
  char *text = trim(parser->line == 1 ? conf_behind_mark(line) : line);
  if (!*text || *text == '#') {
    return 0;
  }
  if (*text == '[') {
    return parse_section(parser, text);
  }
  char *equals = strchr(text, '=');
  if (!equals) {
    return fail(parser, "this line is not \"name = value\"");
  }
  *equals = '\0';
  const char *name = trim(text);
  const struct setting *s = setting_find(parser->settings, name);
  if (!s) {
    return fail_unknown(parser, name);
  }
  int *first = &parser->given[s - parser->settings];
  if (*first) {
    return fail(parser, "%s is given twice, first in line %d", s->name, *first);
  }
  *first = parser->line;
  return parse_value(parser, s, trim(equals + 1));
}

static int parse_file(struct parser *parser, FILE *file) {
  char line[2 * CONF_VALUE_MAX];
  int result = 0;
  while (!result && fgets(line, sizeof line, file)) {
    parser->line++;
    if (!strchr(line, '\n') && !feof(file)) {
      result = fail(parser, "the line is longer than %zu octets", sizeof line - 2);
    } else {
      result = parse_line(parser, line);
    }
  }
  explicit_bzero(line, sizeof line);
  if (result) {
    return -1;
  }
  parser->line = 0;
  if (ferror(file)) {
    return fail(parser, "cannot be read: %s", strerror(errno));
  }
  return check_required(parser);
}

int conf_read(const struct conf *conf, void *values, const char *path, conf_warn_fn warn, void *arg, char *err,
              size_t err_cap) {
  struct parser parser = {.conf = conf,
                          .file_values = values,
                          .settings = conf->settings,
                          .values = values,
                          .path = path,
                          .warn = warn,
                          .arg = arg,
                          .err = err,
                          .err_cap = err_cap};
  if (path[0] != '/') {
    return fail(&parser, "%s must be the absolute path of a file", conf->named_by);
  }
  if (set_defaults(&parser)) {
    return -1;
  }
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return fail(&parser, "cannot be opened: %s (%s names the file)", strerror(errno), conf->named_by);
  }
  struct stat st;
  if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
    close(fd);
    return fail(&parser, "is not a regular file");
  }
  FILE *file = fdopen(fd, "r");
  if (!file) {
    close(fd);
    return fail(&parser, "cannot be opened: %s", strerror(errno));
  }
  int result = parse_file(&parser, file);
  fclose(file);
  return result;
}

static bool setting_equal(const struct setting *s, const void *a, const void *b) {
  const char *x = (const char *)a + s->offset, *y = (const char *)b + s->offset;
  switch (s->type) {
  case SETTING_BOOL:
    return *(const bool *)x == *(const bool *)y;
  case SETTING_DURATION:
  case SETTING_NUMBER:
    return *(const int64_t *)(const void *)x == *(const int64_t *)(const void *)y;
  default:
    return strcmp(x, y) == 0;
  }
}

const struct setting *conf_difference(const struct setting *first, const void *a, const void *b) {
  for (const struct setting *s = first; s->name; s++) {
    if (!setting_equal(s, a, b)) {
      return s;
    }
  }
  return NULL;
}
