/*
 * server.c - the HTTPS listener, and the monitor listener
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "server.h"

#include "accept.h"
#include "base/clock.h"
#include "certificates.h"
#include "connections.h"
#include "cors.h"
#include "quiesce.h"
#include "strict.h"
#include "turncredd/library_memory.h"
#include "turncredd/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Above 32 KiB libmicrohttpd maps a connection's memory, with keys and tokens in headers, and gives it back with it. */
#define CONNECTION_MEMORY ((size_t)36864)
#define BACKLOG 511 /* connections that wait to be accepted */

/* A libmicrohttpd daemon with the certificates of one reload. */
struct generation {
  struct generation *next;
  struct server *server;
  struct MHD_Daemon *mhd;
  bool monitor;
  atomic_bool closing; /* it has been replaced, or the server stops */
  struct certificates certificates;
  size_t connections;        /* under the lock of the listener's connections */
  int quiesced_fd;           /* its listening socket, which nobody but its threads uses any more; -1: none */
  pthread_mutex_t said_lock; /* workers speak at once */
  char message[300];         /* what libmicrohttpd said first while it started */
};

struct server {
  struct daemon *daemon;
  const struct route *routes;
  int https_fd, monitor_fd; /* monitor_fd -1: none is set, or its address cannot be had yet */
  int64_t monitor_at_ms;    /* when it was tried last */
  struct generation *https, *monitor, *old;
  struct connections all[2]; /* of https, of monitor */
};

/* --- connections -------------------------------------------------------------------------- */

#define MONITOR_CONNECTIONS 64

static struct connection_limits limits_of(const struct settings *s, bool monitor) {
  return (struct connection_limits){.all = (size_t)(monitor ? MONITOR_CONNECTIONS : s->connections),
                                    .unproven_per_address =
                                        (size_t)(monitor ? MONITOR_CONNECTIONS : s->connections_per_address),
                                    .first_ms = s->first_request_timeout,
                                    .request_ms = s->request_timeout,
                                    .idle_ms = s->idle_timeout};
}

static struct connections *connections_of_generation(const struct generation *g) { return &g->server->all[g->monitor]; }

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code) {
  struct generation *g = cls;
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    struct reloadable *reloadable = reloadable_get(&g->server->daemon->reloadable);
    struct connection_limits limits = limits_of(&reloadable->settings, g->monitor);
    *context = connection_new(connections_of_generation(g), mhd, &g->connections, &limits);
    reloadable_unref(reloadable);
  } else {
    connection_gone(connections_of_generation(g), *context);
    *context = NULL;
  }
}

