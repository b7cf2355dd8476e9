/*
 * kek.c - turncredctl kek generate: makes the file of a key encryption key
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "ctl.h"

#include "base/kek.h"

#include <stdio.h>
#include <string.h>

enum ctl_exit cmd_kek_generate(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"path", "path", CTL_TEXT}, {"kek_id", "kek id", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
  const char *path = ctl_operand(ctl, 0), *slash = strrchr(path, '/');
  const char *id = slash ? slash + 1 : path;
  char text[512];
  if (kek_generate(path, text, sizeof text))
    return ctl_fail(ctl, CTL_REFUSED, "%s", text);
  return ctl_print_record(ctl, json_pack("{s:s, s:s}", "path", path, "kek_id", id), columns);
}
