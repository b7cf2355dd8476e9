/*
 * auth_call.c - the module's table, and the gate through which every call of the module goes
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_private.h"

#define CLOSE_MS (2000)

struct coturn_auth_module auth_module;
void *auth_module_state = NULL;

static int stopping = 0;
static int calls = 0;

int auth_module_enter(void) {
  __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&stopping, __ATOMIC_SEQ_CST)) {
    auth_module_leave();
    return -1;
  }
  return 0;
}

int auth_module_stopping(void) { return __atomic_load_n(&stopping, __ATOMIC_SEQ_CST); }

void auth_module_leave(void) { __atomic_fetch_sub(&calls, 1, __ATOMIC_SEQ_CST); }

int auth_module_close(void) {
  const uint64_t until = auth_monotonic_ms() + CLOSE_MS;
  if (__atomic_exchange_n(&stopping, 1, __ATOMIC_SEQ_CST)) {
    return -1;
  }
  while (__atomic_load_n(&calls, __ATOMIC_SEQ_CST) && auth_monotonic_ms() < until) {
    usleep(1000);
  }
  return 0;
}
