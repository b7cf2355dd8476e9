/*
 * fuzz_http.c - libFuzzer: requests to the whole of turncredd, over TLS
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * turncredd runs as a thread, as its main() does it, with the settings, certificates and database that tests/fuzz/world
 * has made. An input is octets on a connection. In them @K stands for the caller's bearer key, @B for its name and key
 * as Basic authentication, @T for a user's access token, and @L for the length of what is behind the next empty line,
 * so that the fuzzer gets behind the login. Whatever comes, turncredd answers the next request.
 *
 * Environment: FUZZ_CONF, FUZZ_PORT, FUZZ_KEY, FUZZ_TOKEN
 */
#include "config.h"

#include "fuzz.h"

#include "core/turncred.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MS 10000

int turncredd_main(int argc, char **argv); /* main.c */

static SSL_CTX *tls;
static SSL_SESSION *session;
static SSL *link_;
static uint16_t port;
static const char *key, *token;
static char basic[400];

static void *serve(void *arg) {
  static char *argv[] = {"turncredd", "--config", NULL, NULL};
  argv[2] = arg;
  MUST(turncredd_main(3, argv) == 0);
  return NULL;
}

static int connected(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  for (;;) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || !connect(fd, (struct sockaddr *)&to, sizeof to)) {
      return fd;
    }
    bool alarm = errno == EINTR; /* libFuzzer's, on a busy machine: the socket is of no use to a second connect() */
    close(fd);
    if (!alarm) {
      return -1;
    }
  }
}

static void hang_up(void) {
  if (link_) {
    close(SSL_get_fd(link_));
    SSL_free(link_);
    link_ = NULL;
  }
}

/* After a call of OpenSSL that has failed: is it to be made again, since libFuzzer's alarm interrupted it? */
static bool interrupted(int result) {
  if (SSL_get_error(link_, result) != SSL_ERROR_WANT_READ) {
    return false;
  }
  MUST(errno == EINTR); /* else ANSWER_MS are over: it hangs */
  return true;
}

static int read_some(char *out, size_t cap) {
  int n;
  do {
    n = SSL_read(link_, out, (int)cap);
  } while (n <= 0 && interrupted(n));
  return n;
}

static void dial(void) {
  int fd = connected();
  MUST(fd >= 0);
  const struct timeval limit = {ANSWER_MS / 1000, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  MUST((link_ = SSL_new(tls)) && SSL_set_fd(link_, fd));
  if (session) {
    SSL_set_session(link_, session);
  }
  int done;
  do {
    done = SSL_connect(link_);
  } while (done != 1 && interrupted(done));
  MUST(done == 1);
}

static int on_session(SSL *ssl, SSL_SESSION *fresh) {
  (void)ssl;
  SSL_SESSION_free(session);
  session = fresh;
  return 1;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  char *conf = getenv("FUZZ_CONF"), *number = getenv("FUZZ_PORT"), name_and_key[250];
  pthread_t thread;
  MUST(conf && number && (key = getenv("FUZZ_KEY")) && (token = getenv("FUZZ_TOKEN")));
  port = (uint16_t)atoi(number);
  snprintf(name_and_key, sizeof name_and_key, "fuzz:%s", key);
  MUST(!turncred_base64_encode((uint8_t *)name_and_key, strlen(name_and_key), basic, sizeof basic));
  signal(SIGPIPE, SIG_IGN);
  MUST((tls = SSL_CTX_new(TLS_client_method())));
  SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT);
  SSL_CTX_sess_set_new_cb(tls, on_session);
  MUST(!pthread_create(&thread, NULL, serve, conf));
  int fd = -1;
  for (int i = 0; i < 600 && (fd = connected()) < 0; i++) {
    poll(NULL, 0, 100);
  }
  MUST(fd >= 0);
  close(fd);
  return 0;
}

/* What stands for the mark at data; NULL: there is none, or it is @L */
static const char *meaning(const uint8_t *data, size_t size) {
  if (size < 2 || data[0] != '@') {
    return NULL;
  }
  return data[1] == 'K' ? key : data[1] == 'B' ? basic : data[1] == 'T' ? token : NULL;
}

/* The octets of an input once its marks are replaced; @L counts as it is */
static size_t length_of(const uint8_t *data, size_t size) {
  size_t length = 0;
  for (size_t i = 0; i < size; i++) {
    const char *text = meaning(data + i, size - i);
    length += text ? strlen(text) : 1;
    i += text != NULL;
  }
  return length;
}

/* The input with its marks replaced. */
static char *request_of(const uint8_t *data, size_t size, size_t *len) {
  char *out = malloc(length_of(data, size) + size * 10 + 1), number[20]; /* 2 octets of @L become 20 at most */
  MUST(out);
  *len = 0;
  for (size_t i = 0; i < size; i++) {
    const char *text = meaning(data + i, size - i);
    if (!text && data[i] == '@' && i + 1 < size && data[i + 1] == 'L') {
      const uint8_t *body = memmem(data + i, size - i, "\r\n\r\n", 4);
      snprintf(number, sizeof number, "%zu", body ? length_of(body + 4, (size_t)(data + size - body - 4)) : 0);
      text = number;
    }
    if (text) {
      memcpy(out + *len, text, strlen(text));
      *len += strlen(text);
      i++;
    } else {
      out[(*len)++] = (char)data[i];
    }
  }
  return out;
}

/* Reads one answer. False: the connection has ended, or the answer says so. */
static bool answer(void) {
  char head[4096], *end = NULL;
  size_t have = 0;
  for (int n; have < sizeof head - 1 && !end; end = strstr(head, "\r\n\r\n")) {
    if ((n = read_some(head + have, sizeof head - 1 - have)) <= 0) {
      return false;
    }
    have += (size_t)n;
    head[have] = '\0';
  }
  if (!end) {
    return false;
  }
  MUST(!strncmp(head, "HTTP/1.", 7));
  char *length = strcasestr(head, "\r\nContent-Length:");
  size_t rest = length ? strtoul(length + 17, NULL, 10) : 0, got = have - (size_t)(end + 4 - head);
  char body[4096];
  for (int n; got < rest; got += (size_t)n) {
    if ((n = read_some(body, sizeof body)) <= 0) {
      return false;
    }
  }
  return got == rest && !strcasestr(head, "\r\nConnection: close");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char last[] = "\r\nGET /healthz HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n";
  static const char alive[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
  static unsigned count;
  size_t len;
  char *text = request_of(data, size, &len);
  if (!link_) {
    dial();
  }
  /* what is behind an unfinished request ends it one way or the other */
  bool sent = (!len || SSL_write(link_, text, (int)len) > 0) && SSL_write(link_, last, sizeof last - 1) > 0;
  shutdown(SSL_get_fd(link_), SHUT_WR);
  while (sent && answer()) {
  }
  hang_up();
  free(text);
  if (++count % 64 == 0) {
    dial();
    MUST(SSL_write(link_, alive, sizeof alive - 1) > 0 && answer());
    hang_up();
  }
  return 0;
}
