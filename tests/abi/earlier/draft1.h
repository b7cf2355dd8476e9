/*
 * draft1.h - coturn_auth_module.h as it was in the first draft; only for tests
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The only file that coturn and a module share. C11 and C++, no dependency beyond <stdint.h>,
 * <stddef.h> and <sys/socket.h>.
 *
 * Change log (append only; one line per member or rule ever added)
 *   1.0  first version
 *
 * What a module can expect, in this order
 *   1. turnserver reads its configuration. It refuses to start unless lt-cred-mech stands beside
 *      auth-module, the path is absolute, and neither the file nor its folder is writable by
 *      group or others (or by a user who is neither root nor the server's own).
 *   2. dlopen(RTLD_NOW | RTLD_LOCAL); COTURN_AUTH_MODULE_ENTRY is looked up and called once with
 *      the host table. It returns the module's table, or NULL to refuse (after host->log).
 *   3. init(), once, after daemonising and before the first packet. It may run as root or
 *      already as the server's user. Threads may be started here.
 *   4. challenge(), authenticate(), session_bound(), session_end(): on relay threads, several at
 *      once. They must not block.
 *   5. reload(), status(): on the server's admin or signal thread.
 *   6. stop(): before exit. The module is never dlclosed.
 *
 * Rules of compatibility
 *   - Every struct begins with struct coturn_auth_header. The maker of a struct fills it in with
 *     COTURN_AUTH_HEADER(the_struct); the reader looks at a member only if it lies inside
 *     struct_size (COTURN_AUTH_HAS).
 *   - Members are only ever appended. A module runs on a host of the same ABI major, older or
 *     newer; another major, or a wrong magic, is refused at start with both sides named.
 *   - All times are UTC seconds in 64 bits. All lengths are octets. Strings are UTF-8 octets as
 *     they came from the wire, NUL-terminated, and may hold anything but NUL: escape before
 *     you print.
 *   - Nothing that a callback receives stays valid after the callback returns. Nothing that it
 *     fills in needs freeing: results are fixed arrays in memory of the host.
 */
#ifndef COTURN_AUTH_MODULE_H
#define COTURN_AUTH_MODULE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

#define COTURN_AUTH_MAGIC 0x43415554u /* "CAUT" */
#define COTURN_AUTH_ABI_MAJOR 1
#define COTURN_AUTH_ABI_MINOR 0

/* Name of the one symbol that a module exports; see coturn_auth_module_entry_fn. */
#define COTURN_AUTH_MODULE_ENTRY "coturn_auth_module"

#define COTURN_AUTH_KEY_MAX 64      /* octets of an HMAC key */
#define COTURN_AUTH_NAME_MAX 512    /* octets of a name, no NUL (RFC 8489: USERNAME < 509) */
#define COTURN_AUTH_REALM_MAX 127   /* octets of a realm, without the NUL (coturn's own limit) */
#define COTURN_AUTH_IDENTITY_MAX 64 /* octets of an identity */
#define COTURN_AUTH_SERVER_NAME_MAX 255

struct coturn_auth_header {
  uint32_t magic;     /* COTURN_AUTH_MAGIC */
  uint16_t abi_major; /* of whoever filled in the struct */
  uint16_t abi_minor;
  uint64_t struct_size; /* sizeof the struct as its maker knew it */
};

#define COTURN_AUTH_HEADER(type) {COTURN_AUTH_MAGIC, COTURN_AUTH_ABI_MAJOR, COTURN_AUTH_ABI_MINOR, sizeof(type)}

/* True if the struct that p points to is long enough to hold the member. */
#define COTURN_AUTH_HAS(p, type, member)                                                                               \
  ((p)->header.struct_size >= offsetof(type, member) + sizeof(((type *)0)->member))

/* --------------------------------------------------------------------------------------------
 * Values
 */

enum coturn_auth_verdict {
  COTURN_AUTH_DECLINED = 0, /* not mine: coturn's own mechanisms go on (denied with auth-module-only) */
  COTURN_AUTH_GRANTED = 1,  /* the grant is filled in; the host verifies MESSAGE-INTEGRITY with it */
  COTURN_AUTH_DENIED = 2,   /* the denial is filled in; no other lookup is tried */
  COTURN_AUTH_PENDING = 3   /* host->complete() will be called, exactly once, with one of the above */
};

