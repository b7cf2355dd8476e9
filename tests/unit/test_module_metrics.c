/*
 * test_module_metrics.c - the metrics endpoint shows all realms, however many there are
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "module/module.h"
#include "module/usage.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define REALMS 3000

/* what the endpoint uses of the module */

static struct usage_realm realms[REALMS];

void counters_refresh(const struct module *module) { (void)module; }

void module_log(const struct module *module, enum coturn_auth_log_level level, const char *format, ...) {
  (void)module, (void)level, (void)format;
}

void usage_each_realm(struct usage *usage, void (*fn)(const struct usage_realm *realm, void *arg), void *arg) {
  (void)usage;
  for (size_t i = 0; i < REALMS; i++) {
    fn(&realms[i], arg);
  }
}

static void visit_counters(coturn_auth_counter_fn fn, void *arg) {
  static const uint64_t value;
  static const struct coturn_auth_counter counter = {
      COTURN_AUTH_HEADER(counter), "challenges", "challenges sent", NULL, NULL, &value, 0};
  fn(&counter, 7, arg);
}

/* A port that was free a moment ago. */
static int free_port(void) {
  struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof addr;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
  close(fd);
  return ntohs(addr.sin_port);
}

/* The whole answer of the endpoint, which the caller frees. */
static char *scrape(int port) {
  static const char request[] = "GET /metrics HTTP/1.0\r\n\r\n";
  struct sockaddr_in addr = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  size_t len = 0, cap = 4 << 20;
  char *text = calloc(1, cap);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_non_null(text);
  assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
  assert_int_equal(send(fd, request, sizeof request - 1, 0), sizeof request - 1);
  for (ssize_t n; len < cap - 1 && (n = recv(fd, text + len, cap - 1 - len, 0)) > 0;) {
    len += (size_t)n;
  }
  close(fd);
  return text;
}

static void test_many_realms(void **state) {
  (void)state;
  static const struct coturn_auth_host host = {.visit_counters = visit_counters};
  struct usage usage;
  struct module module = {.host = &host, .usage = &usage};
  char address[32], err[256] = "", line[200];
  for (int i = 0; i < REALMS; i++) {
    snprintf(realms[i].name, sizeof realms[i].name, "tenant-%04d.example.net", i);
    atomic_init(&realms[i].sent_octets, (unsigned)i);
  }
  int port = free_port();
  snprintf(address, sizeof address, "127.0.0.1:%d", port);
  struct metrics *metrics = metrics_start(&module, address, err, sizeof err);
  assert_non_null(metrics);
  char *text = scrape(port);
  assert_non_null(strstr(text, "\nturncred_challenges_total 7\n"));
  for (int i = 0; i < REALMS; i++) {
    snprintf(line, sizeof line, "\nturncred_realm_sent_octets_total{realm=\"tenant-%04d.example.net\"} %d\n", i, i);
    if (!strstr(text, line)) {
      fail_msg("not there: %s", line);
    }
  }
  const char *length = strstr(text, "Content-Length: "), *body = strstr(text, "\r\n\r\n");
  assert_int_equal(atol(length + strlen("Content-Length: ")), strlen(body + 4));
  free(text);
  metrics_stop(metrics);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_many_realms)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
