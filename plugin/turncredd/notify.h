/*
 * notify.h - sd_notify: a datagram to $NOTIFY_SOCKET
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_NOTIFY_H
#define TURNCREDD_NOTIFY_H

#include <stdint.h>

/* "READY=1", "RELOADING=1\nMONOTONIC_USEC=...", "WATCHDOG=1"; nothing without a socket. */
void notify(const char *state);
/* RELOADING=1 with the time that systemd wants beside it. */
void notify_reloading(void);
/* Milliseconds between two WATCHDOG=1, 0: none wanted ($WATCHDOG_USEC, $WATCHDOG_PID). */
int64_t notify_watchdog_ms(void);

#endif