/* Why a request is refused. Fixed: they become the labels of counters and words in the log.
 * coturn_auth_reason_names below has the words. */
enum coturn_auth_reason {
  COTURN_AUTH_REASON_NONE = 0,
  COTURN_AUTH_REASON_EXPIRED,
  COTURN_AUTH_REASON_NOT_YET_VALID,
  COTURN_AUTH_REASON_INTEGRITY_MISMATCH,
  COTURN_AUTH_REASON_UNKNOWN_KEY,
  COTURN_AUTH_REASON_UNKNOWN_USER,
  COTURN_AUTH_REASON_BAD_TOKEN,
  COTURN_AUTH_REASON_BAD_USERNAME,
  COTURN_AUTH_REASON_REVOKED,
  COTURN_AUTH_REASON_REALM_MISMATCH,
  COTURN_AUTH_REASON_TOO_FAR_AHEAD,
  COTURN_AUTH_REASON_STORE_UNAVAILABLE,
  COTURN_AUTH_REASON_LIFETIME_REFUSED, /* lifetime 0, or longer than the realm allows */
  COTURN_AUTH_REASON_TOKEN_NOT_OFFERED,
  COTURN_AUTH_REASON_MECHANISM_NOT_OFFERED,
  COTURN_AUTH_REASON_ADDRESS_MISMATCH,
  COTURN_AUTH_REASON_IDENTITY_MISMATCH, /* another user than the one who made the allocation */
  COTURN_AUTH_REASON_STALE_NONCE,
  COTURN_AUTH_REASON_MALFORMED, /* an attribute is missing, too long or not acceptable */
  COTURN_AUTH_REASON_QUOTA,
  COTURN_AUTH_REASON_TIMEOUT,          /* a pending request was not completed in time */
  COTURN_AUTH_REASON_CANNOT_POSTPONE,  /* pending where only an immediate answer counts */
  COTURN_AUTH_REASON_TOO_MANY_PENDING, /* the bound on pending requests is reached */
  COTURN_AUTH_REASON_MODULE_ERROR,     /* the module broke this contract, or failed */
  COTURN_AUTH_REASON_COUNT
};

#define COTURN_AUTH_REASON_NAMES                                                                                       \
  {"none",                                                                                                             \
   "expired",                                                                                                          \
   "not_yet_valid",                                                                                                    \
   "integrity_mismatch",                                                                                               \
   "unknown_key",                                                                                                      \
   "unknown_user",                                                                                                     \
   "bad_token",                                                                                                        \
   "bad_username",                                                                                                     \
   "revoked",                                                                                                          \
   "realm_mismatch",                                                                                                   \
   "too_far_ahead",                                                                                                    \
   "store_unavailable",                                                                                                \
   "lifetime_refused",                                                                                                 \
   "token_not_offered",                                                                                                \
   "mechanism_not_offered",                                                                                            \
   "address_mismatch",                                                                                                 \
   "identity_mismatch",                                                                                                \
   "stale_nonce",                                                                                                      \
   "malformed",                                                                                                        \
   "quota",                                                                                                            \
   "timeout",                                                                                                          \
   "cannot_postpone",                                                                                                  \
   "too_many_pending",                                                                                                 \
   "module_error"}

/* Why authenticate() is asked: bits of coturn_auth_request.why. */
#define COTURN_AUTH_WHY_FIRST 0x01u              /* the session has no key yet */
#define COTURN_AUTH_WHY_INTEGRITY_MISMATCH 0x02u /* the key in force does not verify it */
#define COTURN_AUTH_WHY_EXPIRED 0x04u            /* the deadline of the key in force has passed */
#define COTURN_AUTH_WHY_TOKEN 0x08u              /* the request carries ACCESS-TOKEN */
#define COTURN_AUTH_WHY_USERNAME 0x10u           /* USERNAME differs from the one in force */
#define COTURN_AUTH_WHY_OBSERVE 0x20u            /* auth-module-observe: the answer is only logged */

