/*
 * store.h - PostgreSQL to an immutable snapshot in memory
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * One thread owns the database connection and makes snapshots; any number of readers look into the
 * newest one without locks and without waiting. A reader never asks the database. The store knows
 * nothing of coturn; the module and turncredd use it.
 */
#ifndef TURNCRED_STORE_H
#define TURNCRED_STORE_H

#include "base/ip_range.h"
#include "core/turncred.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The oldest schema that this code works with. The newest one, whose values it can use and which it reports to the
 * database, is SCHEMA_NEWEST: that of plugin/schema when configure was made. */
#define STORE_SCHEMA_VERSION 1

enum store_log_level { STORE_LOG_DEBUG, STORE_LOG_INFO, STORE_LOG_WARNING, STORE_LOG_ERROR };
typedef void (*store_log_fn)(enum store_log_level level, const char *line, void *arg);
/* The store's thread calls it after it has published a new snapshot. */
typedef void (*store_changed_fn)(void *arg);
/* The store's thread calls it for each address that the connection strings name, whether a server
 * answers there or not, and for each address in use, so that the host can deny it as a relay peer. */
struct sockaddr;
typedef void (*store_peer_fn)(const struct sockaddr *addr, void *arg);

/* The store's thread calls it for each session that an operator has ended, by the name that the session has in
 * turncred.session_live_list, whichever server has it. Progress that includes the change is reported afterwards. */
typedef void (*store_session_fn)(const char *name, void *arg);

/* The store's thread asks how many sessions live, for its reports. */
typedef uint64_t (*store_sessions_fn)(void *arg);
/* The store's thread calls it after it has loaded the servers of the fleet; the list is the callee's to release.
 * draining: this server is drained. */
struct store_servers;
typedef void (*store_servers_fn)(struct store_servers *servers, bool draining, void *arg);

struct store_config {
  const char *conninfo;       /* libpq connection string or URI; passwords come from passfile or service */
  const char *conninfo_write; /* second, read-write connection for progress reports; NULL: the first */
  const char *kek_path;       /* file of 32 raw octets (its name is the kek id), or a folder of such
                                 files; $CREDENTIALS_DIRECTORY/NAME when it begins with "credential:" */
  const char *plain_realms;   /* whose keys and credentials may be unsealed, separated by blanks; "*" or NULL: all */
  const char *instance;       /* unique name of this server or issuer; NULL: HOST-KIND */
  const char *kind;           /* "server" or "issuer" */
  const char *version;        /* of the program; the store reports it in turncred.instance */
  /* What a module of a TURN server reports beside it; NULL: nothing. */
  const char *host;          /* the TURN server and its version */
  const char *series;        /* version of the patches in it */
  const char *abi;           /* the interface between the two */
  const char *snapshot_path; /* sealed copy on disk; NULL: none */
  uint32_t snapshot_max_age; /* seconds; default 86400 */
  uint32_t poll_ms;          /* default 5000 */
  bool listen;               /* use LISTEN/NOTIFY as a hint; default true */
  store_log_fn log;
  store_changed_fn changed;
  store_peer_fn peer;
  store_session_fn session_end; /* may be NULL */
  /* What a server advertises of itself; NULL: nothing. uris: canonical TURN URIs, separated by blanks. */
  const char *uris, *region;
  uint32_t weight;            /* 1 to 1000; 0: 100 */
  uint32_t silent_ms;         /* a server that was not heard of for so long is suspect; default 60000 */
  store_sessions_fn sessions; /* may be NULL */
  store_servers_fn servers;   /* may be NULL */
  void *arg;                  /* of the callbacks */
};

/* --- what a snapshot holds; read-only, valid between acquire and release ---------------- */

enum store_mechanism { STORE_TOKEN = 1, STORE_DERIVED, STORE_REST, STORE_PUSHED };
enum store_expiry { STORE_STRICT = 0, STORE_GRACE, STORE_ALLOCATE };
enum store_usage { STORE_USAGE_OFF = 0, STORE_USAGE_TOTALS, STORE_USAGE_USER, STORE_USAGE_ADDRESS };
#define STORE_USAGE_SALT 32
enum store_key_state { STORE_KEY_PUBLISHED = 1, STORE_KEY_ACTIVE, STORE_KEY_RETIRED, STORE_KEY_DISABLED };

/* Of one session and of one user; 0: as the realm has it. */
struct store_limits {
  uint64_t max_bps; /* octets per second */
  uint32_t max_allocations;
};

