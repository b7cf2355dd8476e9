/*
 * server.c - the HTTPS listener, and the monitor listener
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "server.h"

#include "base/clock.h"
#include "cors.h"
#include "turncredd/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEM_MAX 262144 /* octets of a certificate or key file */

enum phase { PHASE_ARRIVING, PHASE_ANSWERING, PHASE_IDLE };

struct connection {
  struct connection *next, **at;
  struct generation *generation;
  int fd;
  enum phase phase;
  int64_t since_ms;
};

/* A libmicrohttpd daemon with the certificates of one reload. */
struct generation {
  struct generation *next;
  struct server *server;
  struct MHD_Daemon *mhd;
  bool monitor;
  atomic_bool closing; /* it has been replaced, or the server stops */
  char *certificate, *key, *client_ca;
  struct connection *connections; /* under the server's lock */
  char message[300];              /* what libmicrohttpd said while it started */
};

struct server {
  struct daemon *daemon;
  const struct route *routes;
  int https_fd, monitor_fd;
  struct generation *https, *monitor, *old;
  pthread_mutex_t lock;
};

/* --- connections -------------------------------------------------------------------------- */

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code) {
  struct generation *g = cls;
  struct connection *c = *context;
  pthread_mutex_lock(&g->server->lock);
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    if ((c = calloc(1, sizeof *c)) && info) {
      c->generation = g;
      c->fd = info->connect_fd;
      c->since_ms = clock_ms();
      c->next = g->connections;
      c->at = &g->connections;
      if (c->next) {
        c->next->at = &c->next;
      }
      g->connections = c;
    }
    *context = c;
  } else if (c) {
    *c->at = c->next;
    if (c->next) {
      c->next->at = c->at;
    }
    free(c);
    *context = NULL;
  }
  pthread_mutex_unlock(&g->server->lock);
}

static void set_phase(struct generation *g, struct MHD_Connection *mhd, enum phase phase) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  struct connection *c = info ? info->socket_context : NULL;
  pthread_mutex_lock(&g->server->lock);
  if (c) {
    c->phase = phase;
    c->since_ms = clock_ms();
  }
  pthread_mutex_unlock(&g->server->lock);
}

/* --- requests ----------------------------------------------------------------------------- */

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *mhd) {
  struct generation *g = cls;
  struct request *r = calloc(1, sizeof *r);
  set_phase(g, mhd, PHASE_ARRIVING);
  if (!r) {
    return NULL;
  }
  r->daemon = g->server->daemon;
  r->connection = mhd;
  r->monitor = g->monitor;
  r->began_ms = (uint64_t)clock_ms();
  r->reloadable = reloadable_get(&r->daemon->reloadable);
  r->directory = delivery_directory(r->daemon->delivery);
  r->bad_uri = strstr(uri, "%00") != NULL;
  return r;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code) {
  struct generation *g = cls;
  struct request *r = *context;
  (void)code;
  set_phase(g, mhd, PHASE_IDLE);
  if (!r) {
    return;
  }
  if (r->work) {
    r->work_free(r->work);
  }
  if (r->body) {
    turncred_cleanse(r->body, r->body_len);
    free(r->body);
  }
  if (r->answer) {
    turncred_cleanse(r->answer, r->answer_len);
    free(r->answer);
  }
  directory_unref(r->directory);
  reloadable_unref(r->reloadable);
  free(r);
  *context = NULL;
}

static void free_text(void *text) {
  turncred_cleanse(text, strlen(text));
  free(text);
}