/* Bits of coturn_auth_request.flags. */
#define COTURN_AUTH_REQ_HAS_ALLOCATION 0x01u /* the session holds an allocation */
#define COTURN_AUTH_REQ_CAN_PEND 0x02u       /* COTURN_AUTH_PENDING is possible */
#define COTURN_AUTH_REQ_WANTS_TOKEN 0x04u    /* the client sent THIRD-PARTY-AUTHORIZATION (3GPP flow) */
#define COTURN_AUTH_REQ_MOBILITY 0x08u       /* resumes a mobile allocation (RFC 8016) */

enum coturn_auth_transport {
  COTURN_AUTH_TRANSPORT_UNKNOWN = 0,
  COTURN_AUTH_TRANSPORT_UDP = 1,
  COTURN_AUTH_TRANSPORT_TCP = 2,
  COTURN_AUTH_TRANSPORT_TLS = 3,
  COTURN_AUTH_TRANSPORT_DTLS = 4,
  COTURN_AUTH_TRANSPORT_SCTP = 5,
  COTURN_AUTH_TRANSPORT_TLS_SCTP = 6
};

/* What a deadline means for a session (coturn_auth_grant.expiry_policy). */
enum coturn_auth_expiry {
  COTURN_AUTH_EXPIRY_STRICT = 0,  /* every lifetime is capped by what is left; it ends at the deadline */
  COTURN_AUTH_EXPIRY_GRACE = 1,   /* as strict, grace_seconds later */
  COTURN_AUTH_EXPIRY_ALLOCATE = 2 /* looked at when the allocation is made, not afterwards */
};

enum coturn_auth_log_level {
  COTURN_AUTH_LOG_DEBUG = 0,
  COTURN_AUTH_LOG_INFO = 1,
  COTURN_AUTH_LOG_WARNING = 2,
  COTURN_AUTH_LOG_ERROR = 3
};

/* --------------------------------------------------------------------------------------------
 * authenticate()
 */

/* Names one pending request. (relay, session, generation, transaction) are folded into it by the
 * host; the module copies it and hands it back to host->complete(). */
struct coturn_auth_handle {
  uint64_t session;
  uint64_t request;
};

struct coturn_auth_request {
  struct coturn_auth_header header;
  struct coturn_auth_handle handle;
  uint64_t session;            /* session id as in coturn's log, unique in the process */
  uint32_t why;                /* COTURN_AUTH_WHY_* */
  uint32_t flags;              /* COTURN_AUTH_REQ_* */
  uint16_t method;             /* STUN method: 0x003 Allocate, 0x004 Refresh, ... */
  uint16_t transport;          /* enum coturn_auth_transport, client side */
  uint32_t username_len;       /* octets of username */
  const char *username;        /* USERNAME as on the wire */
  const char *realm;           /* the realm that was challenged (not the one the client claims) */
  const uint8_t *access_token; /* raw octets of ACCESS-TOKEN, only if it stands before
                                  MESSAGE-INTEGRITY and the method is Allocate or Refresh; else NULL */
  size_t access_token_len;
  const uint8_t *message; /* the whole STUN message, for host->check_integrity() */
  size_t message_len;
  const struct sockaddr *client_addr;
  const struct sockaddr *local_addr; /* the address the client sent to */
  uint64_t grant_ref;                /* ref of the grant in force in this session, 0 if there is none */
  const char *origin;                /* canonic ORIGIN of the session, "" if none */
};

/* Filled in by the module when it answers COTURN_AUTH_GRANTED. The host has zeroed it. */
struct coturn_auth_grant {
  struct coturn_auth_header header;
  uint8_t key[COTURN_AUTH_KEY_MAX]; /* HMAC-SHA1 key of MESSAGE-INTEGRITY. 16 octets for a long-term
                                       key (RFC 8489 9.2.2), 20 for RFC 7635 */
  uint32_t key_len;                 /* 1 to COTURN_AUTH_KEY_MAX */
  uint32_t expiry_policy;           /* enum coturn_auth_expiry */
  int64_t expires;                  /* UTC seconds; 0: never */
  uint32_t grace_seconds;
  uint32_t user_quota;                         /* allocations of quota_name in this realm; 0: as coturn is configured */
  uint64_t max_bps;                            /* octets per second of one session; 0: as coturn is configured */
  uint64_t ref;                                /* the module's own number, given back in session_bound, session_end and
                                                  later requests of the session */
  uint8_t identity[COTURN_AUTH_IDENTITY_MAX];  /* who this is, for renewal: a grant of another
                                                  identity inside an allocation is 441 */
  uint32_t identity_len;                       /* 0: the wire's USERNAME is the identity */
  uint32_t flags;                              /* 0 */
  char quota_name[COTURN_AUTH_NAME_MAX + 1];   /* whose quota is charged; "": the wire's USERNAME */
  char display_name[COTURN_AUTH_NAME_MAX + 1]; /* logs, CLI, Redis, Prometheus; "": the wire's USERNAME */
  char accounting_realm[COTURN_AUTH_REALM_MAX + 1]; /* "": the challenged realm */
  uint32_t total_quota;                             /* allocations of this realm; 0: as coturn is configured */
  uint32_t unused;                                  /* 0 */
};

