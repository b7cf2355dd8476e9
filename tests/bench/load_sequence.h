/*
 * load_sequence.h - many short logins: Allocate, 401, Allocate, success, Refresh(0), success
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef LOAD_SEQUENCE_H
#define LOAD_SEQUENCE_H

#include "load_client.h"

struct load_sequences {
  /* set by the caller */
  struct load_net *net;
  double rate;          /* open loop: starts a second; 0: closed loop */
  unsigned concurrency; /* closed loop: so many at a time; open loop: at most so many */
  uint64_t count;       /* stop starting after so many; 0: no limit */
  double seconds;       /* stop starting after so long; 0: no limit */
  double wrong;         /* this share of them uses a wrong key */
  void (*finished)(void *arg);
  void *arg;
  /* private */
  uint64_t begun_ns;
  unsigned in_flight;
  bool stopping, done;
  struct event pacer;
};

void load_sequences_start(struct load_sequences *s);
/* Starts no more sequences; calls finished() when the sequences under way are over. */
void load_sequences_stop(struct load_sequences *s);

#endif
