/*
 * coturn_auth_module.h - the interface between a patched coturn (the host) and an authentication module
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The only file that both sides share. C11 and C++. A whole module: plugin/examples/instant/instant.c of turncred.
 *
 * Change log, one line a member or rule
 *   1.0  first version (magic "CAU0"). Modules and hosts of its drafts ("CAUT", "CAU2" to "CAU4") and of this version
 *        refuse each other
 *
 * Members are only appended: a module runs on a host of the same major version, older or newer.
 *
 * What the host does with a module, in this order
 *   1. turnserver reads its configuration. It does not start unless lt-cred-mech stands beside auth-module, the path is
 *      absolute, and neither the file nor its folder is writable by group or others, or belongs to a user other than
 *      root and the server's own.
 *   2. dlopen(RTLD_NOW | RTLD_LOCAL); COTURN_AUTH_MODULE_ENTRY is called once with the host table. It returns the
 *      module's table, or NULL to refuse the host, after host->log().
 *   3. init(), once, after daemonising and before the first packet, as root or as the server's user. Threads may be
 *      started here.
 *   4. challenge(), authenticate(), check_peer(), session_...(): on relay threads, several at once; challenge() on
 *      listener threads as well, where coturn challenges without a session (from 4.16, with stateless-nonce). These
 *      calls must not block. session_...() and allocate() of one session come one after the other, from one thread.
 *      Of a grant that is given at once session_bound() comes from the thread of authenticate(), before that thread
 *      calls authenticate() again.
 *   5. reload() and status(): on the server's admin or signal thread.
 *   6. stop(): before the process ends. Sessions that live get no session_end(). The module is never unloaded.
 *
 * Rules
 *   - Every struct begins with struct coturn_auth_header, but for coturn_auth_handle and coturn_auth_traffic, which
 *     never change: further counts become members behind them. The side that makes a struct fills the header in with
 *     COTURN_AUTH_HEADER; the other side reads or writes a member only if COTURN_AUTH_HAS says that it lies inside.
 *   - A newer side may know more values: a side counts and names a reason that it does not know as MODULE_ERROR, and
 *     takes a transport as UNKNOWN, the end of a session as CLIENT, a bit as not set. A module answers with a verdict,
 *     an expiry policy or an error code of a later minor version only if the host's abi_minor has it.
 *   - Times are UTC seconds, lengths are octets. Strings end with NUL and hold the octets of the wire, any but NUL: a
 *     module escapes them before it prints them. Addresses of client and server may be NULL.
 *   - What a callback receives is valid until the callback returns. What a callback fills in is memory of the host and
 *     needs no freeing.
 */
#ifndef COTURN_AUTH_MODULE_H
#define COTURN_AUTH_MODULE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

#define COTURN_AUTH_ABI_MAJOR 1
#define COTURN_AUTH_ABI_MINOR 0
#define COTURN_AUTH_MAGIC 0x43415530u /* "CAU0" */

/* The one symbol that a module exports, a coturn_auth_module_entry_fn. */
#define COTURN_AUTH_MODULE_ENTRY "coturn_auth_module"

/* Limits in octets, strings without their NUL. */
#define COTURN_AUTH_KEY_MAX 64
#define COTURN_AUTH_NAME_MAX 512
#define COTURN_AUTH_REALM_MAX 127
#define COTURN_AUTH_IDENTITY_MAX 64
#define COTURN_AUTH_SERVER_NAME_MAX 255
#define COTURN_AUTH_NONCE_MAX 127

/* The versions are those of the side that made the struct; struct_size is its sizeof there. */
struct coturn_auth_header {
  uint32_t magic;
  uint16_t abi_major, abi_minor;
  uint64_t struct_size;
};

#define COTURN_AUTH_HEADER(type) {COTURN_AUTH_MAGIC, COTURN_AUTH_ABI_MAJOR, COTURN_AUTH_ABI_MINOR, sizeof(type)}

/* True if the struct that p points to is long enough to hold the member. */
#define COTURN_AUTH_HAS(p, type, member)                                                                               \
  ((p)->header.struct_size >= offsetof(type, member) + sizeof(((type *)0)->member))

