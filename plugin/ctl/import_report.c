/*
 * import_report.c - the list that turncredctl import coturn prints, and its exit code
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "import.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct ctl_column columns[] = {
    {"kind", "KIND", CTL_TEXT},     {"realm", "REALM", CTL_TEXT}, {"name", "NAME", CTL_TEXT},
    {"action", "ACTION", CTL_TEXT}, {"lost", "LOST", CTL_TEXT},   {"reason", "REASON", CTL_TEXT},
    {NULL, NULL, CTL_TEXT},
};

/* The octets of text as UTF-8: others become \xNN, since JSON has no other text. */
static json_t *clean(const char *text) {
  size_t len = strlen(text);
  json_t *value = json_string(text);
  if (value) {
    return value;
  }
  char *out = malloc(4 * len + 1);
  size_t at = 0;
  for (size_t i = 0; out && i < len; i++) {
    at += (size_t)sprintf(out + at, (unsigned char)text[i] < 0x80 ? "%c" : "\\x%02X", (unsigned char)text[i]);
  }
  value = out ? json_string(out) : NULL;
  free(out);
  return value;
}

__attribute__((format(printf, 5, 0))) static void
note(struct import *im, const struct import_row *row, const char *action, bool lost, const char *format, va_list args) {
  char reason[768];
  vsnprintf(reason, sizeof reason, format, args);
  for (char *c = reason; *c; c++) {
    *c = (char)(*c == '\n' ? ' ' : *c);
  }
  bool taken = !strcmp(action, "add") || !strcmp(action, "same") || !strcmp(action, "update");
  im->skipped += !strcmp(action, "skip");
  im->lost += lost;
  im->gained += taken && row->use == IMPORT_UNUSED;
  json_t *used = row->use == IMPORT_UNKNOWN ? json_null() : json_boolean(row->use == IMPORT_USED);
  json_array_append_new(im->report, json_pack("{s:s, s:o, s:o, s:s, s:o, s:b, s:o}", "kind", row->kind, "realm",
                                              clean(row->realm), "name", clean(row->name), "action", action, "used",
                                              used, "lost", lost, "reason", clean(reason)));
}

void import_note(struct import *im, const struct import_row *row, const char *action, const char *format, ...) {
  va_list args;
  va_start(args, format);
  note(im, row, action, !strcmp(action, "skip") && row->use != IMPORT_UNUSED, format, args);
  va_end(args);
}

void import_warn(struct import *im, const struct import_row *row, const char *format, ...) {
  va_list args;
  va_start(args, format);
  note(im, row, "note", true, format, args);
  va_end(args);
}

static const char *member(const json_t *row, const char *name) { return json_string_value(json_object_get(row, name)); }

/* Names each lost row on standard error: the table may have scrolled by, or gone to another program. */
static void name_lost(const struct ctl *ctl, const struct import *im) {
  size_t i;
  json_t *row;
  json_array_foreach(im->report, i, row) {
    if (json_is_true(json_object_get(row, "lost"))) {
      ctl_note(ctl, "lost: %s%s%s \"%s\": %s", member(row, "kind"), *member(row, "realm") ? " of realm " : "",
               member(row, "realm"), member(row, "name"), member(row, "reason"));
    }
  }
}

enum ctl_exit import_print(struct ctl *ctl, struct import *im) {
  name_lost(ctl, im);
  enum ctl_exit rc = ctl_print_list(ctl, json_incref(im->report), columns);
  if (!rc && !im->apply) {
    ctl_note(ctl, "nothing was written: look at the list, then give --apply");
  }
  if (!rc && im->gained) {
    ctl_note(ctl, "%lld rows that this coturn does not take %s taken over; --only-used leaves them out",
             (long long)im->gained, im->apply ? "were" : "would be");
  }
  if (!rc && im->lost) {
    rc = ctl_fail(ctl, CTL_LOST, "%lld of these work with coturn today and would not work afterwards; LOST says which",
                  (long long)im->lost);
  } else if (!rc && im->skipped) {
    rc = ctl_fail(ctl, CTL_REFUSED, "%lld rows %s taken over, which do not work in coturn either; REASON says why",
                  (long long)im->skipped, im->apply ? "were not" : "would not be");
  }
  return rc;
}