static enum MHD_Result queue(const struct generation *g, struct request *r) {
  char number[24];
  if (!r->answer) {
    r->status = 500;
    r->answer = strdup("");
  }
  struct MHD_Response *response =
      r->answer ? MHD_create_response_from_buffer_with_free_callback_cls(r->answer_len, r->answer, free_text, r->answer)
                : NULL;
  if (!response) {
    return MHD_NO;
  }
  r->answer = NULL;
  if (r->content_type) {
    MHD_add_response_header(response, "Content-Type", r->content_type);
  }
  MHD_add_response_header(response, "Cache-Control", "no-store");
  MHD_add_response_header(response, "Pragma", "no-cache");
  MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
  if (*r->www_authenticate) {
    MHD_add_response_header(response, "WWW-Authenticate", r->www_authenticate);
  }
  if (*r->allow) {
    MHD_add_response_header(response, "Allow", r->allow);
  }
  if (r->retry_after) {
    snprintf(number, sizeof number, "%lld", (long long)r->retry_after);
    MHD_add_response_header(response, "Retry-After", number);
  }
  if (atomic_load(&g->closing)) {
    MHD_add_response_header(response, "Connection", "close");
  }
  cors_headers(r, response);
  if (r->status >= 100 && r->status < 600) {
    metric_count(&r->daemon->metrics.answers[r->status / 100]);
  }
  enum MHD_Result result = MHD_queue_response(r->connection, r->status, response);
  MHD_destroy_response(response);
  return result;
}

/* Called when the header has arrived. Prepares an answer if the request is refused; finds its route otherwise. */
static void begin(struct generation *g, struct request *r, const char *path) {
  const char *length = request_header(r, "Content-Length");
  if (r->bad_uri) {
    request_error(r, 400, "invalid_request", "the path holds NUL");
  } else if (!cors_check(r)) {
    return;
  } else if (length && strtoll(length, NULL, 10) > r->reloadable->settings.body_octets) {
    request_error(r, 413, "too_large", "the body may have at most %lld octets",
                  (long long)r->reloadable->settings.body_octets);
  } else {
    route_find(g->server->routes, r, path);
  }
}

static void take_body(struct request *r, const char *data, size_t size) {
  size_t max = (size_t)r->reloadable->settings.body_octets;
  char *more = r->too_large || r->body_len + size > max ? NULL : malloc(r->body_len + size + 1);
  if (!more) {
    r->too_large = true;
    return;
  }
  if (r->body) {
    memcpy(more, r->body, r->body_len);
    turncred_cleanse(r->body, r->body_len);
    free(r->body);
  }
  memcpy(more + r->body_len, data, size);
  r->body = more;
  r->body_len += size;
  more[r->body_len] = '\0';
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                  const char *version, const char *data, size_t *data_size, void **context) {
  struct generation *g = cls;
  struct request *r = *context;
  (void)version;
  if (!r) {
    return MHD_NO; /* out of memory */
  }
  if (!r->method) {
    r->method = method;
    begin(g, r, url);
    return r->status ? queue(g, r) : MHD_YES;
  }
  if (*data_size) {
    take_body(r, data, *data_size);
    *data_size = 0;
    return MHD_YES;
  }
  if (!r->handled) {
    r->handled = true;
    set_phase(g, mhd, PHASE_ANSWERING);
    if (r->too_large) {
      request_error(r, 413, "too_large", "the body may have at most %lld octets",
                    (long long)r->reloadable->settings.body_octets);
    } else {
      r->route->run(r);
    }
    if (r->suspended) {
      return MHD_YES;
    }
  }
  return queue(g, r);
}

/* --- generations -------------------------------------------------------------------------- */