/* ---- values */

/* DECLINED: the module does not know the user; coturn's own mechanisms go on, with auth-module-only the client gets
 * 401. GRANTED: the grant is filled in; the host verifies MESSAGE-INTEGRITY with its key. DENIED: the denial is filled
 * in; coturn's own mechanisms are not asked. PENDING: the module will call host->complete() once, with one of the
 * other three, within 5 seconds; 4 requests of a session and 10000 of the server may be pending. */
enum coturn_auth_verdict { COTURN_AUTH_DECLINED, COTURN_AUTH_GRANTED, COTURN_AUTH_DENIED, COTURN_AUTH_PENDING };

/* Why a request is refused: labels of counters and words of the log (COTURN_AUTH_REASON_NAMES). LIFETIME_REFUSED: a
 * lifetime of 0, or longer than the realm allows. IDENTITY_MISMATCH: another identity made the allocation. MALFORMED:
 * an attribute is missing, too long or not acceptable. TIMEOUT: a pending request was not completed in time.
 * CANNOT_POSTPONE: PENDING was answered to a request without COTURN_AUTH_REQ_CAN_PEND. MODULE_ERROR: the module broke
 * this contract, or failed. OPERATOR: an operator has a session ended, which is nobody's fault. DRAINING: the server
 * lets no new clients in. */
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
  COTURN_AUTH_REASON_LIFETIME_REFUSED,
  COTURN_AUTH_REASON_TOKEN_NOT_OFFERED,
  COTURN_AUTH_REASON_MECHANISM_NOT_OFFERED,
  COTURN_AUTH_REASON_ADDRESS_MISMATCH,
  COTURN_AUTH_REASON_IDENTITY_MISMATCH,
  COTURN_AUTH_REASON_STALE_NONCE,
  COTURN_AUTH_REASON_MALFORMED,
  COTURN_AUTH_REASON_QUOTA,
  COTURN_AUTH_REASON_TIMEOUT,
  COTURN_AUTH_REASON_CANNOT_POSTPONE,
  COTURN_AUTH_REASON_TOO_MANY_PENDING,
  COTURN_AUTH_REASON_MODULE_ERROR,
  COTURN_AUTH_REASON_OPERATOR,
  COTURN_AUTH_REASON_DRAINING,
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
   "module_error",                                                                                                     \
   "operator",                                                                                                         \
   "draining"}

/* Why authenticate() is called, bits. FIRST: the session has no grant yet. INTEGRITY_MISMATCH: the key in force does
 * not verify the message. EXPIRED: the deadline of the grant in force has passed. TOKEN: the request carries ACCESS-
 * TOKEN. USERNAME: it differs from that of the grant in force. OBSERVE: auth-module-observe, the answer is only
 * counted and logged. */
#define COTURN_AUTH_WHY_FIRST 0x01u
#define COTURN_AUTH_WHY_INTEGRITY_MISMATCH 0x02u
#define COTURN_AUTH_WHY_EXPIRED 0x04u
#define COTURN_AUTH_WHY_TOKEN 0x08u
#define COTURN_AUTH_WHY_USERNAME 0x10u
#define COTURN_AUTH_WHY_OBSERVE 0x20u

/* What a request is like, bits. HAS_ALLOCATION: the session holds an allocation. CAN_PEND: the module may answer
 * PENDING. WANTS_TOKEN: the client sent THIRD-PARTY-AUTHORIZATION, as clients of 3GPP do. MOBILITY: the request
 * resumes a mobile allocation (RFC 8016). DRAINING: coturn itself is being drained (SIGUSR1, from 4.6.3 on). */
#define COTURN_AUTH_REQ_HAS_ALLOCATION 0x01u
#define COTURN_AUTH_REQ_CAN_PEND 0x02u
#define COTURN_AUTH_REQ_WANTS_TOKEN 0x04u
#define COTURN_AUTH_REQ_MOBILITY 0x08u
#define COTURN_AUTH_REQ_DRAINING 0x10u

