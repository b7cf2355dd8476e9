/*
 * module_host.c - a host for turncred.so without coturn around it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Loads the module as turnserver does, sends it requests, and prints its answers, their times and their
 * heap allocations. Packets do not show these values: names and identity of a grant, heap
 * allocations, time of one decision. The tests in server/ test the whole server.
 *
 *   module_host MODULE.so MODULE.CONF < requests
 *
 * A request is a line "REPEAT REALM USERNAME KEY-HEX [TOKEN-HEX]": the client's HMAC key makes
 * MESSAGE-INTEGRITY. The answer is a line of words name=value; ns is CPU time. "status" asks for
 * the state, "sleep MS" waits, "stress THREADS MS" repeats the last request in several threads,
 * with sessions that begin and end. HOST_COUNTER names a counter that the host has itself. Exit: 0, or 1 when the
 * module does not start.
 */
#include "config.h"

#include "include/coturn_auth_module.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/hmac.h>

/* --- allocations of this thread, counted while counting is set -------------------------------- */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define COUNTS_ALLOCATIONS 0
#else
#define COUNTS_ALLOCATIONS 1
#endif

static __thread int counting;
static __thread unsigned long allocations;

#if COUNTS_ALLOCATIONS
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t size);

__attribute__((visibility("default"))) void *malloc(size_t size) {
  allocations += (unsigned long)counting;
  return __libc_malloc(size);
}
__attribute__((visibility("default"))) void *calloc(size_t n, size_t size) {
  allocations += (unsigned long)counting;
  return __libc_calloc(n, size);
}
__attribute__((visibility("default"))) void *realloc(void *p, size_t size) {
  allocations += (unsigned long)counting;
  return __libc_realloc(p, size);
}

/* OpenSSL's states of hashes are not the subject: tests/unit/test_core_alloc.c counts them */
static void *openssl_malloc(size_t size, const char *file, int line) {
  (void)file;
  (void)line;
  return __libc_malloc(size);
}
static void *openssl_realloc(void *p, size_t size, const char *file, int line) {
  (void)file;
  (void)line;
  return __libc_realloc(p, size);
}
static void openssl_free(void *p, const char *file, int line) {
  (void)file;
  (void)line;
  free(p);
}
#endif

/* --- the host's side ----------------------------------------------------------------------------
 */

static const char *const reason_names[] = COTURN_AUTH_REASON_NAMES;

static void host_log(enum coturn_auth_log_level level, const char *line) {
  fprintf(stderr, "log %d: %s\n", (int)level, line);
}
static uint64_t monotonic_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* MESSAGE-INTEGRITY is the last attribute here: the header's length is right as it stands. */
static int host_check_integrity(const struct coturn_auth_request *request, const uint8_t *key, size_t key_len) {
  uint8_t mac[20];
  unsigned int len = sizeof mac;
  int was = counting;
  counting = 0; /* the host's allocations do not count */
  HMAC(EVP_sha1(), key, (int)key_len, request->message, request->message_len - 24, mac, &len);
  counting = was;
  return CRYPTO_memcmp(mac, request->message + request->message_len - 20, 20) == 0;
}
static int host_complete(const struct coturn_auth_handle *handle, enum coturn_auth_verdict verdict,
                         const struct coturn_auth_grant *grant, const struct coturn_auth_denial *denial) {
  (void)handle, (void)verdict, (void)grant, (void)denial;
  return -1; /* the module never postpones */
}
static int host_close_session(uint64_t session, enum coturn_auth_reason reason) {
  printf("close session=%llu reason=%s\n", (unsigned long long)session, reason_names[reason]);
  fflush(stdout);
  return 0;
}
static int host_deny_peer(const struct sockaddr *addr) {
  return addr->sa_family == AF_INET || addr->sa_family == AF_INET6 ? 0 : -1;
}
static struct coturn_auth_counter counters[512];
static size_t counter_count;
static int host_register_counter(const struct coturn_auth_counter *counter) {
  const char *own = getenv("HOST_COUNTER");
  if (counter_count == 512 || counter->header.magic != COTURN_AUTH_MAGIC || (own && !strcmp(own, counter->name))) {
    return -1;
  }
  counters[counter_count++] = *counter;
  return 0;
}
static void host_visit_counters(coturn_auth_counter_fn fn, void *arg) {
  for (size_t i = 0; i < counter_count; i++) {
    fn(&counters[i], __atomic_load_n(counters[i].value, __ATOMIC_RELAXED), arg);
  }
}

