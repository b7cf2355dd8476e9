/*
 * notify.c - tells systemd about states of the daemon (sd_notify)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "notify.h"

#include "base/clock.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify(const char *state) {
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un addr = {.sun_family = AF_UNIX};
  if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof addr.sun_path) {
    return;
  }
  size_t n = strlen(path);
  memcpy(addr.sun_path, path, n);
  if (path[0] == '@') {
    addr.sun_path[0] = '\0'; /* an abstract socket */
  }
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return;
  }
  ssize_t done = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&addr,
                        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
  (void)done; /* systemd has gone; nobody else could be told */
  close(fd);
}

void notify_reloading(void) {
  char state[80];
  snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_us());
  notify(state);
}

int64_t notify_watchdog_ms(void) {
  const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
  if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid())) {
    return 0;
  }
  return strtoll(usec, NULL, 10) / 2000; /* twice in the time that systemd allows */
}