struct store_key {
  const char *realm;              /* at most TURNCRED_REALM_MAX octets */
  const char *kid;                /* at most TURNCRED_USERNAME_MAX octets */
  struct turncred_key key;        /* unsealed, lengths checked */
  struct turncred_rest_form form; /* rest: how its usernames are written */
  enum store_key_state state;
  int64_t not_before, sign_until, accept_until; /* UTC seconds; 0: no limit */
  int64_t since;                                /* microseconds: not_before or created_at, whichever is later */
  bool subject_tag;                             /* tokens under this key carry one */
  struct store_limits limits;                   /* of sessions with credentials under this key */
  const uint8_t *k;                             /* issuers: K itself; servers: NULL */
  size_t k_len;
};

struct store_realm {
  char name[TURNCRED_REALM_MAX + 1];
  char server_name[TURNCRED_SERVER_NAME_MAX + 1];
  uint8_t mechanisms[4];       /* enum store_mechanism in order, 0 at the end */
  enum store_expiry expiry[5]; /* by enum store_mechanism */
  uint32_t grace_seconds;
  uint32_t max_ttl, default_ttl;        /* seconds */
  uint32_t user_quota, total_quota;     /* allocations; 0: as coturn is configured */
  uint64_t max_bps;                     /* octets per second of one session; 0: as coturn is configured */
  uint32_t keys_tried;                  /* accepted derived (or rest) keys that a verifier tries, the newest first */
  bool bind_address;                    /* the user id of a derived credential is USER|ADDRESS: only the client with
                                           this address may use it */
  enum store_usage usage;               /* what is recorded of sessions */
  bool quota_fleet;                     /* user_quota counts allocations on other servers, too */
  bool offer_shown;                     /* tokens are offered to clients alone that show that they can do them */
  uint8_t usage_salt[STORE_USAGE_SALT]; /* key of the hashes that stand for user ids */
  /* derived and rest keys, the newest (since) first; the reader asks store_key_accepts() of each */
  const struct store_key *const *derived;
  size_t derived_count;
  const struct store_key *const *rest;
  size_t rest_count;
  const char *const *guest_kids; /* "realm/kid" */
  size_t guest_count;
  const char *const *listen_addresses; /* textual addresses that choose this realm in challenges */
  size_t listen_count;
  const char *const *origins;
  size_t origin_count;
  /* to which peers sessions may relay: these alone (none: to any), and not to the denied ones; store_peer_allowed() */
  const struct ip_range *allowed_peers, *denied_peers;
  size_t allowed_count, denied_count;
};

struct store_credential {
  const char *realm;
  const char *username;
  const char *user; /* whose it is: the user id, which may be the username */
  uint8_t md5[TURNCRED_LONG_TERM_MD5];
  uint8_t sha256[TURNCRED_LONG_TERM_SHA256];
  int64_t expiry;    /* 0: none */
  int64_t pushed_at; /* UTC seconds; a revocation refuses what was pushed before it */
  struct store_limits limits;
  const char *client_address; /* canonical text, at most 45 octets; "": any */
};

enum store_revocation_kind { STORE_REVOKED_USER = 1, STORE_REVOKED_TOKEN, STORE_REVOKED_KID, STORE_REVOKED_REALM };

struct store_status {
  uint64_t generation; /* counts snapshots */
  int64_t loaded_at;   /* UTC seconds of the last proof that the snapshot is current */
  bool connected;
  bool from_disk;
  size_t realms, keys, credentials, revocations, refused_rows;
  uint64_t xmin;             /* progress in the change feed: every change below it is in force */
  char database_error[1024]; /* the last one, with its remedy; "" while connected */
};

/* --- life ------------------------------------------------------------------------------- */

struct store;
struct store_snapshot;

/* Makes a store and reads its key encryption keys; does not connect. 0, or an errno value with a
 * message in err. */
int store_new(struct store **out, const struct store_config *config, char *err, size_t err_cap);
/* Starts the thread, which connects, loads, and tries again with growing pauses; errors go to the log.
 * 0, or an errno value. */
int store_start(struct store *store);
/* Waits for the first snapshot. False: there is none after timeout_ms. */
bool store_wait(struct store *store, uint32_t timeout_ms);
/* Has the thread read the key encryption keys and the whole database again. */
void store_reload(struct store *store);
/* Ends the thread, cleanses and frees. Every reader must be freed before. */
void store_stop(struct store *store);
void store_status(struct store *store, struct store_status *out);
/* The name under which this server or issuer reports; valid until store_stop(). */
const char *store_instance(const struct store *store);

/* --- the fleet -------------------------------------------------------------------------- */