static const struct coturn_auth_host host = {
    .header = COTURN_AUTH_HEADER(struct coturn_auth_host),
    .software = "module_host",
    .series = "none",
    .log = host_log,
    .check_integrity = host_check_integrity,
    .complete = host_complete,
    .close_session = host_close_session,
    .deny_peer = host_deny_peer,
    .register_counter = host_register_counter,
    .visit_counters = host_visit_counters,
};

/* --- requests ------------------------------------------------------------------------------------
 */

static size_t from_hex(const char *hex, uint8_t *out, size_t cap) {
  size_t n = 0;
  unsigned int octet;
  while (n < cap && hex && sscanf(hex + 2 * n, "%2x", &octet) == 1) {
    out[n++] = (uint8_t)octet;
  }
  return n;
}

/* Allocate with USERNAME and MESSAGE-INTEGRITY. */
static size_t build(uint8_t *message, const char *username, const uint8_t *key, size_t key_len) {
  size_t name = strlen(username), at = 20;
  unsigned int len = 20;
  memcpy(message, "\x00\x03\x00\x00\x21\x12\xa4\x42transaction!", 20);
  message[at] = 0x00, message[at + 1] = 0x06;
  message[at + 2] = (uint8_t)(name >> 8), message[at + 3] = (uint8_t)name;
  memcpy(message + at + 4, username, name);
  at += 4 + (name + 3) / 4 * 4;
  message[2] = (uint8_t)((at + 4) >> 8), message[3] = (uint8_t)(at + 4);
  HMAC(EVP_sha1(), key, (int)key_len, message, at, message + at + 4, &len);
  memcpy(message + at, "\x00\x08\x00\x14", 4);
  return at + 24;
}

static void show_grant(const struct coturn_auth_module *module, void *state, const struct coturn_auth_request *asked,
                       const struct coturn_auth_grant *grant) {
  static uint64_t sessions;
  struct coturn_auth_session session = {.header = COTURN_AUTH_HEADER(struct coturn_auth_session),
                                        .session = ++sessions,
                                        .ref = grant->ref,
                                        .username = asked->username,
                                        .realm = asked->realm,
                                        .quota_name = grant->quota_name,
                                        .client_addr = asked->client_addr};
  int verified = host_check_integrity(asked, grant->key, grant->key_len);
  int bound = verified ? module->session_bound(state, &session) : 0;
  printf(" integrity=%d bound=%s session=%llu key_len=%u expires=%lld policy=%u grace=%u quota=%s "
         "display=%s user_quota=%u max_bps=%llu identity=",
         verified, reason_names[bound], (unsigned long long)sessions, grant->key_len, (long long)grant->expires,
         grant->expiry_policy, grant->grace_seconds, grant->quota_name, grant->display_name, grant->user_quota,
         (unsigned long long)grant->max_bps);
  for (uint32_t i = 0; i < grant->identity_len; i++) {
    printf("%02x", grant->identity[i]);
  }
}

static struct coturn_auth_request request; /* the last one */

/* --- stress ---------------------------------------------------------------------------------- */

#define THREADS_MAX 16

struct stress {
  const struct coturn_auth_module *module;
  void *state;
  uint64_t until_ms;
  unsigned number;
  unsigned long granted, denied, bound, refused, challenged;
};

static void end_session(const struct stress *s, uint64_t session) {
  struct coturn_auth_session_end end = {.header = COTURN_AUTH_HEADER(struct coturn_auth_session_end),
                                        .session = session,
                                        .display_name = "",
                                        .realm = request.realm};
  s->module->session_end(s->state, &end);
}