/* Between client and server. */
enum coturn_auth_transport {
  COTURN_AUTH_TRANSPORT_UNKNOWN,
  COTURN_AUTH_TRANSPORT_UDP,
  COTURN_AUTH_TRANSPORT_TCP,
  COTURN_AUTH_TRANSPORT_TLS,
  COTURN_AUTH_TRANSPORT_DTLS
};

/* What the deadline of a grant means. STRICT: every lifetime is capped by what is left, and the session ends at the
 * deadline. GRACE: the same, grace_seconds later. ALLOCATE: the deadline counts when the allocation is made, not
 * afterwards. From the grant on a monotonic clock counts: steps of the wall clock move no deadline, and while the
 * machine is suspended deadlines wait, as coturn's own timers do. */
enum coturn_auth_expiry { COTURN_AUTH_EXPIRY_STRICT, COTURN_AUTH_EXPIRY_GRACE, COTURN_AUTH_EXPIRY_ALLOCATE };

enum coturn_auth_log_level {
  COTURN_AUTH_LOG_DEBUG,
  COTURN_AUTH_LOG_INFO,
  COTURN_AUTH_LOG_WARNING,
  COTURN_AUTH_LOG_ERROR
};

/* ---- authenticate() */

/* Names one request, for host->complete(). session is the session whose socket the request came from; request is a
 * number that the host uses once. The module copies the handle. */
struct coturn_auth_handle {
  uint64_t session, request;
};

struct coturn_auth_request {
  struct coturn_auth_header header;
  struct coturn_auth_handle handle;
  /* The session that a grant will bind, as coturn's log names it, unique in the process: that of the handle, or for a
   * request that resumes a mobile allocation the session that has the allocation. */
  uint64_t session;
  uint32_t why, flags; /* COTURN_AUTH_WHY_*, COTURN_AUTH_REQ_* */
  uint16_t method;     /* 0x003 Allocate, 0x004 Refresh, ... */
  uint16_t transport;  /* enum coturn_auth_transport */
  uint32_t username_len;
  /* Never one that coturn's own rules refuse: with blanks, quotes, a backslash, or both "union" and "select". */
  const char *username;
  const char *realm; /* the challenged one, whatever the client names */
  /* ACCESS-TOKEN, if it stands before MESSAGE-INTEGRITY of an Allocate or Refresh; else NULL. */
  const uint8_t *access_token;
  size_t access_token_len;
  const uint8_t *message; /* the whole, for host->check_integrity() */
  size_t message_len;
  const struct sockaddr *client_addr, *local_addr; /* local_addr: the one that the client sent to */
  uint64_t grant_ref;                              /* grant.ref of the grant in force, 0 if there is none */
  /* ORIGIN of the session in canonical form (scheme, host, port, in lower case), "" if none. */
  const char *origin;
};

/* For COTURN_AUTH_GRANTED. The host has zeroed it. */
struct coturn_auth_grant {
  struct coturn_auth_header header;
  /* HMAC-SHA1 key of MESSAGE-INTEGRITY: 16 octets of a long-term key (RFC 8489 9.2.2), 20 of RFC 7635. */
  uint8_t key[COTURN_AUTH_KEY_MAX];
  uint32_t key_len;
  uint32_t expiry_policy; /* enum coturn_auth_expiry */
  int64_t expires;        /* UTC seconds; 0: never */
  uint32_t grace_seconds;
  /* Allocations of quota_name in this realm, and octets per second of one session, which stay those of the grant that
   * made the allocation; 0: as coturn is configured. */
  uint32_t user_quota;
  uint64_t max_bps;
  /* The module's own number, given back in session_bound(), session_end() and later requests. */
  uint64_t ref;
  /* Who this is: a grant of another identity inside an allocation is answered 441. With identity_len 0 USERNAME is the
   * identity. */
  uint8_t identity[COTURN_AUTH_IDENTITY_MAX];
  uint32_t identity_len;
  uint32_t total_quota; /* allocations of this realm; 0: as coturn is configured */
  /* Whose quota is charged, and what logs, CLI, Redis and Prometheus show; "": USERNAME. */
  char quota_name[COTURN_AUTH_NAME_MAX + 1], display_name[COTURN_AUTH_NAME_MAX + 1];
  char accounting_realm[COTURN_AUTH_REALM_MAX + 1]; /* "": the challenged realm */
};

