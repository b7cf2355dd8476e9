/*
 * auth_private.h - what the files of the authentication module share
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#ifndef __AUTH_PRIVATE__
#define __AUTH_PRIVATE__

#include "auth_module.h"
#include "mainrelay.h"
#include "ns_turn_auth_hooks.h"

/* An answer of the module, at once or later. */
struct auth_answer {
  enum coturn_auth_verdict verdict;
  struct coturn_auth_grant grant;
  struct coturn_auth_denial denial;
};

/* ---- auth_module.c: the module */

extern struct coturn_auth_module auth_module; /* missing members are NULL */
extern void *auth_module_state;

/* No call of the module may begin once it is being stopped. 0: go on, and leave afterwards. */
int auth_module_enter(void);
void auth_module_leave(void);

int64_t auth_now(void);
uint64_t auth_monotonic_ms(void);

/* ---- auth_session.c: the hooks */

extern const struct turn_auth_hooks auth_session_hooks;

/* Goes on with a request whose answer has come. On the relay thread of the session. */
void auth_session_resume(turn_turnserver *server, turnsession_id session, const stun_tid *tid,
                         ioa_net_data *in_buffer, const struct auth_answer *answer);
turn_turnserver *auth_server_of(uint64_t session);
int auth_check_integrity(const struct coturn_auth_request *request, const uint8_t *key,
                         size_t key_len);
int auth_deny_peer(const struct sockaddr *addr);
void auth_peers_status(coturn_auth_status_fn emit, void *arg);

/* ---- auth_pending.c: requests that are asked or wait for their answer */

#define AUTH_PENDING_MAX     (10000)
#define AUTH_PENDING_TIMEOUT (5)

void auth_pending_init(void);
uint64_t auth_pending_ask(uint64_t session);
/* The module answered at once. */
void auth_pending_forget(uint64_t request);
/* The module answers later. 1: waiting, and in_buffer is taken; 0: the answer has come already and
 * is copied; -1: there are too many. */
int auth_pending_wait(uint64_t request, turn_turnserver *server, const stun_tid *tid,
                      ioa_net_data *in_buffer, struct auth_answer *answer);
void auth_pending_drop(uint64_t request, turn_turnserver *server);
int auth_complete(const struct coturn_auth_handle *handle, enum coturn_auth_verdict verdict,
                  const struct coturn_auth_grant *grant, const struct coturn_auth_denial *denial);
uint64_t auth_pending_count(void);

/* ---- auth_report.c: counters and the log of refusals */

enum auth_count {
  AUTH_COUNT_GRANTED = 0, /* requests that a new grant verified */
  AUTH_COUNT_IN_FORCE,    /* requests that the grant in force verified, without asking */
  AUTH_COUNT_DECLINED,
  AUTH_COUNT_PENDING,
  AUTH_COUNT_COALESCED,
  AUTH_COUNT_LATE,
  AUTH_COUNT_CHALLENGED,
  AUTH_COUNT_SESSIONS_BOUND,
  AUTH_COUNT_SESSIONS_ENDED,
  AUTH_COUNT_SESSIONS_CLOSED,
  AUTH_COUNT_OBSERVED_SAME,
  AUTH_COUNT_OBSERVED_ONLY_MODULE,
  AUTH_COUNT_OBSERVED_ONLY_COTURN,
  AUTH_COUNT_MAX
};

void auth_report_init(void);
void auth_count(enum auth_count which);
const char *auth_reason_name(unsigned reason);

/* Makes a name safe for logs, keys and format strings. */
void auth_escape(char *dst, size_t dst_size, const char *src);

struct auth_refusal {
  const ioa_addr *client;
  const char *realm;
  const char *user; /* kid, user id or fingerprint; may be "" */
  uint16_t method;
  int code;
  unsigned reason;
  uint64_t session;
};

void auth_report_refusal(const struct auth_refusal *refusal);
/* One line, at a capped rate. */
void auth_report_line(TURN_LOG_LEVEL level, const char *line);
int auth_register_counter(const struct coturn_auth_counter *counter);
void auth_visit_counters(coturn_auth_counter_fn fn, void *arg);

#endif /* __AUTH_PRIVATE__ */
