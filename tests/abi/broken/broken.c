/*
 * broken.c - modules that break the contract, each in one way; only for tests
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The environment variable BROKEN chooses a fault before init(); the other faults are chosen by
 * auth-module-config. Apart from its fault each lets "alice" in with the password "wonderland". BROKEN_UNTIL names a
 * file: a module that completes after the end does so when the file is there.
 */
#include "examples/instant/users.h"

#include <netinet/in.h>
#include <pthread.h>
#include <unistd.h>

static const struct coturn_auth_host *host;
static struct users users;
static char fault[64];
static struct coturn_auth_handle handles[16];
static unsigned asked;

static int is(const char *name) { return !strcmp(fault, name); }

static void said(const char *what, long n) {
  char line[128];
  snprintf(line, sizeof(line), "broken: %s %ld", what, n);
  host->log(COTURN_AUTH_LOG_INFO, line);
}

static long headers; /* -1: a counter came without one */

static void see_counter(const struct coturn_auth_counter *counter, uint64_t value, void *arg) {
  (void)value, (void)arg;
  if (headers < 0 || counter->header.magic != COTURN_AUTH_MAGIC || counter->header.struct_size != sizeof(*counter)) {
    headers = -1;
  } else {
    ++headers;
  }
}

struct later {
  struct coturn_auth_handle handle;
  struct coturn_auth_grant grant;
  unsigned milliseconds;
};

static void *complete_later(void *arg) {
  struct later *l = arg;
  usleep(l->milliseconds * 1000);
  if (is("completes-after-the-end")) {
    const char *until = getenv("BROKEN_UNTIL");
    said("waits", 0);
    for (int tenths = 0; tenths < 1200 && until && access(until, F_OK); tenths++) {
      usleep(100000);
    }
  }
  said("first completion", host->complete(&l->handle, COTURN_AUTH_GRANTED, &l->grant, NULL));
  if (is("completes-twice")) {
    said("second completion", host->complete(&l->handle, COTURN_AUTH_GRANTED, &l->grant, NULL));
  }
  free(l);
  return NULL;
}

static enum coturn_auth_verdict pend(const struct coturn_auth_request *request, const struct coturn_auth_grant *grant,
                                     unsigned milliseconds) {
  pthread_t thread;
  struct later *l = malloc(sizeof(*l));
  if (!l) {
    return COTURN_AUTH_DENIED;
  }
  l->handle = request->handle;
  l->grant = *grant;
  l->milliseconds = milliseconds;
  if (pthread_create(&thread, NULL, complete_later, l)) {
    free(l);
    return COTURN_AUTH_DENIED;
  }
  pthread_detach(thread);
  return COTURN_AUTH_PENDING;
}

