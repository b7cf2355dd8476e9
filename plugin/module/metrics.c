/*
 * metrics.c - a Prometheus endpoint on a loopback address, for hosts that have none
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A thread of its own answers GET /metrics and nothing else, one connection at a time, each within
 * two seconds.
 */
#include "config.h"

#include "base/clock.h"
#include "module.h"
#include "module_settings.h"
#include "usage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIMIT_MS 2000
#define RETRY_MS 200
#define LISTEN_AGAIN_MS 5000 /* while the address is taken */
#define REQUEST_MAX 2048
#define RESPONSE_FIRST (64 * 1024) /* octets, to begin with: the response grows with the number of realms */

struct metrics {
  struct module *module;
  pthread_t thread;
  const char *address; /* of the settings */
  int listener;        /* -1: the address cannot be had yet */
  int wake[2];         /* closing the write end ends the thread */
};

struct text {
  char *data; /* NULL: out of memory */
  size_t len, cap;
  const char *last_name; /* HELP and TYPE are written once, before the first line of a name */
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *text, const char *format, ...) {
  while (text->data) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text->data + text->len, text->cap - text->len, format, args);
    va_end(args);
    if (n < 0) {
      return;
    }
    if ((size_t)n < text->cap - text->len) {
      text->len += (size_t)n;
      return;
    }
    text->cap = 2 * text->cap + (size_t)n;
    char *grown = realloc(text->data, text->cap);
    if (!grown) {
      free(text->data);
    }
    text->data = grown;
  }
}

/* Counters of the ABI have no prefix in their names; in Prometheus they get one, and the suffix
 * "_total". */
static void add_counter(const struct coturn_auth_counter *counter, uint64_t value, void *arg) {
  struct text *text = arg;
  char name[128];
  snprintf(name, sizeof name, "turncred_%s%s", counter->name, counter->is_gauge ? "" : "_total");
  if (!text->last_name || strcmp(text->last_name, counter->name) != 0) {
    add(text, "# HELP %s %s\n# TYPE %s %s\n", name, counter->help, name, counter->is_gauge ? "gauge" : "counter");
  }
  text->last_name = counter->name;
  if (counter->label) {
    add(text, "%s{%s=\"%s\"} %" PRIu64 "\n", name, counter->label, counter->label_value, value);
  } else {
    add(text, "%s %" PRIu64 "\n", name, value);
  }
}

struct realm_line {
  struct text *text;
  const char *name;
  size_t offset; /* of the number in struct usage_realm */
};

/* A realm's name as the value of a label. */
static void label_of(const char *name, char out[2 * TURNCRED_REALM_MAX + 1]) {
  for (; *name; name++) {
    if (*name == '"' || *name == '\\') {
      *out++ = '\\';
    }
    *out++ = *name;
  }
  *out = '\0';
}

static void add_realm(const struct usage_realm *realm, void *arg) {
  const struct realm_line *line = arg;
  char label[2 * TURNCRED_REALM_MAX + 1];
  const atomic_uint_fast64_t *value = (const void *)((const char *)realm + line->offset);
  label_of(realm->name, label);
  add(line->text, "%s{realm=\"%s\"} %" PRIuFAST64 "\n", line->name, label, atomic_load(value));
}

/* Sessions and octets by realm, of the realms of which they are recorded. */
static void add_realms(struct text *text, struct usage *usage) {
  static const struct {
    const char *name, *type, *help;
    size_t offset;
  } rows[] = {
      {"turncred_realm_live_sessions", "gauge", "Allocations that live", offsetof(struct usage_realm, live)},
      {"turncred_realm_sessions_total", "counter", "Allocations that have ended",
       offsetof(struct usage_realm, sessions)},
      {"turncred_realm_received_octets_total", "counter", "Octets from clients",
       offsetof(struct usage_realm, received_octets)},
      {"turncred_realm_sent_octets_total", "counter", "Octets to clients", offsetof(struct usage_realm, sent_octets)},
  };
  for (size_t i = 0; usage && i < sizeof rows / sizeof *rows; i++) {
    struct realm_line line = {text, rows[i].name, rows[i].offset};
    add(text, "# HELP %s %s\n# TYPE %s %s\n", rows[i].name, rows[i].help, rows[i].name, rows[i].type);
    usage_each_realm(usage, add_realm, &line);
  }
}

/* Reads a request up to its blank line. 0; -1: it takes too long, is too large, or the module stops. */
static int read_request(struct metrics *metrics, int fd, char *request) {
  int64_t end = clock_ms() + LIMIT_MS;
  size_t len = 0;
  while (len < REQUEST_MAX - 1) {
    int64_t now = clock_ms();
    struct pollfd polled[] = {{fd, POLLIN, 0}, {metrics->wake[0], POLLIN, 0}};
    if (now >= end || poll(polled, 2, (int)(end - now)) <= 0 || polled[1].revents) {
      return -1;
    }
    ssize_t n = recv(fd, request + len, REQUEST_MAX - 1 - len, 0);
    if (n <= 0) {
      return -1;
    }
    len += (size_t)n;
    request[len] = '\0';
    if (strstr(request, "\r\n\r\n") || strstr(request, "\n\n")) {
      return 0;
    }
  }
  return -1;
}

