/*
 * dumpable.c - LD_PRELOAD: a program stays dumpable, so that its memory can be read by root without CAP_SYS_PTRACE,
 * which containers lack
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) int prctl(int option, ...) {
  unsigned long words[4];
  va_list list;
  if (option == PR_SET_DUMPABLE) {
    return 0;
  }
  va_start(list, option);
  for (int i = 0; i < 4; i++) {
    words[i] = va_arg(list, unsigned long);
  }
  va_end(list);
  return (int)syscall(SYS_prctl, option, words[0], words[1], words[2], words[3]);
}
