/*
 * accept.c - what happens to a connection for which there is no descriptor
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "accept.h"

#include "base/clock.h"
#include "turncredd/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOG_EVERY_MS 60000
#define PAUSE_MS 10 /* of a thread that finds the reserve taken, too */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int reserve = -1;
static int64_t logged_ms;

static int take_reserve(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

void accept_init(void) { reserve = take_reserve(); }

/* Closes the connection that has waited longest, by the descriptor in reserve. False: there is none. */
static bool refuse(int listening) {
  pthread_mutex_lock(&lock);
  bool had = reserve >= 0;
  if (had) {
    close(reserve);
    int fd = (int)syscall(SYS_accept4, listening, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
      close(fd);
    }
  }
  reserve = take_reserve();
  int64_t now = clock_ms();
  bool say = !logged_ms || now - logged_ms > LOG_EVERY_MS;
  logged_ms = say ? now : logged_ms;
  pthread_mutex_unlock(&lock);
  if (say) {
    log_line(LOG_ERR, "no descriptor is left (LimitNOFILE= of the unit, ulimit -n): connections are refused");
  }
  return had;
}

/* For libmicrohttpd, which finds this one before libc's. */
__attribute__((visibility("default"))) int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags) {
  int accepted = (int)syscall(SYS_accept4, fd, address, len, flags);
  if (accepted < 0 && (errno == EMFILE || errno == ENFILE)) {
    if (!refuse(fd)) {
      poll(NULL, 0, PAUSE_MS);
    }
    errno = ECONNABORTED; /* as if the client had gone: there may be others */
  }
  return accepted;
}
