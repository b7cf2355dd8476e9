/*
 * process1.c - a process that does not end by its own signals, as process 1 of a container (LD_PRELOAD); only for tests
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <signal.h>

__attribute__((visibility("default"))) int raise(int number) {
  (void)number;
  return 0;
}
