/*
 * check.h - turncredd --check: opens what a start opens, but no sockets
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_CHECK_H
#define TURNCREDD_CHECK_H

#include "reloadable.h"

/* Goes on as this user, as the service does, with systemd's credentials of the packaged unit if it runs. 0, or -1 with
 * a sentence in err. */
int check_become(const char *user, char *err, size_t cap);
/* Settings, key encryption keys, JWKS and trusted authorities have been read: looks at the other files. 0, or -1 with a
 * sentence in err. */
int check_files(const struct settings *settings, char *err, size_t cap);

#endif
