/*
 * auth_private.h - what the files of the authentication module share and no session's state is needed for
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#ifndef __AUTH_PRIVATE__
#define __AUTH_PRIVATE__

#include "auth_options.h"
#include "coturn_auth_module.h"
#include "mainrelay.h"
#include "ns_turn_auth_hooks.h"

/* An answer of the module, at once or later. */
struct auth_answer {
  enum coturn_auth_verdict verdict;
  struct coturn_auth_grant grant;
  struct coturn_auth_denial denial;
};

/* ---- auth_clock.c */

uint64_t auth_monotonic_ms(void);

/* ---- auth_text.c */

const char *auth_reason_name(unsigned reason);
/* Makes a name safe for logs, keys and format strings. */
void auth_escape(char *dst, size_t dst_size, const char *src);
/* Logs an error of the configuration or of the module at the start. Always -1. */
int auth_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- auth_call.c: the module's table and the gate of its calls */

extern struct coturn_auth_module auth_module; /* members that the module lacks are NULL */
extern void *auth_module_state;

/* A call of the module stands between these two. auth_module_enter(): 0, or -1 once the module is being stopped: then
 * the call must not begin, and auth_module_leave() is not called. */
int auth_module_enter(void);
void auth_module_leave(void);
int auth_module_stopping(void);
/* Lets no further call begin and waits for those that have begun, two seconds at most. -1: it was called before. */
int auth_module_close(void);

/* ---- what the session's rules have to say to the parts below */

/* Goes on with a request whose answer has come, on the relay thread of its session. */
typedef void (*auth_resume_fn)(turn_turnserver *server, turnsession_id session, const stun_tid *tid,
                               ioa_net_data *in_buffer, const struct auth_answer *answer);

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

struct auth_refusal {
  const ioa_addr *client;
  const char *realm;
  const char *user; /* kid, user id or fingerprint; may be "" */
  uint16_t method;
  int code;
  unsigned reason;
  uint64_t session;
};

/* ---- parts that are patches of their own: where a patch is left out, so is what it does */

#if __has_include("auth_report.h")
#include "auth_report.h"
#else
static inline void auth_report_init(void) {}
static inline void auth_count(enum auth_count which) { (void)which; }
static inline void auth_report_refusal(const struct auth_refusal *refusal) { (void)refusal; }
static inline void auth_report_line(TURN_LOG_LEVEL level, const char *line) { (void)level, (void)line; }
static inline int auth_register_counter(const struct coturn_auth_counter *counter) { return counter ? 0 : -1; }
static inline void auth_visit_counters(coturn_auth_counter_fn fn, void *arg) { (void)fn, (void)arg; }
#endif

#if __has_include("auth_pending.h")
#include "auth_pending.h"
#else
#define AUTH_PENDING_MAX (0)
#define auth_pending_init(resume) ((void)(resume))
#define auth_pending_ask(session) (0)
#define auth_pending_forget(request) ((void)(request))
#define auth_pending_wait(request, server, tid, in_buffer, answer) (-1)
#define auth_pending_drop(request, server) ((void)(server))
#define auth_pending_count() (0)
static inline int auth_complete(const struct coturn_auth_handle *handle, enum coturn_auth_verdict verdict,
                                const struct coturn_auth_grant *grant, const struct coturn_auth_denial *denial) {
  (void)handle, (void)verdict, (void)grant, (void)denial;
  return -1;
}
#endif

#if __has_include("auth_peers.h")
#include "auth_peers.h"
#else
static inline int auth_deny_peer(const struct sockaddr *addr) {
  (void)addr;
  return -1;
}
static inline int auth_denied_peer(const char *realm, const ioa_addr *addr) {
  (void)realm, (void)addr;
  return 0;
}
static inline void auth_peers_status(coturn_auth_status_fn emit, void *arg) { (void)emit, (void)arg; }
#endif

#if __has_include("auth_observe.h")
#define AUTH_CAN_OBSERVE (1)
#else
#define AUTH_CAN_OBSERVE (0)
#endif

#endif /* __AUTH_PRIVATE__ */
