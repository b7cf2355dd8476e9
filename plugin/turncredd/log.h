/*
 * say.h - the daemon's log: lines on standard error
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Control characters are replaced, so that names from outside make no lines of their own. Under
 * systemd each line begins with its priority. Never hand it a secret.
 */
#ifndef TURNCREDD_SAY_H
#define TURNCREDD_SAY_H

enum say_level { SAY_ERROR = 3, SAY_WARNING = 4, SAY_INFO = 6, SAY_DEBUG = 7 };
void say(enum say_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