static void on_message(void *cls, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static void on_message(void *cls, const char *format, va_list args) {
  struct generation *g = cls;
  if (!g->mhd) { /* later messages tell of clients that break off */
    vsnprintf(g->message, sizeof g->message, format, args);
  }
  g->message[strcspn(g->message, "\n")] = '\0';
}

static char *read_pem(const char *path, const char *what, char *err, size_t cap) {
  FILE *file = fopen(path, "re");
  char *text = file ? calloc(1, PEM_MAX + 1) : NULL;
  size_t n = text ? fread(text, 1, PEM_MAX, file) : 0;
  if (file) {
    fclose(file);
  }
  if (n && n < PEM_MAX) {
    return text;
  }
  snprintf(err, cap, "%s: %s cannot be read, or is empty: %s", what, path, strerror(errno));
  free(text);
  return NULL;
}

static void generation_free(struct generation *g) {
  if (!g) {
    return;
  }
  if (g->mhd) {
    MHD_stop_daemon(g->mhd);
  }
  if (g->key) {
    turncred_cleanse(g->key, strlen(g->key));
    free(g->key);
  }
  free(g->certificate);
  free(g->client_ca);
  free(g);
}

static struct generation *generation_start(struct server *server, const struct reloadable *reloadable, bool monitor,
                                           char *err, size_t cap) {
  const struct settings *s = &reloadable->settings;
  struct generation *g = calloc(1, sizeof *g);
  struct MHD_OptionItem options[12];
  size_t n = 0;
  if (!g) {
    snprintf(err, cap, "out of memory");
    return NULL;
  }
  g->server = server;
  g->monitor = monitor;
  atomic_init(&g->closing, false);
  if (!monitor && (!(g->certificate = read_pem(s->tls_certificate, "tls_certificate", err, cap)) ||
                   !(g->key = read_pem(s->tls_key, "tls_key", err, cap)) ||
                   (*s->tls_client_ca && !(g->client_ca = read_pem(s->tls_client_ca, "tls_client_ca", err, cap))))) {
    generation_free(g);
    return NULL;
  }
  int fd = dup(monitor ? server->monitor_fd : server->https_fd);
  int64_t idle = s->idle_timeout > s->request_timeout ? s->idle_timeout : s->request_timeout;
  if (!monitor) {
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, g->certificate};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, g->key};
    options[n++] =
        (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
                                (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)s->threads, NULL};
    if (g->client_ca) {
      options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, g->client_ca};
    }
  }
  options[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
  unsigned flags = MHD_USE_ERROR_LOG | MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                   (monitor ? 0u : MHD_USE_TLS);
  struct MHD_Daemon *mhd = MHD_start_daemon(
      flags, 0, NULL, NULL, on_request, g, MHD_OPTION_EXTERNAL_LOGGER, on_message, g, MHD_OPTION_LISTEN_SOCKET, fd,
      MHD_OPTION_CONNECTION_LIMIT, (unsigned)(monitor ? 64 : s->connections), MHD_OPTION_CONNECTION_TIMEOUT,
      (unsigned)(idle / 1000 + 2), MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32768, MHD_OPTION_URI_LOG_CALLBACK,
      on_uri, g, MHD_OPTION_NOTIFY_COMPLETED, on_completed, g, MHD_OPTION_NOTIFY_CONNECTION, on_connection, g,
      MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
  if (!mhd) {
    snprintf(err, cap, "%s cannot be served (%s): check tls_certificate, tls_key and tls_client_ca",
             monitor ? "monitor" : "https", *g->message ? g->message : strerror(errno));
    if (fd >= 0) {
      close(fd);
    }
    generation_free(g);
    return NULL;
  }
  g->mhd = mhd;
  return g;
}

static int listen_on(const char *what, const char *address, char *err, size_t cap) {
  struct sockaddr_storage addr;
  int one = 1, off = 0;
  if (conf_address(address, &addr)) {
    return -1; /* impossible: the settings have been checked */
  }
  int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  socklen_t len = addr.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
      (addr.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off)) ||
      bind(fd, (struct sockaddr *)&addr, len) || listen(fd, 511)) {
    snprintf(err, cap, "%s: cannot listen on %s: %s", what, address, strerror(errno));
    if (fd >= 0) {
      close(fd);
    }
    return -1;
  }
  return fd;
}