static int init(const struct coturn_auth_host *h, const char *config, void **state) {
  static const uint64_t zero;
  int i;
  host = h;
  *state = NULL;
  snprintf(fault, sizeof(fault), "%s", config);
  if (users_init(&users, "alice:wonderland") < 0) {
    return -1;
  }
  if (is("init-fails")) {
    host->log(COTURN_AUTH_LOG_ERROR, "broken: I do not feel like it");
    return -7;
  }
  if (is("too-many-counters")) {
    static char values[1000][8];
    struct coturn_auth_counter counter = {
        .header = COTURN_AUTH_HEADER(counter), .name = "broken", .help = "", .label = "n", .value = &zero};
    for (i = 0; i < 1000; ++i) {
      snprintf(values[i], sizeof(values[i]), "%d", i);
      counter.label_value = values[i];
      if (host->register_counter(&counter)) {
        break;
      }
    }
    said("counters taken", i);
  }
  if (is("odd-counters")) {
    static struct {
      struct coturn_auth_counter counter;
      char newer[64]; /* members that this host does not know */
    } grown = {.counter = {.header = COTURN_AUTH_HEADER(grown), .name = "grown", .help = "", .value = &zero}};
    struct coturn_auth_counter counter = {
        .header = COTURN_AUTH_HEADER(counter), .name = "broken", .help = "", .value = &zero};
    said("first counter", host->register_counter(&counter));
    said("same counter", host->register_counter(&counter));
    counter.label = counter.label_value = "other";
    said("other label", host->register_counter(&counter));
    said("newer counter", host->register_counter(&grown.counter));
    counter.label_value = NULL;
    counter.name = "challenges";
    said("counter of the host", host->register_counter(&counter));
    counter.name = "without";
    counter.value = NULL;
    said("counter without value", host->register_counter(&counter));
    counter.value = &zero;
    counter.header.magic = 0;
    said("counter without header", host->register_counter(&counter));
    counter.header = (struct coturn_auth_header)COTURN_AUTH_HEADER(counter);
    counter.header.struct_size = offsetof(struct coturn_auth_counter, is_gauge);
    said("short counter", host->register_counter(&counter));
    said("no counter", host->register_counter(NULL));
    host->visit_counters(see_counter, NULL);
    said("counters with a header", headers);
  }
  if (is("many-peers")) {
    struct sockaddr_in peer = {.sin_family = AF_INET};
    struct sockaddr unix_peer = {.sa_family = AF_UNIX};
    for (i = 0; i < 1000; ++i) {
      peer.sin_addr.s_addr = htonl(0x0a000000u + (uint32_t)i);
      if (host->deny_peer((const struct sockaddr *)&peer)) {
        break;
      }
      peer.sin_addr.s_addr = htonl(0x0a010000u); /* one that is named again and again stays */
      host->deny_peer((const struct sockaddr *)&peer);
    }
    said("peers taken", i);
    said("unix peer", host->deny_peer(&unix_peer));
    said("no peer", host->deny_peer(NULL));
  }
  if (is("log-injection")) {
    host->log(COTURN_AUTH_LOG_INFO, "one\nauth-module: refused client=6.6.6.6 \033[31mred %s%n");
    host->log(99, "level");
    host->log(COTURN_AUTH_LOG_INFO, NULL);
  }
  if (is("calls-outside")) {
    struct coturn_auth_request request = {.header = COTURN_AUTH_HEADER(struct coturn_auth_request)};
    said("check outside", host->check_integrity(&request, (const uint8_t *)"k", 1));
    said("check nothing", host->check_integrity(NULL, NULL, 0));
    said("close nothing", host->close_session(~UINT64_C(0), COTURN_AUTH_REASON_REVOKED));
    said("complete nothing", host->complete(NULL, COTURN_AUTH_DENIED, NULL, NULL));
    host->visit_counters(NULL, NULL);
  }
  return 0;
}

static enum coturn_auth_verdict authenticate(void *state, const struct coturn_auth_request *request,
                                             struct coturn_auth_grant *grant, struct coturn_auth_denial *denial) {
  (void)state;
  if (users_key(&users, request->username, request->realm, grant)) {
    return COTURN_AUTH_DENIED; /* with an empty denial */
  }
  handles[asked++ % 16] = request->handle;
  if (is("key-of-0")) {
    grant->key_len = 0;
  }
  if (is("key-of-65")) {
    grant->key_len = 65;
  }
  if (is("odd-policy")) {
    grant->expiry_policy = 77;
  }
  if (is("long-identity")) {
    grant->identity_len = 1000;
  }
  if (is("names-without-end")) {
    memset(grant->quota_name, 'q', sizeof(grant->quota_name));
    memset(grant->display_name, 'd', sizeof(grant->display_name));
    memset(grant->accounting_realm, 'r', sizeof(grant->accounting_realm));
  }
  if (is("denial-without-end")) {
    memset(denial->display_name, 'd', sizeof(denial->display_name));
    denial->reason = 60000;
    denial->error_code = 299;
    return COTURN_AUTH_DENIED;
  }
  if (is("odd-verdict")) {
    return (enum coturn_auth_verdict)42;
  }
  if (is("never-completes")) {
    return COTURN_AUTH_PENDING;
  }
  if (is("completes-twice")) {
    return pend(request, grant, 20);
  }
  if (is("completes-after-the-end")) {
    return pend(request, grant, 0);
  }
  if (is("completes-inside")) {
    said("inside", host->complete(&request->handle, COTURN_AUTH_GRANTED, grant, NULL));
    said("inside again", host->complete(&request->handle, COTURN_AUTH_GRANTED, grant, NULL));
    return COTURN_AUTH_PENDING;
  }
  if (is("completes-and-answers")) {
    said("completed", host->complete(&request->handle, COTURN_AUTH_DENIED, NULL, NULL));
    return COTURN_AUTH_GRANTED;
  }
  if (is("completes-another")) {
    struct coturn_auth_handle other = request->handle;
    other.session += 1;
    said("another session", host->complete(&other, COTURN_AUTH_GRANTED, grant, NULL));
    other = request->handle;
    other.request += 1000;
    said("another request", host->complete(&other, COTURN_AUTH_GRANTED, grant, NULL));
    said("no grant", host->complete(&request->handle, COTURN_AUTH_GRANTED, NULL, NULL));
    said("pending", host->complete(&request->handle, COTURN_AUTH_PENDING, grant, NULL));
  }
  if (is("old-grant")) {
    /* the module's struct ends after the key */
    grant->header.struct_size = offsetof(struct coturn_auth_grant, expiry_policy);
    grant->expiry_policy = 77;
    said("old grant", host->complete(&request->handle, COTURN_AUTH_GRANTED, grant, NULL));
    return COTURN_AUTH_PENDING;
  }
  if (is("wild-integrity")) {
    uint8_t key[65] = {0};
    said("key of 0", host->check_integrity(request, key, 0));
    said("key of 65", host->check_integrity(request, key, 65));
    said("no key", host->check_integrity(request, NULL, 16));
    said("wrong key", host->check_integrity(request, key, 64));
    said("right key", host->check_integrity(request, grant->key, grant->key_len));
  }
  return COTURN_AUTH_GRANTED;
}