/* For COTURN_AUTH_DENIED. The host has zeroed it. */
struct coturn_auth_denial {
  struct coturn_auth_header header;
  /* STUN error: 400, 401, 403, 420, 437, 438, 441, 486, 500 or 508; 401 and 438 carry a new challenge; 0 is taken as
   * 401. */
  uint16_t error_code;
  uint16_t reason;                             /* enum coturn_auth_reason */
  char display_name[COTURN_AUTH_NAME_MAX + 1]; /* key id, user id or fingerprint, for the log; "": USERNAME */
  /* Of allocate() alone, with error_code 300 (RFC 8489 10): where the client is to go, address and port in network
   * order, and the name that the other server's certificate has, where the client comes over TLS or DTLS; "": none. */
  struct sockaddr_storage alternate;
  char alternate_domain[COTURN_AUTH_SERVER_NAME_MAX + 1];
  /* A NONCE that the other server takes of this client (accept_nonce()); "": none. Browsers go there with the nonce
   * that they have, and take 438 for a failure. A host neither sends nor takes one that is longer than its sessions can
   * hold: 16 octets in coturn 4.6.1, 24 in 4.17. */
  char alternate_nonce[COTURN_AUTH_NONCE_MAX + 1];
};

/* ---- challenge() */

/* realm is the one that coturn itself would name: the default, or that of ORIGIN. */
struct coturn_auth_challenge_request {
  struct coturn_auth_header header;
  const char *realm, *origin;
  const struct sockaddr *client_addr, *local_addr;
  uint16_t transport, method;
  uint32_t flags;
};

struct coturn_auth_challenge {
  struct coturn_auth_header header;
  char realm[COTURN_AUTH_REALM_MAX + 1]; /* "": the one that coturn would name */
  /* The value of THIRD-PARTY-AUTHORIZATION (RFC 7635 6.1), which is sent if offers_tokens is 1. */
  char server_name[COTURN_AUTH_SERVER_NAME_MAX + 1];
  uint32_t offers_tokens;
  uint32_t accepts_tokens; /* the host has set 1; 0: a request with ACCESS-TOKEN is answered 420 */
};

/* ---- allocate() */

/* An Allocate that is authenticated, by a new grant or the one in force, of a session that holds no allocation. */
struct coturn_auth_allocate {
  struct coturn_auth_header header;
  uint64_t session, ref;
  const char *username, *realm; /* the challenged one */
  const struct sockaddr *client_addr, *local_addr;
  uint32_t flags; /* COTURN_AUTH_REQ_DRAINING */
  uint16_t transport;
};

/* A client whose session has no grant brings a NONCE with its Allocate that this server has not made. */
struct coturn_auth_nonce {
  struct coturn_auth_header header;
  const char *nonce, *realm; /* the challenged one */
  const struct sockaddr *client_addr;
};

/* ---- sessions */

/* A grant has verified a request and comes into force: at the first request of a session and at every change of grant,
 * before the request is acted upon. ref is its grant.ref, previous_ref that of the grant that it replaces, 0 if none.
 * */
struct coturn_auth_session {
  struct coturn_auth_header header;
  uint64_t session, ref, previous_ref;
  const char *username, *realm, *quota_name;
  const struct sockaddr *client_addr;
};

/* What a session has relayed so far: octets of whole messages, STUN and ChannelData headers included, and their number;
 * from the client and to it, from its peers and to them. */
struct coturn_auth_traffic {
  uint64_t received_bytes, sent_bytes, received_packets, sent_packets;
  uint64_t peer_received_bytes, peer_sent_bytes, peer_received_packets, peer_sent_packets;
};

/* A session with a grant holds an allocation now. A request that is refused, for its quota too, makes none. */
struct coturn_auth_allocation {
  struct coturn_auth_header header;
  uint64_t session, ref;
  const char *display_name, *realm;
  const struct sockaddr *client_addr;
  const struct sockaddr *relayed_addr, *relayed_addr6; /* as the client is told; NULL: none of this family */
  uint16_t transport;                                  /* enum coturn_auth_transport */
};

