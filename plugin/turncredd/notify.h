/*
 * notify.h - tells systemd about states of the daemon (sd_notify)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_NOTIFY_H
#define TURNCREDD_NOTIFY_H

#include <stdint.h>

/* Sends a state such as "READY=1" as a datagram to $NOTIFY_SOCKET. Without that variable it does nothing. */
void notify(const char *state);
/* Sends RELOADING=1 with the time that systemd expects beside it. */
void notify_reloading(void);
/* Milliseconds from one WATCHDOG=1 to the next, as $WATCHDOG_USEC and $WATCHDOG_PID ask; 0: systemd expects none. */
int64_t notify_watchdog_ms(void);

#endif