/* A TURN server that has not stopped. */
struct store_server {
  const char *id;
  const char *const *uris; /* what it advertises, canonical; ends with NULL */
  const char *region;      /* "": none */
  uint32_t weight;
  bool draining; /* gets no new clients */
  bool self;     /* this program's own instance */
  bool suspect;  /* silent, while most others are heard */
  int64_t silent_ms;
};

/* The servers as they were loaded last; NULL: none was ever loaded. They stay as they are, also while the database is
 * away, until store_servers_release(). */
struct store_servers *store_servers(struct store *store);
void store_servers_release(struct store_servers *servers); /* NULL is allowed */
struct store_servers *store_servers_ref(struct store_servers *servers);
size_t store_servers_count(const struct store_servers *servers);
const struct store_server *store_servers_at(const struct store_servers *servers, size_t i);
void store_set_silent(struct store *store, uint32_t silent_ms);

struct store_choice {
  const char *region; /* servers of this region come first; NULL or "": of none */
  bool (*fits)(const struct store_server *server, void *arg); /* NULL: all fit */
  void *arg;
};
/* Chooses up to max servers that advertise something and are not drained, the best first: those of the region, then
 * others, then suspects; among equals by chance, as their weights have it. Returns how many. */
size_t store_servers_choose(const struct store_servers *servers, const struct store_choice *how,
                            const struct store_server **chosen, size_t max);

/* --- reading ---------------------------------------------------------------------------- */

/* Each thread that reads has one of its own. store_reader_new and _free take a lock; store_acquire and
 * store_release do not. */
struct store_reader;
struct store_reader *store_reader_new(struct store *store); /* NULL: out of memory */
void store_reader_free(struct store_reader *reader);
/* The newest snapshot, which stays as it is until store_release(). NULL: nothing is loaded yet. A reader
 * holds one snapshot at a time: it releases before it acquires again. */
const struct store_snapshot *store_acquire(struct store_reader *reader);
void store_release(struct store_reader *reader);

/* A number that changes with each snapshot in which a key or a revocation was added or changed. Only
 * then can there be live sessions that must end. */
uint64_t store_snapshot_subjects(const struct store_snapshot *snapshot);
/* Has a realm with quota_fleet, or had one since the last full load. */
bool store_snapshot_quota_fleet(const struct store_snapshot *snapshot);
const struct store_realm *store_realm_find(const struct store_snapshot *snapshot, const char *realm);
/* The realm that a listening address or an origin chooses; NULL if none does. */
const struct store_realm *store_realm_by_listener(const struct store_snapshot *snapshot, const char *address);
const struct store_realm *store_realm_by_origin(const struct store_snapshot *snapshot, const char *origin);
/* Whether sessions of the realm may relay to and from this peer: an address of 4 or 16 octets, none of them
 * IPv4-mapped. What is denied is denied though it is allowed, too. */
bool store_peer_allowed(const struct store_realm *realm, const uint8_t *octets, size_t size);
/* The key with this kid: one of the realm's own or, if there is none, one of its guest_kids. NULL: the
 * realm accepts no such key. The caller checks state and times with store_key_accepts(). */
const struct store_key *store_key_find(const struct store_snapshot *snapshot, const struct store_realm *realm,
                                       const char *kid);
/* True if the key may verify at this time: not disabled, not_before <= now < accept_until. */
bool store_key_accepts(const struct store_key *key, int64_t now);
/* The key to sign with now: of the active keys inside their signing windows the newest.
 * TURNCRED_USE_TAG: the realm's key of subject tags (its K is key.auth, 32 octets), which only issuers
 * hold. NULL: the realm has none. */
const struct store_key *store_key_to_sign(const struct store_snapshot *snapshot, const struct store_realm *realm,
                                          enum turncred_use use, int64_t now);
/* The newest token key that is published or active, whether issuers sign with it already or not: the
 * key that a foreign TURN server should hold. NULL: the realm has none. */
const struct store_key *store_key_to_share(const struct store_snapshot *snapshot, const struct store_realm *realm,
                                           int64_t now);
const struct store_credential *store_credential_find(const struct store_snapshot *snapshot,
                                                     const struct store_realm *realm, const char *username);
/* The time (UTC seconds) up to which a revocation refuses what was issued: lifted_at, else until, else
 * INT64_MAX. The caller refuses a credential that was issued at this time or before. 0: there is no
 * such revocation. The revocation of a realm has the name "". */
int64_t store_revoked_at(const struct store_snapshot *snapshot, enum store_revocation_kind kind, const char *realm,
                         const char *name);

#endif
