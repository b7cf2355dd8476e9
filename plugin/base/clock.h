/* clock.h - UTC seconds, and milliseconds that only go forward
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CLOCK_H
#define TURNCRED_CLOCK_H

#include <stdint.h>
#include <time.h>

/* UTC seconds; not time(), whose clock may be a tick behind. */
static inline int64_t clock_now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (int64_t)ts.tv_sec;
}

static inline int64_t clock_us(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static inline int64_t clock_ms(void) { return clock_us() / 1000; }

#endif
