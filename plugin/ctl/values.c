/*
 * values.c - addresses, names and lists of values on the command line, in their one spelling
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "values.h"

#include "base/ip_range.h"
#include "base/origin.h"
#include "base/turn_uri.h"
#include "base/user_name.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

enum ctl_exit ctl_get_address(const struct ctl *ctl, const char *name, char out[IP_TEXT]) {
  const char *text = ctl_get(ctl, name);
  char why[160];
  *out = '\0';
  if (text && *text && ip_canonical(text, out, why, sizeof why)) {
    return ctl_fail(ctl, CTL_USAGE, "--%s: \"%s\": %s", name, text, why);
  }
  return CTL_OK;
}

enum ctl_exit ctl_check_user(const struct ctl *ctl, const char *what, const char *name, size_t max, bool wire) {
  char why[200];
  return user_name_check(name, max, wire, why, sizeof why) ? ctl_fail(ctl, CTL_REFUSED, "%s: %s", what, why) : CTL_OK;
}

enum ctl_exit ctl_canonical(const struct ctl *ctl, const char *option, const char *text, char out[CTL_VALUE]) {
  char why[300] = "";
  int rc = 0;
  if (!strcmp(option, "allowed-peers") || !strcmp(option, "denied-peers")) {
    rc = ip_range_canonical(text, out, why, sizeof why);
  } else if (!*text) {
    *out = '\0';
  } else if (!strcmp(option, "uri")) {
    rc = turn_uri_canonical(text, out, why, sizeof why);
  } else if (!strcmp(option, "origin")) {
    rc = origin_canonical(text, out, why, sizeof why);
  } else if (!strcmp(option, "listen-address")) {
    rc = ip_canonical(text, out, why, sizeof why);
    if (!rc && ip_is_any(out)) {
      rc = snprintf(why, sizeof why, "no packet is sent to it: name each address of the server that the realm is for");
    }
  } else if ((size_t)snprintf(out, CTL_VALUE, "%s", text) >= CTL_VALUE) {
    rc = snprintf(why, sizeof why, "it is longer than %d octets", CTL_VALUE - 1);
  }
  return rc ? ctl_fail(ctl, CTL_USAGE, "--%s: \"%s\": %s", option, text, why) : CTL_OK;
}

/* Whether an option's value, or an operand, names a file. */
static bool is_path(const char *what) {
  return what && (strstr(what, "FILE") || strstr(what, "DIR") || strstr(what, "PATH") || strstr(what, "CONNINFO"));
}

enum ctl_exit ctl_need_utf8(const struct ctl *ctl) {
  for (size_t i = 0; i < ctl->value_count; i++) {
    const char *value = ctl->values[i].value;
    if (!is_path(ctl->values[i].option->value) && !utf8_is(value, strlen(value))) {
      return ctl_fail(ctl, CTL_USAGE, "--%s: the value is not UTF-8; use a terminal with a UTF-8 locale",
                      ctl->values[i].option->name);
    }
  }
  for (size_t i = 0; i < ctl->operand_count; i++) {
    if (!is_path(ctl->command->operands) && !utf8_is(ctl->operands[i], strlen(ctl->operands[i]))) {
      return ctl_fail(ctl, CTL_USAGE, "operand %zu is not UTF-8; use a terminal with a UTF-8 locale", i + 1);
    }
  }
  return CTL_OK;
}