/* Filled in by the module when it answers COTURN_AUTH_DENIED. The host has zeroed it. */
struct coturn_auth_denial {
  struct coturn_auth_header header;
  uint16_t error_code; /* STUN error: 400, 401, 403, 420, 437, 441, 486, 500, 508. 401 and 438 carry
                          a new challenge. 0 is taken as 401 */
  uint16_t reason;     /* enum coturn_auth_reason */
  uint32_t unused;     /* 0 */
  char display_name[COTURN_AUTH_NAME_MAX + 1]; /* kid, user id or fingerprint for the log; "": USERNAME */
};

/* --------------------------------------------------------------------------------------------
 * challenge()
 */

struct coturn_auth_challenge_request {
  struct coturn_auth_header header;
  const char *realm;  /* the realm that coturn itself would name (default, or chosen by ORIGIN) */
  const char *origin; /* "" if none */
  const struct sockaddr *client_addr;
  const struct sockaddr *local_addr;
  uint16_t transport; /* enum coturn_auth_transport */
  uint16_t method;
  uint32_t flags; /* COTURN_AUTH_REQ_WANTS_TOKEN */
};

struct coturn_auth_challenge {
  struct coturn_auth_header header;
  char realm[COTURN_AUTH_REALM_MAX + 1];
  char server_name[COTURN_AUTH_SERVER_NAME_MAX + 1]; /* THIRD-PARTY-AUTHORIZATION (RFC 7635 6.1) */
  uint32_t offers_tokens;                            /* 1: THIRD-PARTY-AUTHORIZATION is sent */
  uint32_t accepts_tokens;                           /* 0: a request with ACCESS-TOKEN gets 420 */
};

/* --------------------------------------------------------------------------------------------
 * sessions
 */

/* A grant has verified a request and is now in force in the session. Called on the relay thread
 * before the request is acted upon, at the first request and at every change of grant. */
struct coturn_auth_session {
  struct coturn_auth_header header;
  uint64_t session;
  uint64_t ref;          /* grant.ref now in force */
  uint64_t previous_ref; /* grant.ref that it replaces, 0 if none */
  const char *username;  /* as on the wire */
  const char *realm;
  const char *quota_name;
  const struct sockaddr *client_addr;
};

/* The session is over (its last notification). */
struct coturn_auth_session_end {
  struct coturn_auth_header header;
  uint64_t session;
  uint64_t ref;
  const char *display_name;
  const char *realm;
  uint64_t duration;       /* seconds since the session began */
  uint64_t received_bytes; /* from the client */
  uint64_t sent_bytes;     /* to the client */
  uint64_t peer_received_bytes;
  uint64_t peer_sent_bytes;
};

/* --------------------------------------------------------------------------------------------
 * counters: monotonic 64-bit numbers with at most one label, shown in the CLI and by Prometheus
 */

struct coturn_auth_counter {
  const char *name;               /* [a-z_]+, without prefix; static storage */
  const char *help;               /* one line; static storage */
  const char *label;              /* label name, or NULL */
  const char *label_value;        /* from a fixed set, or NULL; static storage */
  const volatile uint64_t *value; /* read with relaxed atomic loads; lives until the process ends */
  int is_gauge;                   /* 0 counter, 1 gauge */
};

typedef void (*coturn_auth_counter_fn)(const struct coturn_auth_counter *counter, uint64_t value, void *arg);
typedef void (*coturn_auth_status_fn)(const char *key, const char *value, void *arg);

/* --------------------------------------------------------------------------------------------
 * the host table: the module's only way back. Lives until the process ends. Every function may be
 * called from any thread unless it says otherwise.
 */
