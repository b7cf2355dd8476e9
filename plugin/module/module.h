/*
 * module.h - what the files of turncred.so share
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The module joins coturn's ABI (coturn_auth_module.h) with the store and the credential formats.
 * Relay threads call authenticate() and the session functions, listening threads call challenge(),
 * too. All of them work in memory that the thread made before: none of them blocks or asks the
 * database, and authenticate() does not allocate.
 *
 *   entry.c            the table that coturn loads; starts, reloads and stops the module
 *   module_settings.c  the table of settings in the module's configuration file
 *   thread.c           what each thread of the host keeps: a reader, a workspace, its last grant
 *   challenge.c        challenge(): which realm a client is challenged for
 *   authenticate.c     authenticate(): finds the realm and asks its mechanisms in order
 *   attempt.c          one authentication: refusals, candidates, the grant
 *   token.c            the mechanism token: RFC 7635
 *   derived.c          the mechanisms derived and rest: keys from a shared secret and the USERNAME
 *   pushed.c           the mechanism pushed: keys that are rows of the database
 *   subject.c          whether a revocation or a disabled key refuses a subject
 *   alternate.c        allocate(): where clients of a drained server are sent
 *   fleet_quota.c      quota across servers: who is at it, and elsewhere
 *   peer.c             check_peer(): the peers that a realm allows and denies
 *   sessions.c         the session functions of the ABI, and the sweep after a revocation
 *   usage.c            who used what: from the relay threads to a journal
 *   usage_entry.c      its records as JSON
 *   usage_delivery.c   from the journal to the database
 *   counters.c         counters and gauges
 *   metrics.c          a Prometheus endpoint, for hosts that have none
 *   status.c           status(): what turnserver's telnet interface shows
 *   log.c, text.c      lines for the host's log; copies and addresses as text
 *
 * The way of a STUN message
 *
 *   1. An Allocate without credentials comes. The host calls challenge() (challenge.c): the
 *      listening address, the ORIGIN or the REALM choose a realm of the snapshot, and the host
 *      answers 401 with its name and, where tokens are offered, its server name.
 *   2. The Allocate comes again, with USERNAME and MESSAGE-INTEGRITY. The host calls authenticate()
 *      (authenticate.c). thread_get() gives the thread's reader and workspace, store_acquire() the
 *      newest snapshot, store_realm_find() the realm. A realm that is not in the snapshot is
 *      declined: coturn goes on as without a module.
 *   3. With an ACCESS-TOKEN, token_authenticate() decides alone: kid, decryption, times, revocation.
 *      Without one, each mechanism of the realm offers candidates (derived.c, pushed.c):
 *      attempt_offer() holds the newest, and tries it itself only when another one follows.
 *   4. attempt_fill_grant() notes the subject as this thread's last grant. The host takes key and
 *      limits from the grant, and verifies MESSAGE-INTEGRITY with the key.
 *   5. If MESSAGE-INTEGRITY is right, the host calls session_bound() on the same thread, before any
 *      other request: sessions.c asks the newest snapshot once more whether the subject is revoked,
 *      and remembers which session is whose. session_end() forgets the session.
 *   6. After each change of keys or revocations the store's thread sweeps (entry.c on_changed,
 *      sessions.c): sessions whose subject is refused now are closed by the host.
 */
#ifndef TURNCRED_MODULE_H
#define TURNCRED_MODULE_H

#include "core/turncred.h"
#include "include/coturn_auth_module.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct alternates;
struct config;
struct core_dump;
struct fleet_quota;
struct metrics;
struct sessions;
struct thread;
struct usage;
struct usage_record;

#define MECHANISM_COUNT 5 /* enum store_mechanism is 1 to 4 */

struct module {
  const struct coturn_auth_host *host;
  struct config *config;
  struct store *store;
  struct sessions *sessions;
  struct usage *usage;
  struct alternates *alternates;
  struct fleet_quota *fleet_quota;
  atomic_bool counts_fleet; /* a realm has quota_scope fleet */
  atomic_bool draining;     /* an administrator drains this server */
  struct core_dump *core_dump;
  struct metrics *metrics; /* NULL: no endpoint is configured */
  pthread_key_t thread_key;
  pthread_mutex_t threads_lock;
  struct thread *threads;    /* one for each thread of the host that called; for stop() */
  pthread_mutex_t stop_lock; /* held while the store's thread sweeps */
  bool stopping;
  uint64_t swept; /* store_snapshot_subjects of the last sweep */
  int64_t started_at;
};

