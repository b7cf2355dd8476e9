/*
 * check.c - turncredd --check: opens what a start opens, but no sockets
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "check.h"

#include "base/fail.h"
#include "base/journal.h"
#include "turncredd/http/certificates.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNIT_CREDENTIALS "/run/credentials/turncredd.service" /* where systemd puts those of the packaged unit */
#define UNIT_STATE "/var/lib/turncredd"                       /* StateDirectory= of the packaged unit */

int check_become(const char *user, char *err, size_t cap) {
  errno = 0;
  const struct passwd *entry = getpwnam(user);
  if (!entry) {
    fail_with(ENOENT, err, cap, "--user: there is no user %s", user);
    return -1;
  }
  if (entry->pw_uid != geteuid() &&
      (initgroups(entry->pw_name, entry->pw_gid) || setgid(entry->pw_gid) || setuid(entry->pw_uid))) {
    fail_with(errno, err, cap, "--user: becoming %s: %s; only root can", user, strerror(errno));
    return -1;
  }
  if (!getenv("CREDENTIALS_DIRECTORY") && access(UNIT_CREDENTIALS, X_OK) == 0) {
    setenv("CREDENTIALS_DIRECTORY", UNIT_CREDENTIALS, 1);
  }
  return 0;
}

/* The folder of a file that the program makes. */
static int check_folder_of(const char *path, const char *what, char *err, size_t cap) {
  char folder[CONF_VALUE_MAX], user[PROGRAM_USER_MAX];
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  slash[slash == folder] = '\0'; /* the settings take absolute paths alone */
  if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0 ||
      (errno == ENOENT && strcmp(folder, UNIT_STATE) == 0)) {
    return 0;
  }
  return fail_with(errno, err, cap, "%s: folder %s: %s: user %s, as which this program runs, must be able to write it",
                   what, folder, strerror(errno), program_user(user));
}

static int check_readable(const char *path, const char *what, char *err, size_t cap) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return fail_to_read(errno, err, cap, what, path);
  }
  close(fd);
  return 0;
}

int check_files(const struct settings *s, char *err, size_t cap) {
  struct certificates certificates;
  int rc = certificates_read(&certificates, s, err, cap);
  certificates_clear(&certificates);
  if (!rc && access(s->state_dir, F_OK) && errno == ENOENT && strcmp(s->state_dir, UNIT_STATE) == 0) {
    fprintf(stderr,
            "turncredd: state_dir " UNIT_STATE " does not exist yet: the packaged unit makes it at its start\n");
  } else if (!rc) {
    rc = journal_check(s->state_dir, "state_dir", err, cap);
  }
  if (!rc && *s->store.snapshot_file) {
    rc = check_folder_of(s->store.snapshot_file, "snapshot_file", err, cap);
  }
  for (size_t i = 0; !rc && i < s->issuer_count; i++) {
    if (*s->issuers[i].jwks_ca) {
      rc = check_readable(s->issuers[i].jwks_ca, "jwks_ca", err, cap);
    }
  }
  return rc ? -1 : 0;
}