/* What an allocation that lives has relayed; duration: seconds since the session's first grant came into force. */
struct coturn_auth_session_report {
  struct coturn_auth_header header;
  uint64_t session, ref;
  uint64_t duration;
  struct coturn_auth_traffic traffic;
  const struct sockaddr *client_addr; /* of today: a mobile client has moved; NULL: it is moving */
};

/* Why a session is over. CLIENT: the client has released the allocation, or its connection has ended. EXPIRED: the
 * allocation was not refreshed, or its deadline has come. CLOSED: by close_session(). */
enum coturn_auth_ended { COTURN_AUTH_ENDED_CLIENT, COTURN_AUTH_ENDED_EXPIRED, COTURN_AUTH_ENDED_CLOSED };

/* A session with a grant is over; duration: seconds since its first grant came into force. */
struct coturn_auth_session_end {
  struct coturn_auth_header header;
  uint64_t session, ref;
  const char *display_name, *realm;
  uint64_t duration;
  struct coturn_auth_traffic traffic;
  uint32_t had_allocation; /* 1: session_allocated() was called for it, or would have been */
  uint16_t ended;          /* enum coturn_auth_ended */
  uint16_t reason;         /* enum coturn_auth_reason of close_session() */
};

/* ---- peers */

/* Somebody in this realm wants to relay to and from addr, whose port says nothing. An IPv4-mapped IPv6 address comes as
 * the IPv4 address; of another IPv6 address that stands for an IPv4 host (NAT64, 6to4, ...) the host asks for the
 * address itself and for the IPv4 address. */
struct coturn_auth_peer {
  struct coturn_auth_header header;
  const char *realm; /* that of the session's accounting; it may be one that the module does not know */
  const struct sockaddr *addr;
};

/* ---- counters: numbers with at most one label, for the CLI and Prometheus */

/* All strings are static: name is [a-z_]+ without a prefix, help one line, label_value one of a fixed set. Host and
 * module share the names. value is read with relaxed atomic loads until the process ends. */
struct coturn_auth_counter {
  struct coturn_auth_header header;
  const char *name, *help;
  const char *label, *label_value; /* or NULL */
  const volatile uint64_t *value;
  int is_gauge;
};

typedef void (*coturn_auth_counter_fn)(const struct coturn_auth_counter *counter, uint64_t value, void *arg);
typedef void (*coturn_auth_status_fn)(const char *key, const char *value, void *arg);

/* ---- the host table: functions of the host that a module may call, on any thread unless it says otherwise. It lives
 * until the process ends. */

struct coturn_auth_host {
  struct coturn_auth_header header;
  /* "coturn-4.6.1" and the version of the patches in it, "0.1.0", for messages and reports */
  const char *software, *series;

  /* Writes one line, without newline and secrets; the host escapes what is not printable. */
  void (*log)(enum coturn_auth_log_level level, const char *line);

  /* Checks MESSAGE-INTEGRITY with an HMAC-SHA1 key of 1 to 64 octets, in constant time. 1: the key verifies the
   * message, 0: it does not, -1: no MESSAGE-INTEGRITY, or a bad argument. Only inside authenticate(), with the request
   * that it was given. */
  int (*check_integrity)(const struct coturn_auth_request *request, const uint8_t *key, size_t key_len);

  /* Answers a pending request with DECLINED, GRANTED (grant is copied) or DENIED (denial is copied), also before
   * authenticate() has returned. 0: taken; -1: unknown, late or answered before, which does no harm. */
  int (*complete)(const struct coturn_auth_handle *handle, enum coturn_auth_verdict verdict,
                  const struct coturn_auth_grant *grant, const struct coturn_auth_denial *denial);

  /* Ends a session with its allocation, mobile or not, and its RFC 6062 connections. Returns at once. 0: handed to the
   * relay thread; -1: there is no such relay. */
  int (*close_session)(uint64_t session, enum coturn_auth_reason reason);

  /* Refuses an address as relay peer from now on, such as that of the module's own database. The 64 that were named
   * last are refused. 0, or -1 if it is neither IPv4 nor IPv6. */
  int (*deny_peer)(const struct sockaddr *addr);

