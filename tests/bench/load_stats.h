/*
 * load_stats.h - counters and times of a load run
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef LOAD_STATS_H
#define LOAD_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Durations in microseconds. All are kept, so percentiles are exact. */
struct samples {
  uint32_t *us;
  size_t count, cap;
};

void samples_add_ns(struct samples *s, uint64_t ns); /* exits if there is no memory */
void samples_clear(struct samples *s);

struct summary {
  size_t count;
  uint32_t p50, p90, p99, p999, max;
};
/* Sorts the samples. */
struct summary samples_summary(struct samples *s);

/* The requests of a client, in the order it makes them. */
enum load_step { STEP_CHALLENGE, STEP_ALLOCATE, STEP_REFRESH, STEP_CHANNEL_BIND, STEP_COUNT };
const char *load_step_name(enum load_step step);

#define LOAD_CODE_MIN 300
#define LOAD_CODE_MAX 699
/* Error answers by step and code. */
struct code_counts {
  uint64_t n[STEP_COUNT][LOAD_CODE_MAX - LOAD_CODE_MIN + 1];
};

struct load_stats {
  uint64_t started, completed; /* sequences; completed: all three answers were right */
  uint64_t refused;            /* wrong passwords that were answered 401, as they must be */
  uint64_t accepted_wrong;     /* wrong passwords that were let in */
  uint64_t lost;               /* requests without any answer after all retransmissions */
  uint64_t retransmits;
  uint64_t unreachable;   /* ICMP errors seen by the socket; the request goes on being sent */
  uint64_t stale_nonce;   /* 438, answered with the new nonce */
  uint64_t late;          /* answers to a transaction that is over (duplicates) */
  uint64_t malformed;     /* datagrams that are no STUN message, or lack an attribute */
  uint64_t bad_integrity; /* successes whose MESSAGE-INTEGRITY is missing or wrong */
  uint64_t too_long;      /* requests that do not fit into a message: the credential is too long */
  uint64_t not_started;   /* the machine refused a socket */
  struct code_counts unexpected;
  struct code_counts expected; /* allowed by --expect */
  struct samples sequence;     /* first packet sent (due, with --rate) to last answer */
  struct samples login;        /* authenticated Allocate to its success */
  struct samples refusal;      /* Allocate with a wrong password to its 401 */
  /* UTC times at which requests were sent; they show when the server stopped accepting a credential */
  uint64_t last_login_ns;    /* the last Allocate that was let in */
  uint64_t first_refusal_ns; /* the first refused request with the right key */

  uint64_t calls, calls_established, calls_failed, calls_silent;
  uint64_t datagrams_sent, datagrams_received;
  struct samples rtt;   /* client, relay, peer, relay, client */
  struct samples relay; /* the server's part of it: both ways, by the kernel's stamps */

  uint64_t loop_lag_ns; /* worst delay of a timer in the generator itself */
  double seconds;       /* first sequence started to last one finished */
};

/* False if anything happened that the run's options do not allow. */
bool load_stats_ok(const struct load_stats *stats);
void load_stats_print(struct load_stats *stats, bool as_json);
void load_stats_clear(struct load_stats *stats);

#endif
