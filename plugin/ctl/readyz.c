/*
 * readyz.c - asks turncredd over HTTPS whether it is ready
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "readyz.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_LINE_MAX 128

/* Waits until fd is ready for events; ETIMEDOUT after the deadline (clock_ms()). */
static int await(int fd, short events, int64_t deadline) {
  int64_t left = deadline - clock_ms();
  struct pollfd pfd = {.fd = fd, .events = events};
  return left > 0 && poll(&pfd, 1, (int)left) > 0 ? 0 : ETIMEDOUT;
}

/* Reads the status code from the first line of the answer, such as "HTTP/1.1 200 OK". */
static int read_status(struct turn_transport *t, int64_t deadline, int *status) {
  char line[STATUS_LINE_MAX + 1] = "";
  size_t len = 0;
  while (!memchr(line, '\n', len)) {
    size_t n = 0;
    short events = 0;
    int err =
        len < STATUS_LINE_MAX ? turn_tls_read(t->tls, (uint8_t *)line + len, STATUS_LINE_MAX - len, &n, &events) : 0;
    if (err == EAGAIN) {
      err = await(t->fd, events, deadline);
    }
    if (err) {
      return err;
    }
    len += n;
    if (len == STATUS_LINE_MAX) {
      break;
    }
  }
  line[len] = '\0';
  if (strncmp(line, "HTTP/1.", 7) != 0 || !strchr(line, ' ')) {
    return EBADMSG;
  }
  *status = (int)strtol(strchr(line, ' '), NULL, 10);
  return *status >= 100 && *status <= 599 ? 0 : EBADMSG;
}

int readyz(const struct turn_address *address, const char *host, const char *ca_file, uint32_t timeout_ms,
           struct readyz *out, char *text, size_t cap) {
  struct turn_transport t = {.fd = -1};
  char request[512];
  int64_t deadline = clock_ms() + timeout_ms;
  struct turn_tls_options tls = {.name = host, .ca_file = ca_file};
  int err = turn_transport_open(&t, TURN_TLS, (const struct sockaddr *)&address->addr, address->len, NULL, 0, &tls,
                                deadline, text, cap);
  if (err) {
    return err;
  }
  out->certificate_until = turn_tls_not_after(t.tls);
  out->certificate_fault = turn_tls_strict_fault(t.tls);
  snprintf(request, sizeof request, "GET /readyz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host);
  err = turn_transport_send(&t, (const uint8_t *)request, strlen(request), deadline);
  if (!err) {
    err = read_status(&t, deadline, &out->status);
  }
  turn_transport_close(&t);
  if (err) {
    snprintf(text, cap, "no answer to GET /readyz: %s", strerror(err));
  }
  return err;
}
