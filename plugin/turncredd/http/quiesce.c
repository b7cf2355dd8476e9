/*
 * quiesce.c - the end of a listener whose socket two threads take out of libmicrohttpd's epoll set
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "quiesce.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

/* For libmicrohttpd, which finds this one before libc's */
__attribute__((visibility("default"))) int epoll_ctl(int set, int operation, int fd, struct epoll_event *event) {
  int before = errno, rc = (int)syscall(SYS_epoll_ctl, set, operation, fd, event);
  bool gone = rc && operation == EPOLL_CTL_DEL && errno == ENOENT;
  errno = gone ? before : errno;
  return gone ? 0 : rc;
}

int quiesce_daemon(struct MHD_Daemon *mhd) { return MHD_quiesce_daemon(mhd); }
