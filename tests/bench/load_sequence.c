/*
 * load_sequence.c - many short logins: Allocate, 401, Allocate, success, Refresh(0), success
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "load_sequence.h"

#include <stdlib.h>

struct sequence {
  struct load_client client; /* first: a client is its sequence */
  struct load_sequences *all;
  uint64_t due_ns, login_ns, login_utc_ns;
};

static void start_due(struct load_sequences *s);

static void check_finished(struct load_sequences *s) {
  struct load_stats *stats = &s->net->stats;
  if (!s->stopping || s->in_flight > 0 || s->done) {
    return;
  }
  s->done = true;
  evtimer_del(&s->pacer);
  stats->seconds = (double)(load_now_ns() - s->begun_ns) / 1e9;
  s->finished(s->arg);
}

static void end(struct sequence *q) {
  struct load_sequences *s = q->all;
  load_client_close(&q->client);
  free(q);
  s->in_flight--;
  start_due(s);
  check_finished(s);
}

static void on_allocated(struct sequence *q) {
  struct load_stats *stats = &q->all->net->stats;
  if (q->client.wrong) {
    stats->accepted_wrong++;
  } else {
    samples_add_ns(&stats->login, load_now_ns() - q->login_ns);
  }
  if (q->login_utc_ns > stats->last_login_ns) {
    stats->last_login_ns = q->login_utc_ns;
  }
  q->client.lifetime = 0;
  load_client_request(&q->client, STEP_REFRESH);
}

static void on_error(struct sequence *q, enum load_step step, unsigned code) {
  struct load_stats *stats = &q->all->net->stats;
  if (step == STEP_CHALLENGE && code == 401 && load_client_login(&q->client)) {
    q->login_ns = load_now_ns();
    q->login_utc_ns = load_utc_ns();
    load_client_request(&q->client, STEP_ALLOCATE);
    return;
  }
  if (step == STEP_ALLOCATE && code == 401 && q->client.wrong) {
    stats->refused++;
    samples_add_ns(&stats->refusal, load_now_ns() - q->login_ns);
  } else {
    load_client_count(&q->client, step, code);
    if (step == STEP_ALLOCATE && (stats->first_refusal_ns == 0 || q->login_utc_ns < stats->first_refusal_ns)) {
      stats->first_refusal_ns = q->login_utc_ns;
    }
  }
  end(q);
}

static void on_answer(struct load_client *client, enum load_step step, const struct load_answer *answer) {
  struct sequence *q = (struct sequence *)client;
  struct load_stats *stats = &q->all->net->stats;
  if (answer->kind == ANSWER_ERROR) {
    on_error(q, step, answer->code);
    return;
  }
  if (answer->kind == ANSWER_SUCCESS && step == STEP_ALLOCATE) {
    on_allocated(q);
    return;
  }
  if (answer->kind == ANSWER_SUCCESS && step == STEP_CHALLENGE) {
    stats->accepted_wrong++; /* let in without any credential */
  } else if (answer->kind == ANSWER_SUCCESS && !client->wrong) {
    stats->completed++;
    samples_add_ns(&stats->sequence, load_now_ns() - q->due_ns);
  }
  end(q);
}

/* Spreads the wrong ones evenly: every n-th for a share of 1/n. */
static bool is_wrong(double share, uint64_t n) {
  return (uint64_t)((double)(n + 1) * share) != (uint64_t)((double)n * share);
}

/* False if the machine has no socket left. */
static bool start_one(struct load_sequences *s, uint64_t due_ns) {
  struct load_stats *stats = &s->net->stats;
  struct sequence *q = calloc(1, sizeof(*q));
  uint64_t number = stats->started++;
  if (!q || !load_client_open(&q->client, s->net, on_answer, NULL)) {
    free(q);
    stats->not_started++;
    return false;
  }
  q->all = s;
  q->due_ns = due_ns;
  q->client.wrong = is_wrong(s->wrong, number);
  s->in_flight++;
  load_client_request(&q->client, STEP_CHALLENGE); /* on_answer() frees q */
  // cppcheck-suppress memleak
  return true;
}

/* Starts the sequences that are due, as far as there is room. With a rate, a sequence that had to wait for room counts
 * its waiting, so that a slow server cannot hide behind a slow generator. */
static void start_due(struct load_sequences *s) {
  struct load_stats *stats = &s->net->stats;
  uint64_t now = load_now_ns();
  double elapsed = (double)(now - s->begun_ns) / 1e9;
  if (s->seconds > 0 && elapsed >= s->seconds) {
    s->stopping = true;
  }
  while (!s->stopping && s->in_flight < s->concurrency) {
    uint64_t due_ns = now;
    if (s->rate > 0) {
      due_ns = s->begun_ns + (uint64_t)((double)stats->started / s->rate * 1e9);
      if (due_ns > now) {
        break;
      }
    }
    if (!start_one(s, due_ns)) {
      break; /* the pacer tries again */
    }
    if (s->count && stats->started >= s->count) {
      s->stopping = true;
    }
  }
}

static void on_pace(evutil_socket_t fd, short what, void *arg) {
  struct load_sequences *s = arg;
  (void)fd, (void)what;
  start_due(s);
  check_finished(s);
}

void load_sequences_start(struct load_sequences *s) {
  double period = s->rate > 0 ? 1 / s->rate : 0.01;
  if (period < 0.001) {
    period = 0.001;
  }
  if (period > 0.01) {
    period = 0.01;
  }
  struct timeval tv = {.tv_usec = (suseconds_t)(period * 1e6)};
  s->begun_ns = load_now_ns();
  event_assign(&s->pacer, s->net->base, -1, EV_PERSIST, on_pace, s);
  evtimer_add(&s->pacer, &tv);
  start_due(s);
  check_finished(s);
}

void load_sequences_stop(struct load_sequences *s) { s->stopping = true; }