static void stress_once(struct stress *s, uint64_t session) {
  struct coturn_auth_request again = request;
  struct coturn_auth_grant grant = {.header = COTURN_AUTH_HEADER(struct coturn_auth_grant)};
  struct coturn_auth_denial denial = {.header = COTURN_AUTH_HEADER(struct coturn_auth_denial)};
  struct coturn_auth_challenge_request asked = {.header = COTURN_AUTH_HEADER(struct coturn_auth_challenge_request),
                                                .realm = request.realm,
                                                .origin = "https://app.example:443",
                                                .client_addr = request.client_addr,
                                                .local_addr = request.local_addr};
  struct coturn_auth_challenge challenge = {.header = COTURN_AUTH_HEADER(struct coturn_auth_challenge)};
  s->challenged += s->module->challenge(s->state, &asked, &challenge) == COTURN_AUTH_GRANTED;
  again.session = session;
  if (s->module->authenticate(s->state, &again, &grant, &denial) != COTURN_AUTH_GRANTED) {
    s->denied++;
    return;
  }
  s->granted++;
  struct coturn_auth_session bind = {.header = COTURN_AUTH_HEADER(struct coturn_auth_session),
                                     .session = session,
                                     .ref = grant.ref,
                                     .username = request.username,
                                     .realm = request.realm,
                                     .quota_name = grant.quota_name,
                                     .client_addr = request.client_addr};
  if (s->module->session_bound(s->state, &bind)) {
    s->refused++;
    return;
  }
  s->bound++;
  if (session % 4) { /* the others live on: bound anew, closed by a revocation, ended at last */
    end_session(s, session);
  }
}

static void *stress_thread(void *arg) {
  struct stress *s = arg;
  uint64_t first = (uint64_t)s->number * 1000000;
  for (uint64_t i = 0; monotonic_ms() < s->until_ms; i++) {
    stress_once(s, first + i % 4000);
  }
  for (uint64_t i = 0; i < 4000; i++) {
    end_session(s, first + i);
  }
  return NULL;
}

static void stress(const struct coturn_auth_module *module, void *state, unsigned threads, unsigned ms) {
  struct stress all[THREADS_MAX] = {0}, sum = {0};
  pthread_t id[THREADS_MAX];
  for (unsigned i = 0; i < threads; i++) {
    all[i] = (struct stress){.module = module, .state = state, .number = i + 1};
    all[i].until_ms = monotonic_ms() + ms;
    if (pthread_create(&id[i], NULL, stress_thread, &all[i])) {
      exit(1);
    }
  }
  for (unsigned i = 0; i < threads; i++) {
    pthread_join(id[i], NULL);
    sum.granted += all[i].granted;
    sum.denied += all[i].denied;
    sum.bound += all[i].bound;
    sum.refused += all[i].refused;
    sum.challenged += all[i].challenged;
  }
  printf("stress granted=%lu denied=%lu bound=%lu refused=%lu challenged=%lu\n", sum.granted, sum.denied, sum.bound,
         sum.refused, sum.challenged);
  fflush(stdout);
}

