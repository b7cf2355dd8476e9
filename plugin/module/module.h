/*
 * module.h - what the files of turncred.so share
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The module joins coturn's ABI (coturn_auth_module.h) with the store and the credential formats.
 * Everything that runs on a relay thread (authenticate, sessions) or on one that listens, too
 * (challenge), works in memory that the thread made before: nothing there blocks, asks the database
 * or, in authenticate(), allocates.
 */
#ifndef TURNCRED_MODULE_H
#define TURNCRED_MODULE_H

#include "include/coturn_auth_module.h"
#include "store/store.h"
#include "core/turncred.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct metrics;
struct sessions;
struct thread;

#define MECHANISM_COUNT 5 /* enum store_mechanism is 1 to 4 */

struct module {
  const struct coturn_auth_host *host;
  struct config *config;
  struct store *store;
  struct sessions *sessions;
  struct metrics *metrics; /* NULL: no endpoint of our own */
  pthread_key_t thread_key;
  pthread_mutex_t threads_lock;
  struct thread *threads;    /* all that are alive, for stop() */
  pthread_mutex_t stop_lock; /* held while the store's thread sweeps */
  bool stopping;
  uint64_t swept; /* store_snapshot_subjects of the last sweep */
  int64_t started_at;
};

/* --- log.c --------------------------------------------------------------------------------- */

void module_log(const struct module *module, enum coturn_auth_log_level level, const char *format,
                ...) __attribute__((format(printf, 3, 4)));

/* Copies as much as fits, with the NUL. (attempt.c) */
void copy_text(char *to, size_t cap, const char *from);

/* --- counters.c: static storage, since the host reads them until the process ends ------------ */

enum counter {
  COUNTER_DECLINED,
  COUNTER_CHALLENGES,
  COUNTER_SESSIONS_REVOKED,
  COUNTER_GRANTS_REVOKED, /* lost the race against a revocation */
  COUNTER_SNAPSHOTS,
  COUNTER_PLAIN
};
enum gauge {
  GAUGE_SESSIONS,
  GAUGE_DATABASE_UP,
  GAUGE_SNAPSHOT_AGE,
  GAUGE_GENERATION,
  GAUGE_REALMS,
  GAUGE_KEYS,
  GAUGE_CREDENTIALS,
  GAUGE_REVOCATIONS,
  GAUGE_REFUSED_ROWS,
  GAUGE_COUNT
};
void counter_add(enum counter counter);
void counter_granted(enum store_mechanism mechanism);
void counter_denied(enum coturn_auth_reason reason);
void gauge_set(enum gauge gauge, uint64_t value);
void gauge_add(enum gauge gauge, int64_t delta);
/* Brings the gauges that follow the store up to date. */
void counters_refresh(const struct module *module);
int counters_register(const struct module *module); /* 0, or -1 when the host has no room */

const char *mechanism_name(enum store_mechanism mechanism);

/* --- subject.c: whose grant it is, in the words that a revocation uses ------------------------ */

/* Everything by which a grant can be revoked. "" where a name does not apply. */
struct subject {
  enum store_mechanism mechanism;
  const char *realm;       /* the challenged realm */
  const char *key_realm;   /* the realm of the key (another one for guest kids) */
  const char *kid;         /* "" for pushed */
  const char *user;        /* "" for tokens */
  const char *fingerprint; /* of the token, "" for others */
  int64_t issued;          /* not issued later than this, as far as can be proven */
};
/* COTURN_AUTH_REASON_NONE, _REVOKED, or _UNKNOWN_KEY when the key has been disabled. */
enum coturn_auth_reason subject_refused(const struct store_snapshot *snapshot,
                                        const struct subject *subject);

/* --- thread.c: what one thread that asks keeps ------------------------------------------------ */

/* The grant that this thread gave last, until session_bound() says that it verified a request. */
struct last_grant {
  uint64_t ref; /* 0: none */
  struct subject subject;
  char realm[TURNCRED_REALM_MAX + 1];
  char key_realm[TURNCRED_REALM_MAX + 1];
  char kid[TURNCRED_USERNAME_MAX + 1];
  char user[TURNCRED_USERNAME_MAX + 1];
  char fingerprint[33];
};

