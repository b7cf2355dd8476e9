/*
 * output.c - answers on standard output, as a table or as JSON; messages on standard error
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "ctl.h"

#include "base/calendar.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_MAX 1024

void ctl_time_text(int64_t seconds, char *out, size_t cap) {
  struct tm date;
  if (!calendar_date(seconds, &date) || !strftime(out, cap, "%Y-%m-%dT%H:%M:%SZ", &date)) {
    snprintf(out, cap, "%lld", (long long)seconds);
  }
}

void ctl_cell(const json_t *value, enum ctl_column_kind kind, char *out, size_t cap) {
  size_t at = 0, i;
  json_t *item;
  snprintf(out, cap, "-");
  switch (json_typeof(value)) {
  case JSON_STRING:
    if (json_string_length(value)) {
      snprintf(out, cap, "%s", json_string_value(value));
    }
    break;
  case JSON_INTEGER:
    if (kind == CTL_TIME && json_integer_value(value)) {
      ctl_time_text(json_integer_value(value), out, cap);
    } else if (kind != CTL_TIME) {
      snprintf(out, cap, "%lld%s", (long long)json_integer_value(value), kind == CTL_SECONDS ? " s" : "");
    }
    break;
  case JSON_REAL:
    snprintf(out, cap, "%.2f", json_real_value(value));
    break;
  case JSON_TRUE:
    snprintf(out, cap, "yes");
    break;
  case JSON_FALSE:
    snprintf(out, cap, "no");
    break;
  case JSON_ARRAY:
    json_array_foreach(value, i, item) {
      char one[256];
      ctl_cell(item, kind, one, sizeof one);
      if (at + strlen(one) + 2 < cap) {
        at += (size_t)snprintf(out + at, cap - at, "%s%s", i ? ", " : "", one);
      }
    }
    break;
  case JSON_OBJECT:
  case JSON_NULL:
    break;
  }
}

/* How many columns text takes on the screen: its code points, which is wrong only for East Asian
 * and combining characters. */
static int width(const char *text) {
  int n = 0;
  for (; *text; text++) {
    n += ((unsigned char)*text & 0xC0) != 0x80;
  }
  return n;
}

/* How many octets the control character at text has, of C0, DEL or C1; 0: it is another character. */
static size_t control(const char *text) {
  const unsigned char *c = (const unsigned char *)text;
  return *c < 0x20 || *c == 0x7F ? 1 : *c == 0xC2 && c[1] >= 0x80 && c[1] <= 0x9F ? 2 : 0;
}

/* Writes text without control characters, but for those in keep: text from the database or the network must not control
 * the terminal. */
static void put_clean(FILE *out, const char *text, const char *keep) {
  while (*text) {
    size_t n = strchr(keep, *text) ? 0 : control(text);
    putc(n ? '?' : *text, out);
    text += n ? n : 1;
  }
}

static void put_padded(const char *text, int to, bool last) {
  put_clean(stdout, text, "");
  for (int n = width(text); !last && n < to + 2; n++) {
    putchar(' ');
  }
}

enum ctl_exit ctl_written(const struct ctl *ctl) {
  if (fflush(stdout) || ferror(stdout)) {
    return ctl_fail(ctl, CTL_INTERNAL, "cannot write the answer to standard output");
  }
  return CTL_OK;
}

/* Releases value, and checks that all of the answer was written. */
static enum ctl_exit finish(const struct ctl *ctl, json_t *value) {
  json_decref(value);
  return ctl_written(ctl);
}

static enum ctl_exit print_json(const struct ctl *ctl, json_t *value) {
  json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
  putchar('\n');
  return finish(ctl, value);
}

static void cell_of(const json_t *row, const struct ctl_column *column, char *out, size_t cap) {
  const json_t *value = json_object_get(row, column->member);
  if (value) {
    ctl_cell(value, column->kind, out, cap);
  } else {
    snprintf(out, cap, "-");
  }
}

/* Would a spreadsheet take the text for a formula? A number with its sign, such as a telephone number, is none. */
static bool looks_like_formula(const char *text) {
  static const char *const begins[] = {"=", "@", "+", "-", "\uFF1D", "\uFF20", "\uFF0B", "\uFF0D"};
  for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
    if (!strncmp(text, begins[i], strlen(begins[i]))) {
      return !strchr("+-", *text) || text[1 + strspn(text + 1, "0123456789")] != '\0';
    }
  }
  return false;
}

/* A text of RFC 4180, without control characters: names of users come from outside. */
static void put_csv_text(const char *text) {
  fputs(looks_like_formula(text) ? "\"'" : "\"", stdout);
  for (size_t n; *text; text += n ? n : 1) {
    n = control(text);
    if (*text == '"') {
      putchar('"');
    }
    putchar(n ? '?' : *text);
  }
  putchar('"');
}