struct coturn_auth_host {
  struct coturn_auth_header header;
  const char *software; /* "coturn-4.6.1", for messages */

  /* One line, no newline, no secrets; the host escapes what is not printable. */
  void (*log)(enum coturn_auth_log_level level, const char *line);

  /* Wall clock, UTC seconds; and a clock that never steps, in milliseconds. */
  int64_t (*now)(void);
  uint64_t (*monotonic_ms)(void);

  /* Checks MESSAGE-INTEGRITY of request->message with an HMAC-SHA1 key of 1 to 64 octets, in
   * constant time. 1: matches, 0: does not, -1: no MESSAGE-INTEGRITY, or a bad argument.
   * Only inside authenticate(), with the request it received. */
  int (*check_integrity)(const struct coturn_auth_request *request, const uint8_t *key, size_t key_len);

  /* Completes a pending request, from any thread, also from inside authenticate(). verdict is
   * DECLINED, GRANTED (grant is copied) or DENIED (denial is copied). 0: taken; -1: unknown, late
   * or completed before, which does no harm. */
  int (*complete)(const struct coturn_auth_handle *handle, enum coturn_auth_verdict verdict,
                  const struct coturn_auth_grant *grant, const struct coturn_auth_denial *denial);

  /* Ends a session with its allocation (mobile or not) and its RFC 6062 connections. Returns at
   * once. 0: handed to the relay; -1: no such relay. */
  int (*close_session)(uint64_t session, enum coturn_auth_reason reason);

  /* Refuses an address as relay peer from now on (the module's own database). 0, or -1 if the
   * address is not IPv4 or IPv6. At most 64 different ones. */
  int (*deny_peer)(const struct sockaddr *addr);

  /* Adds a counter. 0, or -1 when the table (512) is full. Only inside init(). */
  int (*register_counter)(const struct coturn_auth_counter *counter);

  /* Calls fn for each counter of the host and of the module, in order of registration. */
  void (*visit_counters)(coturn_auth_counter_fn fn, void *arg);

  /* Overwrites memory in a way the compiler does not remove. */
  void (*zero)(void *p, size_t n);
};

/* --------------------------------------------------------------------------------------------
 * the module table: const, static storage. Members marked optional may be NULL.
 */
struct coturn_auth_module {
  struct coturn_auth_header header;
  const char *name;    /* "turncred" */
  const char *version; /* "1.0.0" */

  /* config: the string of auth-module-config, "" if none. 0: ready, *state is handed to every later
   * call. Anything else: turnserver does not start; the module has logged why. */
  int (*init)(const struct coturn_auth_host *host, const char *config, void **state);

  /* RFC 8489 9.2, RFC 7635 7. Exactly one verdict; see the enum. */
  enum coturn_auth_verdict (*authenticate)(void *state, const struct coturn_auth_request *request,
                                           struct coturn_auth_grant *grant, struct coturn_auth_denial *denial);

  /* Optional. Asked wherever a challenge is made. GRANTED: the challenge is filled in; DECLINED:
   * coturn makes its own (401 without THIRD-PARTY-AUTHORIZATION when auth-module-only); DENIED:
   * the client gets 500, nothing can be decided now. Never PENDING. */
  enum coturn_auth_verdict (*challenge)(void *state, const struct coturn_auth_challenge_request *request,
                                        struct coturn_auth_challenge *challenge);

  /* Optional. 0: go on. Else an enum coturn_auth_reason (revoked meanwhile): the request is refused
   * with 401 and the grant is not used. */
  int (*session_bound)(void *state, const struct coturn_auth_session *session);
  void (*session_end)(void *state, const struct coturn_auth_session_end *end);

  /* Optional. Reads settings and files again. 0, or -1 after logging why (the old ones stay). */
  int (*reload)(void *state);

  /* Optional. Calls emit for each line of state an operator wants to see. */
  void (*status)(void *state, coturn_auth_status_fn emit, void *arg);

  /* Optional. Ends threads, frees and cleanses. No call follows. */
  void (*stop)(void *state);
};

typedef const struct coturn_auth_module *(*coturn_auth_module_entry_fn)(const struct coturn_auth_host *host);

#ifdef __cplusplus
}
#endif

#endif /* COTURN_AUTH_MODULE_H */