/* --- log.c --------------------------------------------------------------------------------- */

void module_log(const struct module *module, enum coturn_auth_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- text.c -------------------------------------------------------------------------------- */

/* Copies as much of from as fits into cap octets with the NUL. */
void copy_text(char *to, size_t cap, const char *from);
/* The address as text, without port; an IPv4-mapped address as IPv4. "": addr is NULL, of another
 * family, or does not fit into cap octets. */
void address_text(const struct sockaddr *addr, char *text, size_t cap);

/* --- counters.c: static storage, since the host reads them until the process ends ------------ */

enum counter {
  COUNTER_DECLINED,
  COUNTER_CHALLENGES,
  COUNTER_SESSIONS_REVOKED,
  COUNTER_GRANTS_REVOKED, /* grants whose subject was revoked before session_bound() */
  COUNTER_SNAPSHOTS,
  COUNTER_PEERS_DENIED,
  COUNTER_USAGE_DELIVERED,
  COUNTER_USAGE_DROPPED,
  COUNTER_USAGE_LOST,
  COUNTER_PLAIN
};
enum gauge {
  GAUGE_SESSIONS,
  GAUGE_ALLOCATIONS,
  GAUGE_DRAINING,
  GAUGE_DATABASE_UP,
  GAUGE_SNAPSHOT_AGE,
  GAUGE_GENERATION,
  GAUGE_REALMS,
  GAUGE_KEYS,
  GAUGE_CREDENTIALS,
  GAUGE_REVOCATIONS,
  GAUGE_REFUSED_ROWS,
  GAUGE_USAGE_JOURNAL,
  GAUGE_COUNT
};
void counter_add(enum counter counter);
void counter_granted(enum store_mechanism mechanism);
void counter_denied(enum coturn_auth_reason reason);
void gauge_set(enum gauge gauge, uint64_t value);
void gauge_add(enum gauge gauge, int64_t delta);
uint64_t gauge_get(enum gauge gauge);
/* Sets the gauges that show the state of the store. */
void counters_refresh(const struct module *module);
/* Registers all counters with the host. 0, or -1: the host has not taken each. */
int counters_register(const struct module *module);

/* --- subject.c: to whom a grant was given, in the words that a revocation uses ---------------- */

/* Everything by which a grant can be revoked. "" where a name does not apply. */
struct subject {
  enum store_mechanism mechanism;
  const char *realm;       /* the challenged realm */
  const char *key_realm;   /* the realm of the key (another one for guest kids) */
  const char *kid;         /* "" for pushed */
  const char *user;        /* "" for tokens */
  const char *fingerprint; /* of the token, "" for others */
  int64_t issued;          /* UTC seconds; where the credential does not say when it was issued, the
                              earliest time at which it can have been */
};
/* COTURN_AUTH_REASON_NONE: nothing refuses the subject. _REVOKED: a revocation does. _UNKNOWN_KEY: its
 * key has been disabled. */
enum coturn_auth_reason subject_refused(const struct store_snapshot *snapshot, const struct subject *subject);

/* --- thread.c: what each thread of the host keeps ---------------------------------------------- */

/* The grant that this thread gave last. authenticate() returns a key before anybody knows whether the
 * client has it; only session_bound() says that it verified a request. Between the two the subject
 * must be kept somewhere, and the ABI promises that the host calls session_bound(), if at all, on the
 * thread that got the grant and before that thread calls authenticate() again. So one place in each
 * thread is enough, without a lock or an allocation. authenticate() empties the place, session_bound()
 * compares ref and refuses a session whose grant is not the last one. The texts of subject point into
 * the buffers behind it. */
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
/* The calling thread's; made at its first call. NULL: out of memory. */
struct thread *thread_get(struct module *module);

/* --- attempt.c: one authentication on its way through the mechanisms -------------------------- */

/* A long-term key that may be the one that the client used. */
struct candidate {
  enum store_mechanism mechanism;
  uint8_t key[TURNCRED_LONG_TERM_MD5];
  int64_t expires;  /* 0: never */
  int64_t issued;   /* as in struct subject */
  const char *user; /* inside the request's USERNAME; not NUL-terminated */
  size_t user_len;
  const struct store_key *store_key; /* NULL for pushed */
  struct store_limits limits;
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
  enum coturn_auth_reason reason; /* of the refusals so far the one that says most */
  struct candidate held;          /* the newest candidate; granted unless another one is found right */
  bool have_held;
};

/* Notes why a mechanism refused; the reason that says most is kept. */
void attempt_refuse(struct attempt *attempt, enum coturn_auth_reason reason);
/* Why a key that store_key_accepts() refuses verifies nothing now: EXPIRED (accept_until has passed), NOT_YET_VALID, or
 * UNKNOWN_KEY (disabled). Says in the log, once a minute at most, which key has expired. */
enum coturn_auth_reason attempt_key_refused(const struct attempt *attempt, const struct store_key *key);
/* Holds a candidate. The host verifies whatever is granted, so the module tries a candidate itself
 * only when another one follows it. True: the candidate held before verifies the request; it stays
 * held, and the caller offers no more. */
bool attempt_offer(struct attempt *attempt, const struct candidate *candidate);
enum coturn_auth_verdict attempt_deny(struct attempt *attempt, uint16_t error_code);
/* Grants the candidate that is held; its user gives the identity and the names. */
enum coturn_auth_verdict attempt_grant_user(struct attempt *attempt);
/* Fills in what all grants have: expiry policy, limits (the stricter ones of the realm and of the key or credential),
 * ref. Notes the subject as the thread's last grant. */
void attempt_fill_grant(struct attempt *attempt, const struct subject *subject, int64_t expires,
                        const struct store_limits *limits);
int attempt_identity(struct attempt *attempt, const char *kind, const void *name, size_t name_len);
enum coturn_auth_reason reason_of(enum turncred_err err);

/* The mechanisms. token decides alone; the others offer candidates, and return true when one of them
 * is known to be right. */
enum coturn_auth_verdict token_authenticate(struct attempt *attempt);
bool derived_candidates(struct attempt *attempt);
bool rest_candidates(struct attempt *attempt);
bool pushed_candidates(struct attempt *attempt);

/* --- sessions.c: which live session belongs to which subject ------------------------------------ */

struct sessions *sessions_new(void);
void sessions_free(struct sessions *sessions);
/* Remembers the session. COTURN_AUTH_REASON_NONE; or the reason for which the subject is refused now,
 * or _MODULE_ERROR when memory is short. */
enum coturn_auth_reason sessions_bind(struct sessions *sessions, struct thread *thread, uint64_t session,
                                      const struct last_grant *grant);
/* Of a session that lives, valid while a call of its relay thread lasts; NULL: there is none. */
const struct subject *sessions_subject(struct sessions *sessions, uint64_t session);
/* Forgets the session. Returns the record of its allocation; NULL: nothing is recorded. */
struct usage_record *sessions_end(struct sessions *sessions, uint64_t session);
/* The server stops: ends the records of all sessions that live, for this reason. No other call runs any more. */
void sessions_stop_usage(struct sessions *sessions, struct usage *usage, const char *why);
/* Closes the sessions whose subject the snapshot refuses. */
void sessions_sweep(struct sessions *sessions, const struct module *module, const struct store_snapshot *snapshot);

/* --- entry points ------------------------------------------------------------------------------ */

enum coturn_auth_verdict module_authenticate(void *state, const struct coturn_auth_request *request,
                                             struct coturn_auth_grant *grant, struct coturn_auth_denial *denial);
int module_allocate(void *state, const struct coturn_auth_allocate *request, struct coturn_auth_denial *denial);
int module_accept_nonce(void *state, const struct coturn_auth_nonce *request);
enum coturn_auth_verdict module_challenge(void *state, const struct coturn_auth_challenge_request *request,
                                          struct coturn_auth_challenge *challenge);
int module_session_bound(void *state, const struct coturn_auth_session *session);
int module_check_peer(void *state, const struct coturn_auth_peer *peer);
int module_session_allocated(void *state, const struct coturn_auth_allocation *allocation);
void module_session_report(void *state, const struct coturn_auth_session_report *report);
void module_session_end(void *state, const struct coturn_auth_session_end *end);
void module_status(void *state, coturn_auth_status_fn emit, void *arg);

/* --- metrics.c: Prometheus on loopback, for hosts that have no endpoint -------------------------- */

/* NULL: the endpoint does not open; err says why. */
struct metrics *metrics_start(struct module *module, const char *address, char *err, size_t err_cap);
void metrics_stop(struct metrics *metrics);

/* --- core_dump.c: no key in a core of the host ---------------------------------------------------- */

/* NULL: out of memory or threads. */
struct core_dump *core_dump_start(const struct module *module);
void core_dump_stop(struct core_dump *core_dump); /* NULL is allowed */

#endif