static enum coturn_auth_verdict challenge(void *state, const struct coturn_auth_challenge_request *request,
                                          struct coturn_auth_challenge *c) {
  (void)state;
  (void)request;
  if (is("challenge-pends")) {
    return COTURN_AUTH_PENDING;
  }
  if (is("challenge-without-end")) {
    memset(c->realm, 'r', sizeof(c->realm));
    memset(c->server_name, 's', sizeof(c->server_name));
    c->offers_tokens = 1;
    return COTURN_AUTH_GRANTED;
  }
  return COTURN_AUTH_DECLINED;
}

static int allocate(void *state, const struct coturn_auth_allocate *request, struct coturn_auth_denial *denial) {
  (void)state;
  (void)request;
  (void)denial;
  return is("allocates-nothing") ? 0 : is("odd-allocate") ? 2 : 1;
}

static int session_bound(void *state, const struct coturn_auth_session *session) {
  (void)state;
  (void)session;
  return is("odd-reason") ? -1 : 0;
}

static int reload(void *state) {
  (void)state;
  if (is("stops-slowly")) { /* the main thread falls behind the relay threads */
    sleep(7);
  }
  return is("reload-fails") ? -1 : 0;
}

static void stop(void *state) {
  (void)state;
  if (is("stops-slowly")) {
    host->log(COTURN_AUTH_LOG_INFO, "stops slowly");
    usleep(3000 * 1000);
  }
  /* a call back after the end */
  host->complete(&handles[0], COTURN_AUTH_DENIED, NULL, NULL);
}

static struct {
  struct coturn_auth_module module;
  char newer[64]; /* members that this host does not know */
} table = {.module = {
               .header = COTURN_AUTH_HEADER(struct coturn_auth_module),
               .name = "broken",
               .version = "1.0",
               .init = init,
               .authenticate = authenticate,
               .challenge = challenge,
               .session_bound = session_bound,
               .allocate = allocate,
               .reload = reload,
               .stop = stop,
           }};

__attribute__((visibility("default"))) const struct coturn_auth_module *
coturn_auth_module(const struct coturn_auth_host *h);

const struct coturn_auth_module *coturn_auth_module(const struct coturn_auth_host *h) {
  const char *how = getenv("BROKEN");
  struct coturn_auth_module *m = &table.module;
  (void)h;
  if (!how) {
    return m;
  }
  if (!strcmp(how, "returns-null")) {
    return NULL;
  }
  if (!strcmp(how, "wrong-magic")) {
    m->header.magic = 0xdeadbeef;
  }
  if (!strcmp(how, "newer-major")) {
    m->header.abi_major = 2;
    m->header.abi_minor = 5;
  }
  if (!strcmp(how, "short-table")) {
    m->header.struct_size = offsetof(struct coturn_auth_module, authenticate);
  }
  if (!strcmp(how, "oldest-table")) {
    m->header.struct_size = offsetof(struct coturn_auth_module, challenge);
  }
  if (!strcmp(how, "newer-minor")) {
    m->header.abi_minor = 9;
    m->header.struct_size = sizeof(table);
    memset(table.newer, 0xff, sizeof(table.newer));
  }
  if (!strcmp(how, "no-name")) {
    m->name = NULL;
  }
  if (!strcmp(how, "no-version")) {
    m->version = NULL;
  }
  if (!strcmp(how, "no-init")) {
    m->init = NULL;
  }
  if (!strcmp(how, "no-authenticate")) {
    m->authenticate = NULL;
  }
  return m;
}