static void send_all(int fd, const char *data, size_t len) {
  while (len > 0) {
    ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
    if (n <= 0) {
      return; /* SO_SNDTIMEO bounds the wait */
    }
    data += n;
    len -= (size_t)n;
  }
}

static void answer(struct metrics *metrics, int fd) {
  char request[REQUEST_MAX], head[256];
  struct timeval limit = {LIMIT_MS / 1000, 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (read_request(metrics, fd, request)) {
    return;
  }
  if (strncmp(request, "GET /metrics ", 13) != 0 && strncmp(request, "GET /metrics?", 13) != 0) {
    static const char missing[] = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 27\r\n"
                                  "Connection: close\r\n\r\nonly GET /metrics is here.\n";
    send_all(fd, missing, sizeof missing - 1);
    return;
  }
  struct text text = {malloc(RESPONSE_FIRST), 0, RESPONSE_FIRST, NULL};
  counters_refresh(metrics->module);
  metrics->module->host->visit_counters(add_counter, &text);
  add_realms(&text, metrics->module->usage);
  if (!text.data) {
    return;
  }
  int n = snprintf(head, sizeof head,
                   "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                   "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                   text.len);
  send_all(fd, head, (size_t)n);
  send_all(fd, text.data, text.len);
  free(text.data);
}

static int open_listener(const char *address);

/* Opens the address as soon as it can be had. False: the module stops. */
static bool wait_for_address(struct metrics *metrics) {
  while (metrics->listener < 0) {
    struct pollfd wake = {metrics->wake[0], POLLIN, 0};
    if (poll(&wake, 1, LISTEN_AGAIN_MS) > 0) {
      return false;
    }
    metrics->listener = open_listener(metrics->address);
    if (metrics->listener >= 0) {
      module_log(metrics->module, COTURN_AUTH_LOG_INFO, "prometheus = %s: metrics are served now", metrics->address);
    }
  }
  return true;
}

static void *run(void *arg) {
  struct metrics *metrics = arg;
  while (wait_for_address(metrics)) {
    struct pollfd polled[] = {{metrics->listener, POLLIN, 0}, {metrics->wake[0], POLLIN, 0}};
    if (poll(polled, 2, -1) < 0 && errno != EINTR) {
      break;
    }
    if (polled[1].revents) {
      break;
    }
    if (!(polled[0].revents & POLLIN)) {
      continue;
    }
    int fd = accept4(metrics->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
      /* no descriptor is left and the connection waits on: a pause, or the loop would spin */
      if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        poll(polled + 1, 1, RETRY_MS);
      }
      continue;
    }
    answer(metrics, fd);
    close(fd);
  }
  return NULL;
}

static int open_listener(const char *address) {
  struct sockaddr_storage addr;
  int one = 1;
  if (conf_loopback(address, &addr)) {
    errno = EINVAL;
    return -1;
  }
  int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    return -1;
  }
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  socklen_t len = addr.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  if (bind(fd, (struct sockaddr *)&addr, len) || listen(fd, 8)) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

struct metrics *metrics_start(struct module *module, const char *address, char *err, size_t err_cap) {
  struct metrics *metrics = calloc(1, sizeof *metrics);
  if (!metrics) {
    snprintf(err, err_cap, "out of memory");
    return NULL;
  }
  metrics->module = module;
  metrics->address = address;
  metrics->listener = open_listener(address);
  if (metrics->listener < 0) { /* a TURN server without metrics is better than none */
    module_log(module, COTURN_AUTH_LOG_WARNING,
               "prometheus = %s: %s; the server goes on without metrics, and tries again every %d s: find out who has "
               "the port (ss -ltnp), or choose another",
               address, strerror(errno), LISTEN_AGAIN_MS / 1000);
  }
  if (pipe2(metrics->wake, O_CLOEXEC) == 0) {
    if (pthread_create(&metrics->thread, NULL, run, metrics) == 0) {
      return metrics;
    }
    close(metrics->wake[0]);
    close(metrics->wake[1]);
  }
  snprintf(err, err_cap, "no thread: %s", strerror(errno));
  if (metrics->listener >= 0) {
    close(metrics->listener);
  }
  free(metrics);
  return NULL;
}

void metrics_stop(struct metrics *metrics) {
  if (!metrics) {
    return;
  }
  close(metrics->wake[1]);
  pthread_join(metrics->thread, NULL);
  close(metrics->wake[0]);
  if (metrics->listener >= 0) {
    close(metrics->listener);
  }
  free(metrics);
}
