/*
 * load_stats.c - counters and times of a load run
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "load_stats.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void samples_add_ns(struct samples *s, uint64_t ns) {
  if (s->count == s->cap) {
    size_t cap = s->cap ? s->cap * 2 : 4096;
    uint32_t *us = realloc(s->us, cap * sizeof(*us));
    if (!us) {
      fputs("turnload: no memory for another sample; make the run shorter\n", stderr);
      exit(2);
    }
    s->us = us;
    s->cap = cap;
  }
  uint64_t us = ns / 1000;
  s->us[s->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

void samples_clear(struct samples *s) {
  free(s->us);
  memset(s, 0, sizeof(*s));
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* The smallest sample that at least permille/1000 of all do not exceed. */
static uint32_t rank(const struct samples *s, uint64_t permille) {
  return s->us[(s->count * permille + 999) / 1000 - 1];
}

struct summary samples_summary(struct samples *s) {
  struct summary sum = {.count = s->count};
  if (s->count == 0) {
    return sum;
  }
  qsort(s->us, s->count, sizeof(*s->us), by_value);
  sum.p50 = rank(s, 500);
  sum.p90 = rank(s, 900);
  sum.p99 = rank(s, 990);
  sum.p999 = rank(s, 999);
  sum.max = s->us[s->count - 1];
  return sum;
}

const char *load_step_name(enum load_step step) {
  static const char *const names[STEP_COUNT] = {"challenge", "allocate", "refresh", "channel_bind"};
  return step < STEP_COUNT ? names[step] : "unknown";
}

static uint64_t count_codes(const struct code_counts *codes) {
  uint64_t n = 0;
  for (int step = 0; step < STEP_COUNT; step++) {
    for (int i = 0; i <= LOAD_CODE_MAX - LOAD_CODE_MIN; i++) {
      n += codes->n[step][i];
    }
  }
  return n;
}

bool load_stats_ok(const struct load_stats *s) {
  return count_codes(&s->unexpected) == 0 && s->lost == 0 && s->accepted_wrong == 0 && s->malformed == 0 &&
         s->bad_integrity == 0 && s->not_started == 0 && s->too_long == 0 && s->calls_failed == 0 &&
         s->calls_silent == 0;
}

/* {"allocate 437": 5, ...} */
static json_t *codes_json(const struct code_counts *codes) {
  json_t *object = json_object();
  for (int step = 0; step < STEP_COUNT; step++) {
    for (int i = 0; i <= LOAD_CODE_MAX - LOAD_CODE_MIN; i++) {
      char name[32];
      if (codes->n[step][i] == 0) {
        continue;
      }
      snprintf(name, sizeof(name), "%s %d", load_step_name(step), LOAD_CODE_MIN + i);
      json_object_set_new(object, name, json_integer((json_int_t)codes->n[step][i]));
    }
  }
  return object;
}

static json_t *samples_json(struct samples *samples) {
  struct summary s = samples_summary(samples);
  return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "count", (json_int_t)s.count, "p50", (json_int_t)s.p50, "p90",
                   (json_int_t)s.p90, "p99", (json_int_t)s.p99, "p999", (json_int_t)s.p999, "max", (json_int_t)s.max);
}

static double per_second(const struct load_stats *s) {
  return s->seconds > 0 ? (double)(s->completed + s->refused) / s->seconds : 0;
}

static void set_count(json_t *object, const char *name, uint64_t n) {
  json_object_set_new(object, name, json_integer((json_int_t)n));
}

/* UTC seconds; null: never */
static void set_time(json_t *object, const char *name, uint64_t ns) {
  json_object_set_new(object, name, ns ? json_real((double)(ns / 1000) / 1e6) : json_null());
}