static void ask(const struct coturn_auth_module *module, void *state, long repeat, const char *realm,
                const char *username, const char *key_hex, const char *token_hex) {
  static const char *const verdicts[] = {"declined", "granted", "denied", "pending"};
  static uint8_t message[2048], token[1024]; /* stress uses them again */
  static struct sockaddr_in client;
  static char realm_copy[256], username_copy[1024];
  uint8_t key[64];
  struct coturn_auth_grant grant;
  struct coturn_auth_denial denial;
  enum coturn_auth_verdict verdict = COTURN_AUTH_DECLINED;
  struct timespec start, end;

  memset(message, 0, sizeof message);
  snprintf(realm_copy, sizeof realm_copy, "%s", realm);
  snprintf(username_copy, sizeof username_copy, "%s", username);
  request = (struct coturn_auth_request){.header = COTURN_AUTH_HEADER(struct coturn_auth_request)};
  client.sin_family = AF_INET;
  client.sin_port = htons(40000);
  client.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  size_t key_len = from_hex(key_hex, key, sizeof key);
  request.method = 3;
  request.username = username_copy;
  request.username_len = (uint32_t)strlen(username);
  request.realm = realm_copy;
  request.access_token = token_hex ? token : NULL;
  request.access_token_len = from_hex(token_hex, token, sizeof token);
  request.message = message;
  request.message_len = build(message, username, key, key_len);
  request.client_addr = request.local_addr = (struct sockaddr *)&client;
  request.origin = "";
  allocations = 0;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
  for (long i = 0; i < repeat; i++) {
    memset(&grant, 0, sizeof grant);
    memset(&denial, 0, sizeof denial);
    grant.header = (struct coturn_auth_header)COTURN_AUTH_HEADER(grant);
    denial.header = (struct coturn_auth_header)COTURN_AUTH_HEADER(denial);
    counting = 1;
    verdict = module->authenticate(state, &request, &grant, &denial);
    counting = 0;
  }
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
  double ns = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
  printf("%s ns=%.0f allocations=%lu", verdicts[verdict], ns / (double)repeat, allocations);
  if (verdict == COTURN_AUTH_GRANTED) {
    show_grant(module, state, &request, &grant);
  }
  if (verdict == COTURN_AUTH_DENIED) {
    printf(" code=%u reason=%s display=%s", denial.error_code, reason_names[denial.reason], denial.display_name);
  }
  printf("\n");
  fflush(stdout);
}

static void emit(const char *key, const char *value, void *arg) {
  (void)arg;
  printf("%s: %s\n", key, value);
}

static void emit_counter(const struct coturn_auth_counter *counter, uint64_t value, void *arg) {
  (void)arg;
  if (value || counter->is_gauge) {
    printf("%s%s%s: %llu\n", counter->name, counter->label ? "/" : "", counter->label ? counter->label_value : "",
           (unsigned long long)value);
  }
}

static void run(const struct coturn_auth_module *module, void *state) {
  char line[8192];
  while (fgets(line, sizeof line, stdin)) {
    char *word[5] = {0}, *save = NULL;
    int n = 0;
    for (char *w = strtok_r(line, " \n", &save); w && n < 5; w = strtok_r(NULL, " \n", &save)) {
      word[n++] = w;
    }
    if (n == 1 && strcmp(word[0], "status") == 0) {
      module->status(state, emit, NULL);
      host_visit_counters(emit_counter, NULL);
      fflush(stdout);
    } else if (n == 2 && strcmp(word[0], "sleep") == 0) {
      struct timespec ts = {atol(word[1]) / 1000, atol(word[1]) % 1000 * 1000000};
      nanosleep(&ts, NULL);
    } else if (n == 3 && strcmp(word[0], "stress") == 0 && request.realm && atoi(word[1]) <= THREADS_MAX) {
      stress(module, state, (unsigned)atoi(word[1]), (unsigned)atoi(word[2]));
    } else if (n >= 4) {
      ask(module, state, atol(word[0]), word[1], word[2], word[3], word[4]);
    } else {
      fprintf(stderr, "not a request: %d words\n", n);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "module_host MODULE.so MODULE.CONF < requests\n");
    return 2;
  }
#if COUNTS_ALLOCATIONS
  if (!CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free)) {
    fprintf(stderr, "OpenSSL has allocated already\n");
    return 1;
  }
#endif
  void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  coturn_auth_module_entry_fn entry;
  *(void **)&entry = dlsym(library, COTURN_AUTH_MODULE_ENTRY);
  const struct coturn_auth_module *module = entry ? entry(&host) : NULL;
  void *state;
  if (!module || module->init(&host, argv[2], &state)) {
    return 1;
  }
  run(module, state);
  module->stop(state);
  return 0;
}
