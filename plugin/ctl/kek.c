/*
 * kek.c - turncredctl kek generate: makes the file of a key encryption key, and its folder
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "ctl.h"

#include "base/kek.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Makes the folders above path that are missing: the folder that will hold the key with mode 0700,
 * since nobody else has business there, the folders above it with mode 0755, since other programs
 * keep their settings beside it (/etc/turncred). CTL_REFUSED if one cannot be made. */
static enum ctl_exit make_folders(const struct ctl *ctl, const char *path) {
  char folder[PATH_MAX];
  if (strlen(path) >= sizeof folder) {
    return ctl_fail(ctl, CTL_REFUSED, "PATH: longer than %zu octets", sizeof folder - 1);
  }
  const char *rest = path + strspn(path, "/");
  for (const char *slash = strchr(rest, '/'); slash; slash = strchr(rest, '/')) {
    size_t len = (size_t)(slash - path);
    rest = slash + strspn(slash, "/");
    mode_t mode = strchr(rest, '/') ? 0755 : 0700;
    snprintf(folder, sizeof folder, "%.*s", (int)len, path);
    if (!mkdir(folder, mode)) {
      if (chmod(folder, mode)) { /* whatever the umask is */
        return ctl_fail(ctl, CTL_REFUSED, "folder %s: %s", folder, strerror(errno));
      }
    } else if (errno != EEXIST) {
      return ctl_fail(ctl, CTL_REFUSED, "folder %s cannot be made: %s", folder, strerror(errno));
    }
  }
  return CTL_OK;
}

enum ctl_exit cmd_kek_generate(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"path", "path", CTL_TEXT}, {"kek_id", "kek id", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
  const char *path = ctl_operand(ctl, 0), *slash = strrchr(path, '/');
  const char *id = slash ? slash + 1 : path;
  char text[512];
  /* no folder is made for a name that kek_generate refuses */
  enum ctl_exit rc = kek_id_valid(id) ? make_folders(ctl, path) : CTL_OK;
  if (rc) {
    return rc;
  }
  if (kek_generate(path, text, sizeof text)) {
    return ctl_fail(ctl, CTL_REFUSED, "%s", text);
  }
  return ctl_print_record(ctl, json_pack("{s:s, s:s}", "path", path, "kek_id", id), columns);
}