int server_start(struct server **out, struct daemon *daemon, const struct route *routes,
                 const struct reloadable *reloadable, char *err, size_t cap) {
  struct server *server = calloc(1, sizeof *server);
  const struct settings *s = &reloadable->settings;
  if (!server) {
    snprintf(err, cap, "out of memory");
    return -1;
  }
  server->daemon = daemon;
  server->routes = routes;
  server->monitor_fd = -1;
  pthread_mutex_init(&server->lock, NULL);
  bool ok = (server->https_fd = listen_on("https", s->https, err, cap)) >= 0;
  if (ok && *s->monitor) {
    ok = (server->monitor_fd = listen_on("monitor", s->monitor, err, cap)) >= 0;
  }
  if (ok) {
    ok = (server->https = generation_start(server, reloadable, false, err, cap)) != NULL;
  }
  if (ok && *s->monitor) {
    ok = (server->monitor = generation_start(server, reloadable, true, err, cap)) != NULL;
  }
  if (!ok) {
    server_stop(server);
    return -1;
  }
  *out = server;
  return 0;
}

/* Takes the listening socket away from a generation, whose connections go on. */
static void retire(struct generation *g) {
  atomic_store(&g->closing, true);
  int fd = MHD_quiesce_daemon(g->mhd);
  if (fd >= 0) {
    close(fd); /* a duplicate of the server's socket */
  }
}

int server_reload(struct server *server, const struct reloadable *reloadable, char *err, size_t cap) {
  struct generation *fresh = generation_start(server, reloadable, false, err, cap);
  if (!fresh) {
    return -1;
  }
  retire(server->https);
  server->https->next = server->old;
  server->old = server->https;
  server->https = fresh;
  return 0;
}

/* Ends connections of a generation that take too long. Returns how many are not idle. Called under the lock. */
static size_t end_slow(struct generation *g, const struct settings *s) {
  size_t busy = 0;
  int64_t now = clock_ms();
  for (struct connection *c = g->connections; c; c = c->next) {
    int64_t max = c->phase == PHASE_ARRIVING ? s->request_timeout
                  : c->phase == PHASE_IDLE   ? s->idle_timeout
                                             : INT64_MAX;
    if (now - c->since_ms > max) {
      shutdown(c->fd, SHUT_RDWR);
    }
    busy += c->phase != PHASE_IDLE;
  }
  return busy;
}

void server_tick(struct server *server) {
  struct reloadable *reloadable = reloadable_get(&server->daemon->reloadable);
  struct generation *done = NULL;
  pthread_mutex_lock(&server->lock);
  end_slow(server->https, &reloadable->settings);
  if (server->monitor) {
    end_slow(server->monitor, &reloadable->settings);
  }
  for (struct generation **at = &server->old; *at;) {
    struct generation *g = *at;
    end_slow(g, &reloadable->settings);
    if (g->connections) {
      at = &g->next;
      continue;
    }
    *at = g->next;
    g->next = done;
    done = g;
  }
  pthread_mutex_unlock(&server->lock);
  for (struct generation *next; done; done = next) {
    next = done->next;
    generation_free(done);
    log_line(LOG_INFO, "the last connection with the old certificate has ended");
  }
  reloadable_unref(reloadable);
}

void server_quiesce(struct server *server) { retire(server->https); }

bool server_quiet(struct server *server) {
  struct reloadable *reloadable = reloadable_get(&server->daemon->reloadable);
  pthread_mutex_lock(&server->lock);
  size_t busy = end_slow(server->https, &reloadable->settings);
  for (struct generation *g = server->old; g; g = g->next) {
    busy += end_slow(g, &reloadable->settings);
  }
  pthread_mutex_unlock(&server->lock);
  reloadable_unref(reloadable);
  return busy == 0;
}

void server_stop(struct server *server) {
  if (!server) {
    return;
  }
  generation_free(server->https);
  generation_free(server->monitor);
  for (struct generation *g = server->old, *next; g; g = next) {
    next = g->next;
    generation_free(g);
  }
  if (server->https_fd >= 0) {
    close(server->https_fd);
  }
  if (server->monitor_fd >= 0) {
    close(server->monitor_fd);
  }
  pthread_mutex_destroy(&server->lock);
  free(server);
}
