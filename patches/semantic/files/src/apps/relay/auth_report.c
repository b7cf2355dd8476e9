/*
 * auth_report.c - counters of the authentication module and the log of refusals
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_private.h"

#define COUNTERS_MAX (512)
#define LINES_PER_SECOND (50)
#define LINES_BURST (100)

static uint64_t counts[AUTH_COUNT_MAX];
static uint64_t refused[COTURN_AUTH_REASON_COUNT];
static uint64_t unlogged;

static struct coturn_auth_counter counters[COUNTERS_MAX];
static size_t counters_number = 0;
static pthread_mutex_t counters_mutex = PTHREAD_MUTEX_INITIALIZER;

static const struct {
  const char *name;
  const char *help;
} count_texts[AUTH_COUNT_MAX] = {
    {"granted_requests", "requests verified with a new grant of the module"},
    {"verified_requests", "requests verified with the grant in force, without asking the module"},
    {"declined_requests", "requests that the module left to coturn's own mechanisms"},
    {"pending_requests", "requests that the module answered later"},
    {"coalesced_requests", "retransmissions of requests whose answer was awaited"},
    {"late_completions", "completions of requests that nobody awaited any more"},
    {"challenges", "challenges sent"},
    {"sessions_bound", "sessions that were bound to a grant"},
    {"sessions_ended", "sessions with a grant that have ended"},
    {"sessions_closed", "sessions that the module closed"},
    {"observed_same", "requests judged alike by module and coturn"},
    {"observed_only_module", "requests that only the module would have let in"},
    {"observed_only_coturn", "requests that only coturn let in"},
};

void auth_count(enum auth_count which) { __atomic_fetch_add(&counts[which], 1, __ATOMIC_RELAXED); }

static int is_registered(const struct coturn_auth_counter *counter) {
  const char *value = counter->label_value ? counter->label_value : "";
  size_t i;
  for (i = 0; i < counters_number; ++i) {
    const char *others = counters[i].label_value ? counters[i].label_value : "";
    if (!strcmp(counters[i].name, counter->name) && !strcmp(others, value)) {
      return 1;
    }
  }
  return 0;
}

int auth_register_counter(const struct coturn_auth_counter *counter) {
  struct coturn_auth_counter c;
  size_t size = sizeof(c);
  int ret = -1;
  if (!counter || counter->header.magic != COTURN_AUTH_MAGIC ||
      !COTURN_AUTH_HAS(counter, struct coturn_auth_counter, is_gauge) || !counter->name || !counter->value) {
    return -1;
  }
  /* The module may be older or newer than this host. */
  if (counter->header.struct_size < size) {
    size = (size_t)counter->header.struct_size;
  }
  memset(&c, 0, sizeof(c));
  memcpy(&c, counter, size);
  c.header = (struct coturn_auth_header)COTURN_AUTH_HEADER(c);
  pthread_mutex_lock(&counters_mutex);
  if (counters_number < COUNTERS_MAX && !is_registered(&c)) {
    counters[counters_number] = c;
    __atomic_store_n(&counters_number, counters_number + 1, __ATOMIC_RELEASE);
    ret = 0;
  }
  pthread_mutex_unlock(&counters_mutex);
  return ret;
}

void auth_visit_counters(coturn_auth_counter_fn fn, void *arg) {
  size_t i, n = __atomic_load_n(&counters_number, __ATOMIC_ACQUIRE);
  if (!fn) {
    return;
  }
  for (i = 0; i < n; ++i) {
    fn(&counters[i], __atomic_load_n(counters[i].value, __ATOMIC_RELAXED), arg);
  }
}

void auth_report_init(void) {
  const struct coturn_auth_counter empty = {.header = COTURN_AUTH_HEADER(empty)};
  struct coturn_auth_counter c = empty;
  unsigned i;
  for (i = 0; i < AUTH_COUNT_MAX; ++i) {
    c.name = count_texts[i].name;
    c.help = count_texts[i].help;
    c.value = &counts[i];
    auth_register_counter(&c);
  }
  for (i = 1; i < COTURN_AUTH_REASON_COUNT; ++i) {
    c = empty;
    c.name = "refused_requests";
    c.help = "requests refused, by reason";
    c.label = "reason";
    c.label_value = auth_reason_name(i);
    c.value = &refused[i];
    auth_register_counter(&c);
  }
  c = empty;
  c.name = "unlogged_lines";
  c.help = "log lines left out because there were too many";
  c.value = &unlogged;
  auth_register_counter(&c);
}

/* A token bucket: a flood of bad requests must not become a flood of log lines. */
static int line_allowed(uint64_t *left_out) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static uint64_t last = 0, tokens = LINES_BURST * 1000, skipped = 0;
  int ret = 0;
  uint64_t now = auth_monotonic_ms();
  pthread_mutex_lock(&mutex);
  tokens += (now - last) * LINES_PER_SECOND;
  if (!last || tokens > LINES_BURST * 1000) {
    tokens = LINES_BURST * 1000;
  }
  last = now;
  if (tokens >= 1000) {
    tokens -= 1000;
    *left_out = skipped;
    skipped = 0;
    ret = 1;
  } else {
    ++skipped;
    __atomic_fetch_add(&unlogged, 1, __ATOMIC_RELAXED);
  }
  pthread_mutex_unlock(&mutex);
  return ret;
}

static void write_line(TURN_LOG_LEVEL level, const char *line, uint64_t left_out) {
  if (left_out) {
    TURN_LOG_FUNC(TURN_LOG_LEVEL_WARNING, "auth-module: %llu lines left out\n", (unsigned long long)left_out);
  }
  TURN_LOG_FUNC(level, "%s\n", line);
}

void auth_report_line(TURN_LOG_LEVEL level, const char *line) {
  uint64_t left_out = 0;
  if (line_allowed(&left_out)) {
    write_line(level, line, left_out);
  }
}

void auth_report_refusal(const struct auth_refusal *r) {
  char line[900], client[129] = "", realm[COTURN_AUTH_REALM_MAX + 1], user[257], method[129] = "";
  uint64_t left_out = 0;
  unsigned reason =
      r->reason < COTURN_AUTH_REASON_COUNT && r->reason ? r->reason : (unsigned)COTURN_AUTH_REASON_MODULE_ERROR;

  __atomic_fetch_add(&refused[reason], 1, __ATOMIC_RELAXED);

  /* A stale nonce is everyday life; it is counted, not logged. */
  if (reason == COTURN_AUTH_REASON_STALE_NONCE || !line_allowed(&left_out)) {
    return;
  }

  if (r->client) {
    addr_to_string_no_port(r->client, (uint8_t *)client);
  }
  auth_escape(realm, sizeof(realm), r->realm ? r->realm : "");
  auth_escape(user, sizeof(user), r->user ? r->user : "");
  stun_method_str(r->method, method);
  snprintf(line, sizeof(line),
           "auth-module: refused client=%s port=%d realm=\"%s\" user=\"%s\" method=%s code=%d "
           "reason=%s session=%018llu",
           client, r->client ? addr_get_port(r->client) : 0, realm, user, method, r->code, auth_reason_name(reason),
           (unsigned long long)r->session);
  write_line(TURN_LOG_LEVEL_WARNING, line, left_out);
}
