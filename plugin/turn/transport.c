/*
 * transport.c - sends and receives messages over UDP, DTLS, TCP or TLS
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "transport.h"

#include "base/clock.h"
#include "stun.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Polls fd until deadline. 0, ETIMEDOUT or another errno value. */
static int wait_for(int fd, short events, int64_t deadline) {
  for (;;) {
    int64_t left = deadline - clock_ms();
    struct pollfd pfd = {.fd = fd, .events = events};
    int n = poll(&pfd, 1, left < 0 ? 0 : left > 60000 ? 60000 : (int)left);
    if (n > 0) {
      return 0;
    }
    if (n < 0 && errno != EINTR) {
      return errno;
    }
    if (clock_ms() >= deadline) {
      return ETIMEDOUT;
    }
  }
}

const char *turn_protocol_name(enum turn_protocol protocol) {
  static const char *const names[] = {"UDP", "TCP", "DTLS", "TLS"};
  return names[protocol];
}

bool turn_protocol_is_stream(enum turn_protocol protocol) { return protocol == TURN_TCP || protocol == TURN_TLS; }

static int open_socket(struct turn_transport *t, const struct sockaddr *remote, socklen_t remote_len,
                       const struct sockaddr *local, socklen_t local_len, int64_t deadline) {
  bool stream = turn_protocol_is_stream(t->protocol);
  int err = 0;
  t->fd = socket(remote->sa_family, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (t->fd < 0) {
    return errno;
  }
  memcpy(&t->remote, remote, remote_len);
  t->remote_len = remote_len;
  if (stream && !(t->stream = malloc(TURN_FRAME_MAX))) {
    err = ENOMEM;
  }
  if (!err && local && bind(t->fd, local, local_len)) {
    err = errno;
  }
  if (!err && connect(t->fd, remote, remote_len)) {
    err = errno;
    if (err == EINPROGRESS && !(err = wait_for(t->fd, POLLOUT, deadline))) {
      socklen_t len = sizeof err;
      if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &err, &len)) {
        err = errno;
      }
    }
  }
  t->local_len = sizeof t->local;
  if (!err && getsockname(t->fd, (struct sockaddr *)&t->local, &t->local_len)) {
    err = errno;
  }
  if (!err && stream) {
    int on = 1;
    setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  return err;
}

int turn_transport_open(struct turn_transport *t, enum turn_protocol protocol, const struct sockaddr *remote,
                        socklen_t remote_len, const struct sockaddr *local, socklen_t local_len,
                        const struct turn_tls_options *tls, int64_t deadline, char *text, size_t cap) {
  memset(t, 0, sizeof *t);
  t->protocol = protocol;
  int err = open_socket(t, remote, remote_len, local, local_len, deadline);
  if (err) {
    snprintf(text, cap, "%s", strerror(err));
  }
  if (!err && (protocol == TURN_TLS || protocol == TURN_DTLS)) {
    err = turn_tls_open(&t->tls, t->fd, protocol == TURN_DTLS, tls, deadline, text, cap);
  }
  if (err) {
    turn_transport_close(t);
  }
  return err;
}

/* Writes once. EAGAIN: the caller polls for *events. */
static int write_some(struct turn_transport *t, const uint8_t *data, size_t len, size_t *done, short *events) {
  if (t->tls) {
    return turn_tls_write(t->tls, data, len, done, events);
  }
  ssize_t n = send(t->fd, data, len, MSG_NOSIGNAL);
  *events = POLLOUT;
  if (n < 0) {
    return errno == EWOULDBLOCK ? EAGAIN : errno;
  }
  *done = (size_t)n;
  return 0;
}

static int read_some(struct turn_transport *t, uint8_t *data, size_t cap, size_t *done, short *events) {
  if (t->tls) {
    return turn_tls_read(t->tls, data, cap, done, events);
  }
  ssize_t n = recv(t->fd, data, cap, 0);
  *events = POLLIN;
  if (n < 0) {
    return errno == EWOULDBLOCK ? EAGAIN : errno;
  }
  *done = (size_t)n;
  return n || !turn_protocol_is_stream(t->protocol) ? 0 : ECONNRESET;
}

int turn_transport_send(struct turn_transport *t, const uint8_t *data, size_t len, int64_t deadline) {
  size_t sent = 0;
  do {
    size_t n = 0;
    short events = 0;
    int err = write_some(t, data + sent, len - sent, &n, &events);
    if (err == EAGAIN) {
      err = wait_for(t->fd, events, deadline);
    } else if (err == EINTR) {
      err = 0;
    }
    if (err) {
      return err;
    }
    sent += n;
  } while (sent < len);
  return 0;
}

/* Takes the frame at the front of the stream. EAGAIN: more octets are needed. EBADMSG: the stream
 * holds neither STUN nor ChannelData. */
static int take_frame(struct turn_transport *t, uint8_t *buf, size_t *len) {
  size_t size = stun_frame_size(t->stream, t->stream_len);
  if (size > TURN_FRAME_MAX) {
    return EBADMSG;
  }
  if (!size || t->stream_len < size) {
    return EAGAIN;
  }
  memcpy(buf, t->stream, size);
  *len = size;
  t->stream_len -= size;
  memmove(t->stream, t->stream + size, t->stream_len);
  return 0;
}

int turn_transport_receive(struct turn_transport *t, uint8_t *buf, size_t *len, int64_t deadline) {
  bool stream = turn_protocol_is_stream(t->protocol);
  for (;;) {
    size_t n = 0;
    short events = 0;
    int err = stream ? take_frame(t, buf, len) : EAGAIN;
    if (err != EAGAIN) {
      return err;
    }
    if (stream) {
      err = read_some(t, t->stream + t->stream_len, TURN_FRAME_MAX - t->stream_len, &n, &events);
    } else {
      err = read_some(t, buf, TURN_FRAME_MAX, &n, &events);
    }
    if (err == EAGAIN) {
      err = wait_for(t->fd, events, deadline);
    } else if (!err && !stream) {
      *len = n;
      return 0;
    } else if (err == EINTR) {
      err = 0;
    }
    if (err) {
      return err;
    }
    t->stream_len += n;
  }
}

void turn_transport_close(struct turn_transport *t) {
  turn_tls_close(t->tls);
  t->tls = NULL;
  if (t->fd >= 0) {
    close(t->fd);
  }
  t->fd = -1;
  free(t->stream);
  t->stream = NULL;
}
