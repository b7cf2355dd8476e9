/*
 * fail.c - one way to fail: an errno value and a sentence
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "fail.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int fail_with(int code, char *err, size_t cap, const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (cap > 0) {
    vsnprintf(err, cap, format, args);
  }
  va_end(args);
  return code ? code : EIO;
}

const char *program_user(char name[PROGRAM_USER_MAX]) {
  char room[2048];
  struct passwd entry, *found = NULL;
  uid_t uid = geteuid();
  if (getpwuid_r(uid, &entry, room, sizeof room, &found) || !found) {
    snprintf(name, PROGRAM_USER_MAX, "%lu", (unsigned long)uid);
  } else {
    snprintf(name, PROGRAM_USER_MAX, "%s", found->pw_name);
  }
  return name;
}

int fail_to_read(int code, char *err, size_t cap, const char *what, const char *path) {
  char user[PROGRAM_USER_MAX];
  const char *blank = *what ? " " : "";
  if (code == EACCES) {
    return fail_with(code, err, cap,
                     "%s%s%s: Permission denied: user %s, as which this program runs, must be able to read it", what,
                     blank, path, program_user(user));
  }
  return fail_with(code, err, cap, "%s%s%s: %s", what, blank, path, strerror(code ? code : EIO));
}
