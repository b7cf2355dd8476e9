/*
 * auth_clock.c - the monotonic clock of the authentication module
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_private.h"

/* It stands still while the machine is suspended, as the timers of libevent do, which end the sessions. */
uint64_t auth_monotonic_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000 + (uint64_t)(ts.tv_nsec / 1000000);
}