  /* Adds a counter, which is copied. 0, or -1: the table (512) is full, a counter has this name and label_value, or
   * name, value or header is missing. Only inside init(). */
  int (*register_counter)(const struct coturn_auth_counter *counter);

  /* Calls fn for each counter of the host and of the module, in order of registration. */
  void (*visit_counters)(coturn_auth_counter_fn fn, void *arg);

  /* Has session_report() called about every interval_ms milliseconds (100 at least; 0: never, as at the start) for each
   * session that session_allocated() wants to hear of and that has relayed something since. 0, or -1: too short. NULL
   * in a host without this part. Inside init(), for sessions that come later. */
  int (*report_sessions)(uint32_t interval_ms);
};

/* ---- the module table: const, in static storage. Optional members may be NULL. */

struct coturn_auth_module {
  struct coturn_auth_header header;
  const char *name, *version;

  /* config is the string of auth-module-config, "" if none. 0: every later call gets *state. Anything else: the module
   * has logged why, and turnserver does not start. */
  int (*init)(const struct coturn_auth_host *host, const char *config, void **state);

  /* Who sends this request (RFC 8489 9.2, RFC 7635 7)? */
  enum coturn_auth_verdict (*authenticate)(void *state, const struct coturn_auth_request *request,
                                           struct coturn_auth_grant *grant, struct coturn_auth_denial *denial);

  /* Optional. Called for each challenge. GRANTED: the challenge is filled in; DECLINED: coturn makes its own, with
   * auth-module-only one without THIRD-PARTY-AUTHORIZATION; DENIED: nothing can be decided now, the client gets 500.
   * Never PENDING. */
  enum coturn_auth_verdict (*challenge)(void *state, const struct coturn_auth_challenge_request *request,
                                        struct coturn_auth_challenge *challenge);

  /* Optional. 0, or an enum coturn_auth_reason (revoked meanwhile): the grant is not used, and the request is answered
   * 401, or 500 for a reason that says nothing of the credential (MODULE_ERROR, STORE_UNAVAILABLE). */
  int (*session_bound)(void *state, const struct coturn_auth_session *session);
  /* Optional. 1: the module wants session_report() for this session; 0: it does not. */
  int (*session_allocated)(void *state, const struct coturn_auth_allocation *allocation);
  /* Optional. */
  void (*session_report)(void *state, const struct coturn_auth_session_report *report);
  /* Optional. */
  void (*session_end)(void *state, const struct coturn_auth_session_end *end);

  /* Optional. May the sessions of a realm relay to and from this peer (RFC 8656 section 9)? 1: yes, then coturn's own
   * lists decide; 0: no, the client gets 403. Called for each CreatePermission, ChannelBind (the refresh of a channel,
   * too) and Connect, and for connections from peers (RFC 6062), whoever authenticated the session; not with
   * auth-module-observe. */
  int (*check_peer)(void *state, const struct coturn_auth_peer *peer);

  /* Optional. Reads settings and files again. 0, or -1 after logging why: the old ones stay. */
  int (*reload)(void *state);

  /* Optional. Calls emit for each line of state that an operator wants to see. */
  void (*status)(void *state, coturn_auth_status_fn emit, void *arg);

  /* Optional. Ends threads, frees and cleanses memory. No call follows. */
  void (*stop)(void *state);

  /* Optional. May this client allocate? 1: yes; 0: no, the denial is filled in, and its answer has MESSAGE-INTEGRITY
   * under the grant's key: 300 with alternate, or one of the codes of authenticate(). Must not block. */
  int (*allocate)(void *state, const struct coturn_auth_allocate *request, struct coturn_auth_denial *denial);

  /* Optional. Has another server just made this nonce for this client, in a denial's alternate_nonce? 1: it has, and
   * the nonce is as good as one of this server; 0: it has not, the client gets 438. On listener threads as well. */
  int (*accept_nonce)(void *state, const struct coturn_auth_nonce *request);
};

typedef const struct coturn_auth_module *(*coturn_auth_module_entry_fn)(const struct coturn_auth_host *host);

#ifdef __cplusplus
}
#endif

#endif /* COTURN_AUTH_MODULE_H */
