/*
 * log.h - the log of the daemon: lines on standard error
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_LOG_H
#define TURNCREDD_LOG_H

#include <syslog.h>

/* Writes one line of at most 1200 octets. Control characters become "?", so that a name from outside
 * cannot make a line of its own. Under systemd the line begins with its priority. The caller never
 * hands it a secret. priority: LOG_ERR, LOG_WARNING or LOG_INFO. */
void log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
