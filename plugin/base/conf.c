/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "conf.h"

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
  void *values;
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

static const struct setting *setting_find(const struct conf *conf, const char *name) {
  for (const struct setting *s = conf->settings; s->name; s++) {
    if (strcmp(s->name, name) == 0) {
      return s;
    }
  }
  return NULL;
}

/* The setting that was probably meant: few letters differ, or it begins with what was written. */
static const char *nearest(const struct conf *conf, const char *name) {
  const char *best = NULL;
  size_t least = 4;
  for (const struct setting *s = conf->settings; s->name; s++) {
    size_t d = distance(name, s->name);
    if (d < least) {
      least = d;
      best = s->name;
    }
  }
  for (const struct setting *s = conf->settings; s->name && !best && strlen(name) > 2; s++) {
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

static int check_conninfo(struct parser *parser, const struct setting *s, const char *text) {
  char *message = NULL;
  PQconninfoOption *options = PQconninfoParse(text, &message);
  /* libpq's message repeats parts of the string, which may be a password */
  PQfreemem(message);
  if (!options) {
    return fail(parser,
                "%s is not a libpq connection string: write \"host=... dbname=... user=...\" or "
                "postgresql://user@host/dbname, and quote values that hold blanks",
                s->name);
  }
  for (PQconninfoOption *o = options; o->keyword; o++) {
    if (strcmp(o->keyword, "password") == 0 && o->val && o->val[0] && parser->warn) {
      char line[CONF_VALUE_MAX + 128];
      snprintf(line, sizeof line,
               "%s:%d: %s holds a password: better keep it in a passfile (passfile=...) or a "
               "service file, readable by the server's user alone",
               parser->path, parser->line, s->name);
      parser->warn(line, parser->arg);
    }
  }
  PQconninfoFree(options);
  return 0;
}

int conf_address(const char *text, struct sockaddr_storage *addr) {
  char host[INET6_ADDRSTRLEN + 2];
  const char *colon = strrchr(text, ':');
  if (!colon || colon == text || (size_t)(colon - text) >= sizeof host) {
    return -1;
  }
  char *end;
  unsigned long port = strtoul(colon + 1, &end, 10);
  if (colon[1] < '0' || colon[1] > '9' || *end || port == 0 || port > 65535) {
    return -1;
  }
  memset(addr, 0, sizeof *addr);
  size_t len = (size_t)(colon - text);
  if (text[0] == '[' && text[len - 1] == ']') {
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)addr;
    memcpy(host, text + 1, len - 2);
    host[len - 2] = '\0';
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 ? 0 : -1;
  }
  struct sockaddr_in *v4 = (struct sockaddr_in *)addr;
  memcpy(host, text, len);
  host[len] = '\0';
  v4->sin_family = AF_INET;
  v4->sin_port = htons((uint16_t)port);
  return inet_pton(AF_INET, host, &v4->sin_addr) == 1 ? 0 : -1;
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

static int parse_line(struct parser *parser, char *line, int given[]) {
  char *text = trim(line);
  if (!*text || *text == '#') {
    return 0;
  }
  char *equals = strchr(text, '=');
  if (!equals) {
    return fail(parser, "this line is not \"name = value\"");
  }
  *equals = '\0';
  const char *name = trim(text);
  const struct setting *s = setting_find(parser->conf, name);
  if (!s) {
    const char *near = nearest(parser->conf, name);
    if (near) {
      return fail(parser, "unknown setting \"%.64s\": did you mean \"%s\"?", name, near);
    }
    return fail(parser, "unknown setting \"%.64s\": %s lists them all", name, parser->conf->manual);
  }
  int *first = &given[s - parser->conf->settings];
  if (*first) {
    return fail(parser, "%s is given twice, first in line %d", s->name, *first);
  }
  *first = parser->line;
  return parse_value(parser, s, trim(equals + 1));
}

static int parse_file(struct parser *parser, FILE *file) {
  int given[CONF_SETTINGS_MAX] = {0};
  char line[2 * CONF_VALUE_MAX];
  int result = 0;
  while (!result && fgets(line, sizeof line, file)) {
    parser->line++;
    if (!strchr(line, '\n') && !feof(file)) {
      result = fail(parser, "the line is longer than %zu octets", sizeof line - 2);
    } else {
      result = parse_line(parser, line, given);
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
  for (const struct setting *s = parser->conf->settings; s->name; s++) {
    if (s->required && !given[s - parser->conf->settings]) {
      return fail(parser, "%s is missing: %s", s->name, s->help);
    }
  }
  return 0;
}

int conf_read(const struct conf *conf, void *values, const char *path, conf_warn_fn warn, void *arg, char *err,
              size_t err_cap) {
  struct parser parser = {conf, values, path, 0, warn, arg, err, err_cap};
  if (path[0] != '/') {
    return fail(&parser, "%s must be the absolute path of a file", conf->named_by);
  }
  for (const struct setting *s = conf->settings; s->name; s++) {
    if (s->value && parse_value(&parser, s, s->value)) {
      return -1;
    }
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