/* --- requests ----------------------------------------------------------------------------- */

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *mhd) {
  struct generation *g = cls;
  struct request *r = calloc(1, sizeof *r);
  connection_phase(connections_of_generation(g), mhd, CONNECTION_ARRIVING, 0);
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

/* Cleanses libmicrohttpd's own copy of a header that holds a password. Nobody needs it any more. */
static enum MHD_Result cleanse_link(void *cls, enum MHD_ValueKind kind, const char *name, const char *value) {
  (void)cls;
  (void)kind;
  if (!strcmp(name, "Link")) {
    turncred_cleanse((char *)(uintptr_t)value, strlen(value));
  }
  return MHD_YES;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code) {
  struct generation *g = cls;
  struct request *r = *context;
  (void)code;
  connection_phase(connections_of_generation(g), mhd, CONNECTION_IDLE, r && r->caller);
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
  request_forget(r);
  if (r->response) {
    MHD_get_response_headers(r->response, cleanse_link, NULL);
    MHD_destroy_response(r->response);
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

/* The answer as a response, which owns its text. Without an answer something has failed, and the text is a constant. */
static struct MHD_Response *response_of(struct request *r) {
  static char short_of_memory[] = "{\"error\":\"temporarily_unavailable\",\"error_description\":\"out of memory\"}",
              failed[] = "{\"error\":\"server_error\"}";
  struct MHD_Response *response;
  if (r->answer) {
    response = MHD_create_response_from_buffer_with_free_callback_cls(r->answer_len, r->answer, free_text, r->answer);
    if (response) {
      r->answer = NULL;
    }
    return response;
  }
  char *text = r->no_memory ? short_of_memory : failed;
  r->status = r->no_memory ? 503 : 500;
  r->content_type = "application/json";
  return MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_PERSISTENT);
}

/* Adds a header for each value of Link. */
static bool add_links(struct request *r, struct MHD_Response *response) {
  for (char *line = r->link, *end; line && (end = strchr(line, '\n')); line = end + 1) {
    *end = '\0';
    bool added = MHD_add_response_header(response, "Link", line) == MHD_YES;
    *end = '\n';
    if (!added) {
      return false;
    }
  }
  return true;
}

/* Adds the headers. False: out of memory; an answer that lacks one (no-store) must not go out. */
static bool add_headers(const struct generation *g, struct request *r, struct MHD_Response *response) {
  char number[24];
  snprintf(number, sizeof number, "%lld", (long long)r->retry_after);
  const struct {
    const char *name, *value; /* NULL: not in this answer */
  } headers[] = {
      {"Content-Type", r->content_type},
      {"Cache-Control", "no-store"},
      {"Pragma", "no-cache"},
      {"X-Content-Type-Options", "nosniff"},
      {"WWW-Authenticate", *r->www_authenticate ? r->www_authenticate : NULL},
      {"Allow", *r->allow ? r->allow : NULL},
      {"Retry-After", r->retry_after ? number : NULL},
      {"Connection", r->close || atomic_load(&g->closing) ? "close" : NULL},
  };
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
    if (headers[i].value && MHD_add_response_header(response, headers[i].name, headers[i].value) != MHD_YES) {
      return false;
    }
  }
  cors_headers(r, response);
  return add_links(r, response);
}

static enum MHD_Result queue(const struct generation *g, struct request *r) {
  enum MHD_Result result = MHD_NO;
  struct MHD_Response *response = response_of(r);
  if (!response) {
    return MHD_NO;
  }
  if (add_headers(g, r, response)) {
    if (r->status >= 100 && r->status < 600) {
      metric_count(&r->daemon->metrics.answers[r->status / 100]);
    }
    result = MHD_queue_response(r->connection, r->status, response);
  }
  if (r->link && !r->response) {
    r->response = response;
  } else {
    MHD_destroy_response(response);
  }
  return result;
}

/* Called when the header has arrived. Prepares an answer if the request is refused; finds its route otherwise. */
static void begin(struct generation *g, struct request *r, const char *path, const char *version) {
  const char *length = request_header(r, "Content-Length"), *fault = strict_fault(r->connection, version);
  if (fault) {
    r->close = true;
    request_error(r, 400, "invalid_request", "%s", fault);
  } else if (r->bad_uri) {
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

/* The room grows in steps, so that a body in many small parts is not copied for each of them. needed: at most max.
 * False: out of memory. */
static bool more_room(struct request *r, size_t needed, size_t max) {
  size_t room = r->body_room ? r->body_room : 512;
  while (room < needed) {
    room *= 2;
  }
  room = room > max ? max : room;
  char *more = malloc(room + 1);
  if (!more) {
    return false;
  }
  if (r->body) {
    memcpy(more, r->body, r->body_len);
    turncred_cleanse(r->body, r->body_len);
    free(r->body);
  }
  r->body = more;
  r->body_room = room;
  return true;
}

static void take_body(struct request *r, const char *data, size_t size) {
  size_t max = (size_t)r->reloadable->settings.body_octets;
  if (r->no_memory || r->too_large || size > max || r->body_len > max - size) {
    r->too_large = !r->no_memory;
    return;
  }
  if (r->body_len + size > r->body_room && !more_room(r, r->body_len + size, max)) {
    r->no_memory = true;
    return;
  }
  memcpy(r->body + r->body_len, data, size);
  r->body_len += size;
  r->body[r->body_len] = '\0';
}

/* Calls the handler, unless the server is about to end, which ends nothing that waits: libmicrohttpd would end the
 * process. Either main sees the request in `pending` and waits for it, or the request sees `closed`. */
static void handle(struct request *r) {
  struct daemon *daemon = r->daemon;
  atomic_fetch_add(&daemon->pending, 1);
  if (atomic_load(&daemon->closed)) {
    r->close = true;
    r->retry_after = 1;
    request_error(r, 503, "temporarily_unavailable", "turncredd is stopping");
  } else {
    r->route->run(r);
  }
  if (!r->suspended) {
    atomic_fetch_sub(&daemon->pending, 1);
  }
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                  const char *version, const char *data, size_t *data_size, void **context) {
  struct generation *g = cls;
  struct request *r = *context;
  if (!r) {
    return MHD_NO; /* out of memory */
  }
  if (!r->method) {
    r->method = method;
    begin(g, r, url, version);
    return r->status ? queue(g, r) : MHD_YES;
  }
  if (*data_size) {
    take_body(r, data, *data_size);
    *data_size = 0;
    return MHD_YES;
  }
  if (!r->handled) {
    r->handled = true;
    connection_phase(connections_of_generation(g), mhd, CONNECTION_ANSWERING, 0);
    library_memory_was_short(); /* what another request of this thread lacked is past */
    if (r->no_memory) {
      request_no_memory(r);
    } else if (r->too_large) {
      request_error(r, 413, "too_large", "the body may have at most %lld octets",
                    (long long)r->reloadable->settings.body_octets);
    } else if (request_is_text(r)) {
      handle(r);
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
  pthread_mutex_lock(&g->said_lock);
  if (!*g->message) { /* later messages tell of clients that break off */
    vsnprintf(g->message, sizeof g->message, format, args);
    g->message[strcspn(g->message, "\n")] = '\0';
  }
  pthread_mutex_unlock(&g->said_lock);
}

static void generation_free(struct generation *g) {
  if (!g) {
    return;
  }
  if (g->mhd) {
    MHD_stop_daemon(g->mhd);
  }
  if (g->quiesced_fd >= 0) {
    close(g->quiesced_fd);
  }
  pthread_mutex_destroy(&g->said_lock);
  certificates_clear(&g->certificates);
  free(g);
}

#define DESCRIPTORS_A_THREAD 4 /* of MHD: its epoll instances, and what wakes it */

/* Are so many descriptors free? False with errno. MHD must not find out: 1.0.1 closes the listening socket twice when
 * it cannot start its first thread, and by then the number may belong to another thread's file. */
static bool are_free(size_t descriptors) {
  int *fds = calloc(descriptors, sizeof *fds);
  size_t n = 0;
  if (!fds) {
    errno = ENOMEM;
    return false;
  }
  while (n < descriptors && (fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
    n++;
  }
  int error = errno;
  for (size_t i = 0; i < n; i++) {
    close(fds[i]);
  }
  free(fds);
  errno = error;
  return n == descriptors;
}

/* Undoes what MHD did to the listening socket before it failed: it may have closed its duplicate, and where a
 * descriptor or a thread was missing it has shut the socket down, for the generation in service too. */
static void take_back(int listening, int duplicate) {
  struct stat ours, its;
  if (!fstat(listening, &ours) && !fstat(duplicate, &its) && ours.st_ino == its.st_ino && ours.st_dev == its.st_dev) {
    close(duplicate);
  }
  if (listen(listening, BACKLOG)) {
    log_line(LOG_ERR, "the listening socket is lost (%s): restart turncredd", strerror(errno));
  }
}

/* A generation with its certificates, which nobody serves yet. NULL with the reason. */
static struct generation *generation_new(struct server *server, const struct settings *s, bool monitor, char *err,
                                         size_t cap) {
  struct generation *g = calloc(1, sizeof *g);
  if (!g) {
    snprintf(err, cap, "out of memory");
    return NULL;
  }
  g->server = server;
  g->monitor = monitor;
  g->quiesced_fd = -1;
  pthread_mutex_init(&g->said_lock, NULL);
  atomic_init(&g->closing, false);
  if (!monitor && certificates_read(&g->certificates, s, err, cap)) {
    generation_free(g);
    return NULL;
  }
  return g;
}

static struct generation *generation_start(struct server *server, const struct reloadable *reloadable, bool monitor,
                                           char *err, size_t cap) {
  const struct settings *s = &reloadable->settings;
  struct generation *g = generation_new(server, s, monitor, err, cap);
  struct MHD_OptionItem options[12];
  size_t n = 0;
  if (!g) {
    return NULL;
  }
  size_t needed = DESCRIPTORS_A_THREAD * (monitor ? 1 : (size_t)s->threads + 1) + 1;
  int listening = monitor ? server->monitor_fd : server->https_fd;
  int fd = are_free(needed) ? fcntl(listening, F_DUPFD_CLOEXEC, 0) : -1;
  if (fd < 0) {
    const char *what = monitor ? "monitor" : "https";
    if (errno == ENOMEM) {
      snprintf(err, cap, "%s cannot be served: out of memory", what);
    } else {
      snprintf(err, cap, "%s cannot be served: %zu more descriptors are needed (LimitNOFILE= of the unit, ulimit -n)",
               what, needed);
    }
    generation_free(g); /* without a socket MHD would open one of its own, on any port */
    return NULL;
  }
  /* Each thread has an equal part of MHD's limit, and connections do not come in equal parts: connections.c counts, and
   * has room for those that are being ended. */
  int64_t limit = 2 * (monitor ? MONITOR_CONNECTIONS : s->connections * s->threads) + 64;
  int64_t idle = s->idle_timeout > s->request_timeout ? s->idle_timeout : s->request_timeout;
  if (!monitor) {
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, g->certificates.certificate};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, g->certificates.key};
    options[n++] =
        (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
                                (void *)(uintptr_t)"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)s->threads, NULL};
    if (g->certificates.client_ca) {
      options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, g->certificates.client_ca};
    }
  }
  options[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
  unsigned flags = MHD_USE_ERROR_LOG | MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                   (monitor ? 0u : MHD_USE_TLS);
  struct MHD_Daemon *mhd = MHD_start_daemon(
      flags, 0, NULL, NULL, on_request, g, MHD_OPTION_EXTERNAL_LOGGER, on_message, g, MHD_OPTION_LISTEN_SOCKET, fd,
      MHD_OPTION_CONNECTION_LIMIT, (unsigned)limit, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(idle / 1000 + 2),
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_URI_LOG_CALLBACK, on_uri, g,
      MHD_OPTION_NOTIFY_COMPLETED, on_completed, g, MHD_OPTION_NOTIFY_CONNECTION, on_connection, g,
      MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
  if (!mhd) {
    pthread_mutex_lock(&g->said_lock);
    snprintf(err, cap, "%s cannot be served (%s): check tls_certificate, tls_key and tls_client_ca",
             monitor ? "monitor" : "https", *g->message ? g->message : strerror(errno));
    pthread_mutex_unlock(&g->said_lock);
    take_back(listening, fd);
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
      bind(fd, (struct sockaddr *)&addr, len) || listen(fd, BACKLOG)) {
    snprintf(err, cap, "%s: cannot listen on %s: %s", what, address, strerror(errno));
    if (fd >= 0) {
      close(fd);
    }
    return -1;
  }
  return fd;
}

#define MONITOR_AGAIN_MS 5000

/* The address of the monitor may be taken: issuing goes on without it, and it is tried again. */
static int open_monitor(struct server *server, const struct reloadable *reloadable, char *err, size_t cap) {
  const char *address = reloadable->settings.monitor;
  bool first = !server->monitor_at_ms;
  if (!*address || server->monitor || (!first && clock_ms() - server->monitor_at_ms < MONITOR_AGAIN_MS)) {
    return 0;
  }
  server->monitor_at_ms = clock_ms();
  if (server->monitor_fd < 0 && (server->monitor_fd = listen_on("monitor", address, err, cap)) < 0) {
    if (first) {
      log_line(LOG_WARNING,
               "%s; turncredd goes on without it, and tries again every %d s: find out who has the port (ss -ltnp), or "
               "choose another",
               err, MONITOR_AGAIN_MS / 1000);
    }
    return 0;
  }
  server->monitor = generation_start(server, reloadable, true, err, cap);
  if (server->monitor && !first) {
    log_line(LOG_INFO, "monitor: serves %s now", address);
  }
  return server->monitor ? 0 : -1;
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
  connections_init(&server->all[0]);
  connections_init(&server->all[1]);
  accept_init();
  bool ok = (server->https_fd = listen_on("https", s->https, err, cap)) >= 0;
  if (ok) {
    ok = (server->https = generation_start(server, reloadable, false, err, cap)) != NULL;
  }
  if (ok) {
    ok = open_monitor(server, reloadable, err, cap) == 0;
  }
  if (!ok) {
    server_stop(server);
    return -1;
  }
  *out = server;
  return 0;
}

/* Takes the listening socket away from a generation, whose connections go on. Its threads may still look at the
 * descriptor: it is closed when they have ended. */
static void retire(struct generation *g) {
  atomic_store(&g->closing, true);
  g->quiesced_fd = quiesce_daemon(g->mhd); /* a duplicate of the server's socket */
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

static size_t end_slow(struct server *server, bool monitor) {
  struct reloadable *reloadable = reloadable_get(&server->daemon->reloadable);
  struct connection_limits limits = limits_of(&reloadable->settings, monitor);
  reloadable_unref(reloadable);
  return connections_end_slow(&server->all[monitor], &limits);
}

static void try_monitor(struct server *server) {
  char err[300];
  struct reloadable *reloadable = server->monitor ? NULL : reloadable_get(&server->daemon->reloadable);
  if (reloadable && open_monitor(server, reloadable, err, sizeof err)) {
    log_line(LOG_WARNING, "%s", err);
  }
  reloadable_unref(reloadable);
}

void server_tick(struct server *server) {
  try_monitor(server);
  end_slow(server, false);
  end_slow(server, true);
  for (struct generation **at = &server->old; *at;) {
    struct generation *g = *at;
    if (connections_of(&server->all[0], &g->connections)) {
      at = &g->next;
      continue;
    }
    *at = g->next;
    generation_free(g);
    log_line(LOG_INFO, "the last connection with the old certificate has ended");
  }
}

void server_quiesce(struct server *server) { retire(server->https); }

bool server_quiet(struct server *server) { return end_slow(server, false) == 0; }

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
  connections_clear(&server->all[0]);
  connections_clear(&server->all[1]);
  free(server);
}