struct thread {
  struct thread *next, **link;
  struct module *module;
  struct store_reader *reader;
  struct turncred_ws *ws;
  struct last_grant last;
};
int threads_init(struct module *module); /* 0 or an errno value */
void threads_free(struct module *module);
struct thread *thread_get(struct module *module); /* NULL: no memory */

/* --- attempt.c: one authentication on its way through the mechanisms -------------------------- */

/* A long-term key that may be the one that the client used. */
struct candidate {
  enum store_mechanism mechanism;
  uint8_t key[TURNCRED_LONG_TERM_MD5];
  int64_t expires; /* 0: never */
  int64_t issued;
  const char *user; /* not NUL-terminated; inside the request's USERNAME */
  size_t user_len;
  const struct store_key *store_key; /* NULL for pushed */
};

struct attempt {
  struct module *module;
  struct thread *thread;
  const struct store_snapshot *snapshot;
  const struct store_realm *realm;
  const struct coturn_auth_request *request;
  struct coturn_auth_grant *grant;
  struct coturn_auth_denial *denial;
  int64_t now;
  enum coturn_auth_reason reason; /* the most telling one so far */
  struct candidate held;          /* waits for the next one to come, or for the end */
  bool have_held;
};

/* Notes why a mechanism refused; the most telling reason is kept. */
void attempt_refuse(struct attempt *attempt, enum coturn_auth_reason reason);
/* Takes a candidate key. The host verifies whatever is granted, so only when a second candidate
 * turns up is the first one tried here. True: the right one is found, stop looking. */
bool attempt_offer(struct attempt *attempt, const struct candidate *candidate);
enum coturn_auth_verdict attempt_deny(struct attempt *attempt, uint16_t error_code);
/* Grants the candidate that is held; identity and names from its user. */
enum coturn_auth_verdict attempt_grant_user(struct attempt *attempt);
/* The members that all grants have: expiry policy, quota, ref; remembers the subject. */
void attempt_fill_grant(struct attempt *attempt, const struct subject *subject, int64_t expires);
int attempt_identity(struct attempt *attempt, const char *kind, const void *name, size_t name_len);
enum coturn_auth_reason reason_of(enum turncred_err err);

/* The mechanisms. token decides by itself; the others offer candidates. */
enum coturn_auth_verdict token_authenticate(struct attempt *attempt);
bool derived_candidates(struct attempt *attempt);
bool rest_candidates(struct attempt *attempt);
bool pushed_candidates(struct attempt *attempt);

/* --- sessions.c: which session is whose --------------------------------------------------------
 */

struct sessions *sessions_new(void);
void sessions_free(struct sessions *sessions);
/* 0, or an enum coturn_auth_reason: revoked meanwhile, or no memory. */
enum coturn_auth_reason sessions_bind(struct sessions *sessions, struct thread *thread,
                                      uint64_t session, const struct last_grant *grant);
void sessions_end(struct sessions *sessions, uint64_t session);
/* Closes the sessions whose subject the snapshot refuses. */
void sessions_sweep(struct sessions *sessions, const struct module *module,
                    const struct store_snapshot *snapshot);

/* --- entry points ------------------------------------------------------------------------------
 */

enum coturn_auth_verdict module_authenticate(void *state, const struct coturn_auth_request *request,
                                             struct coturn_auth_grant *grant,
                                             struct coturn_auth_denial *denial);
enum coturn_auth_verdict module_challenge(void *state,
                                          const struct coturn_auth_challenge_request *request,
                                          struct coturn_auth_challenge *challenge);
int module_session_bound(void *state, const struct coturn_auth_session *session);
void module_session_end(void *state, const struct coturn_auth_session_end *end);
void module_status(void *state, coturn_auth_status_fn emit, void *arg);

/* Textual address, without port, IPv4-mapped addresses as IPv4. "" if it is neither IPv4 nor v6. */
void address_text(const struct sockaddr *addr, char *text, size_t cap);

/* --- metrics.c: Prometheus on loopback, for hosts that have no endpoint -------------------------
 */

struct metrics *metrics_start(struct module *module, const char *address, char *err,
                              size_t err_cap);
void metrics_stop(struct metrics *metrics);

#endif