/* A field of RFC 4180. Numbers and times are as they are, without units. */
static void put_csv(const json_t *row, const struct ctl_column *column, bool last) {
  const json_t *value = json_object_get(row, column->member);
  if (json_is_string(value)) {
    put_csv_text(json_string_value(value));
  } else if (value && !json_is_null(value)) {
    char cell[CELL_MAX] = "";
    ctl_cell(value, column->kind == CTL_SECONDS ? CTL_TEXT : column->kind, cell, sizeof cell);
    fputs(cell, stdout);
  }
  fputs(last ? "\r\n" : ",", stdout);
}

static enum ctl_exit print_csv(const struct ctl *ctl, json_t *list, const struct ctl_column *columns) {
  size_t i;
  json_t *row;
  for (const struct ctl_column *c = columns; c->member; c++) {
    printf("%s%s", c->member, c[1].member ? "," : "\r\n");
  }
  json_array_foreach(list, i, row) {
    for (const struct ctl_column *c = columns; c->member; c++) {
      put_csv(row, c, !c[1].member);
    }
  }
  return finish(ctl, list);
}

enum ctl_exit ctl_print_list(const struct ctl *ctl, json_t *list, const struct ctl_column *columns) {
  if (!list) {
    return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  if (ctl->json) {
    return print_json(ctl, list);
  }
  if (ctl->csv) {
    return print_csv(ctl, list, columns);
  }
  size_t count = 0, i;
  while (columns[count].member) {
    count++;
  }
  int *widths = calloc(count ? count : 1, sizeof *widths);
  char *cell = malloc(CELL_MAX);
  json_t *row;
  if (!widths || !cell) {
    free(widths);
    free(cell);
    json_decref(list);
    return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  for (size_t c = 0; c < count; c++) {
    widths[c] = width(columns[c].title);
    json_array_foreach(list, i, row) {
      cell_of(row, &columns[c], cell, CELL_MAX);
      if (width(cell) > widths[c]) {
        widths[c] = width(cell);
      }
    }
  }
  for (size_t c = 0; c < count; c++) {
    put_padded(columns[c].title, widths[c], c + 1 == count);
  }
  putchar('\n');
  json_array_foreach(list, i, row) {
    for (size_t c = 0; c < count; c++) {
      cell_of(row, &columns[c], cell, CELL_MAX);
      put_padded(cell, widths[c], c + 1 == count);
    }
    putchar('\n');
  }
  free(widths);
  free(cell);
  return finish(ctl, list);
}

enum ctl_exit ctl_print_record(const struct ctl *ctl, json_t *record, const struct ctl_column *columns) {
  if (!record) {
    return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  if (ctl->json) {
    return print_json(ctl, record);
  }
  int widest = 0;
  for (const struct ctl_column *c = columns; c->member; c++) {
    if (width(c->title) > widest) {
      widest = width(c->title);
    }
  }
  for (const struct ctl_column *c = columns; c->member; c++) {
    char cell[CELL_MAX];
    if (!json_object_get(record, c->member)) {
      continue;
    }
    cell_of(record, c, cell, sizeof cell);
    put_padded(c->title, widest, false);
    put_clean(stdout, cell, "");
    putchar('\n');
  }
  return finish(ctl, record);
}

/* --- messages on standard error --- */

__attribute__((format(printf, 2, 0))) static void put_message(const struct ctl *ctl, const char *format, va_list args) {
  if (ctl->said) {
    vsnprintf(ctl->said->text, sizeof ctl->said->text, format, args);
    return;
  }
  char *text = NULL;
  fprintf(stderr, "turncredctl%s%s: ", ctl->command ? " " : "", ctl->command ? ctl->command->name : "");
  put_clean(stderr, vasprintf(&text, format, args) < 0 ? "out of memory" : text, "\n");
  fputc('\n', stderr);
  free(text);
}

enum ctl_exit ctl_fail(const struct ctl *ctl, enum ctl_exit code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  put_message(ctl, format, args);
  va_end(args);
  return code;
}

void ctl_note(const struct ctl *ctl, const char *format, ...) {
  va_list args;
  va_start(args, format);
  put_message(ctl, format, args);
  va_end(args);
}

enum ctl_exit ctl_core_error(const struct ctl *ctl, const char *what, enum turncred_err err) {
  bool internal = err == TURNCRED_NO_MEMORY || err == TURNCRED_CRYPTO;
  return ctl_fail(ctl, internal ? CTL_INTERNAL : CTL_REFUSED, "%s: %s: %s", what, turncred_err_name(err),
                  turncred_err_text(err));
}