static void print_json(struct load_stats *s) {
  json_t *o = json_object(), *calls = json_object();
  json_object_set_new(o, "ok", json_boolean(load_stats_ok(s)));
  set_count(o, "started", s->started);
  set_count(o, "completed", s->completed);
  set_count(o, "refused", s->refused);
  set_count(o, "accepted_wrong", s->accepted_wrong);
  set_count(o, "lost", s->lost);
  set_count(o, "retransmits", s->retransmits);
  set_count(o, "unreachable", s->unreachable);
  set_count(o, "stale_nonce", s->stale_nonce);
  set_count(o, "late", s->late);
  set_count(o, "malformed", s->malformed);
  set_count(o, "bad_integrity", s->bad_integrity);
  set_count(o, "not_started", s->not_started);
  set_count(o, "too_long", s->too_long);
  json_object_set_new(o, "unexpected", codes_json(&s->unexpected));
  json_object_set_new(o, "expected", codes_json(&s->expected));
  json_object_set_new(o, "seconds", json_real(s->seconds));
  json_object_set_new(o, "sequences_per_second", json_real(per_second(s)));
  json_object_set_new(o, "sequence_us", samples_json(&s->sequence));
  json_object_set_new(o, "login_us", samples_json(&s->login));
  json_object_set_new(o, "refusal_us", samples_json(&s->refusal));
  set_time(o, "last_login_at", s->last_login_ns);
  set_time(o, "first_refusal_at", s->first_refusal_ns);
  set_count(calls, "asked", s->calls);
  set_count(calls, "established", s->calls_established);
  set_count(calls, "failed", s->calls_failed);
  set_count(calls, "silent", s->calls_silent);
  set_count(calls, "sent", s->datagrams_sent);
  set_count(calls, "received", s->datagrams_received);
  json_object_set_new(calls, "rtt_us", samples_json(&s->rtt));
  json_object_set_new(calls, "relay_us", samples_json(&s->relay));
  json_object_set_new(o, "calls", calls);
  set_count(o, "loop_lag_us", s->loop_lag_ns / 1000);
  json_dumpf(o, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(16));
  putchar('\n');
  json_decref(o);
}

static void print_samples(const char *name, struct samples *samples) {
  struct summary s = samples_summary(samples);
  if (s.count) {
    printf("%-10s %10zu %10u %10u %10u %10u %10u\n", name, s.count, s.p50, s.p90, s.p99, s.p999, s.max);
  }
}

static void print_count(const char *name, uint64_t n) {
  if (n) {
    printf("%-28s %10llu\n", name, (unsigned long long)n);
  }
}

static void print_codes(const char *kind, const struct code_counts *codes) {
  for (int step = 0; step < STEP_COUNT; step++) {
    for (int i = 0; i <= LOAD_CODE_MAX - LOAD_CODE_MIN; i++) {
      char name[64];
      snprintf(name, sizeof(name), "%s %s %d", kind, load_step_name(step), LOAD_CODE_MIN + i);
      print_count(name, codes->n[step][i]);
    }
  }
}

static void print_text(struct load_stats *s) {
  printf("%-28s %10llu in %.2f s, %.1f a second\n", "sequences finished",
         (unsigned long long)(s->completed + s->refused), s->seconds, per_second(s));
  print_count("logged in", s->completed);
  print_count("wrong, refused", s->refused);
  print_count("WRONG, LET IN", s->accepted_wrong);
  print_count("LOST", s->lost);
  print_count("BAD MESSAGE-INTEGRITY", s->bad_integrity);
  print_count("MALFORMED", s->malformed);
  print_count("NOT STARTED", s->not_started);
  print_count("REQUEST TOO LONG", s->too_long);
  print_codes("UNEXPECTED", &s->unexpected);
  print_codes("expected", &s->expected);
  print_count("retransmitted", s->retransmits);
  print_count("ICMP errors", s->unreachable);
  print_count("stale nonces", s->stale_nonce);
  print_count("late or duplicate answers", s->late);
  if (s->calls) {
    print_count("calls", s->calls);
    print_count("CALLS FAILED", s->calls_failed);
    print_count("CALLS SILENT", s->calls_silent);
    print_count("datagrams sent", s->datagrams_sent);
    print_count("datagrams lost", s->datagrams_sent - s->datagrams_received);
  }
  printf("%-10s %10s %10s %10s %10s %10s %10s\n", "us", "count", "p50", "p90", "p99", "p99.9", "worst");
  print_samples("sequence", &s->sequence);
  print_samples("login", &s->login);
  print_samples("refusal", &s->refusal);
  print_samples("call rtt", &s->rtt);
  print_samples("relay", &s->relay);
  printf("%-10s %65llu\n", "own lag", (unsigned long long)(s->loop_lag_ns / 1000));
}

void load_stats_print(struct load_stats *stats, bool as_json) {
  if (as_json) {
    print_json(stats);
  } else {
    print_text(stats);
  }
}

void load_stats_clear(struct load_stats *stats) {
  samples_clear(&stats->sequence);
  samples_clear(&stats->login);
  samples_clear(&stats->refusal);
  samples_clear(&stats->rtt);
  samples_clear(&stats->relay);
}
