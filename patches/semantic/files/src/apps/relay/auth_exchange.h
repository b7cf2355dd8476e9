/*
 * auth_exchange.h - what the module knows of a session, and one request that is being authenticated
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#ifndef __AUTH_EXCHANGE__
#define __AUTH_EXCHANGE__

#include "auth_private.h"

#define SESSION_PENDING_MAX (4)

struct session_pending {
  stun_tid tid;
  uint64_t request; /* 0: free */
};

struct auth_charge {
  char *name;
  char *realm;
};

struct auth_session {
  /* the challenge */
  int challenged;
  int offers_tokens;
  int accepts_tokens;
  char realm[COTURN_AUTH_REALM_MAX + 1];
  char *server_name;

  /* the grant in force; its key is ss->hmackey */
  int granted;
  uint32_t key_len;
  uint32_t policy;
  uint64_t deadline_ms; /* monotonic, with grace; 0: none */
  uint64_t ref;
  uint64_t bound_ms;
  uint64_t max_bps;
  uint32_t user_quota, total_quota;
  uint32_t identity_len;
  uint8_t identity[COTURN_AUTH_IDENTITY_MAX];
  char *username;
  char *quota_name;
  char accounting_realm[COTURN_AUTH_REALM_MAX + 1];
  struct auth_charge charge; /* of its allocation, if there is one */

  /* its allocation, for the module's accounts */
  int allocated;
  turn_time_t released;   /* when a Refresh with lifetime 0 lets it end; 0: none */
  int closed;             /* by close_session() */
  unsigned closed_reason; /* and why */
  struct auth_report_entry *report;

  /* this request only */
  ts_ur_super_session *resume_of;
  int resumes_coturns;
  uint32_t reply_key_len;
  uint8_t reply_key[COTURN_AUTH_KEY_MAX];

  /* requests whose answer is awaited, and one that has come */
  struct session_pending pending[SESSION_PENDING_MAX];
  const struct auth_answer *answer;
  stun_tid answer_tid;

  /* the last requests that were left to coturn, which will replay them */
  unsigned skips; /* so many so far */
  stun_tid skipped[SESSION_PENDING_MAX];

  /* auth-module-observe */
  int observing;
  int observed;
  stun_tid observed_tid;
  int observed_in;
  unsigned observed_reason;
};

/* The attributes of one request that say who sends it; NULL or 0: the attribute is absent. */
struct auth_attributes {
  stun_attr_ref integrity;
  stun_attr_ref username;
  stun_attr_ref realm;
  stun_attr_ref nonce;
  stun_attr_ref token;
  int wants_token;
};

/* Where a request came from: a session, or the UDP listener, which has none yet. */
struct auth_source {
  uint64_t session; /* 0: none yet */
  const ioa_addr *client;
  const ioa_addr *local;
  uint16_t transport;
  const char *realm;    /* which coturn itself would name */
  const char *origin;   /* canonic, or "" */
  const uint8_t *nonce; /* of a challenge */
};

/* One request while it is authenticated. */
struct auth_exchange {
  turn_turnserver *server;
  struct auth_source from;
  ts_ur_super_session *ss;   /* the session whose socket the request came from */
  ts_ur_super_session *held; /* the session whose grant counts: ss, or the mobile session that it resumes */
  struct auth_session *st;   /* the module's state of held; in the listener, which has no session, a state of its own */
  int coturns;               /* 1: it resumes a mobile session that coturn itself has authenticated */

  /* the parameters of check_stun_auth() */
  stun_tid *tid;
  int *resp_constructed;
  int *err_code;
  const uint8_t **reason;
  ioa_net_data *in_buffer;
  ioa_network_buffer_handle nbh;
  uint16_t method;
  int *message_integrity;
  int *postpone_reply;
  int can_resume;

  uint8_t *message;
  size_t message_len;
  struct auth_attributes a;
  char username[COTURN_AUTH_NAME_MAX + 1];
};

/* ---- auth_stun.c */
void auth_parse(struct auth_exchange *x);
/* 1 if the attribute has exactly this value. */
int auth_attr_is(stun_attr_ref sar, const char *value);
/* 0, or -1 if the attribute is empty, too long or holds a NUL. */
int auth_attr_string(stun_attr_ref sar, char *dst, size_t dst_size);
/* 1 if the nonce is one that coturn has made for this address without keeping it (4.16 and later): it is copied to
 * nonce, TURN_STATELESS_NONCE_SIZE octets. 0: it is not. */
int auth_stateless_nonce(const struct auth_exchange *x, turn_time_t now, char *nonce, uint32_t *issued);
/* 1 if the nonce is such a one: the session goes on with it. */
int auth_adopt_nonce(struct auth_exchange *x);
/* 1 if another attribute than FINGERPRINT stands behind MESSAGE-INTEGRITY. */
int auth_has_addition(const struct auth_exchange *x);
/* Truncates the message behind MESSAGE-INTEGRITY, so that coturn's handlers read nothing that is not verified. */
void auth_cut(struct auth_exchange *x);
/* 1: the key verifies the message, 0: it does not, -1: it cannot be checked. */
int auth_verify(const struct auth_exchange *x, const uint8_t *key, size_t key_len);
/* 1 if the request carries ACCESS-TOKEN and its method is one whose tokens count: Allocate or Refresh. */
int auth_takes_token(const struct auth_exchange *x);
/* 1 if the request carries LIFETIME 0. */
int auth_releases(const struct auth_exchange *x);
int auth_add_integrity(ts_ur_super_session *ss, uint8_t *buf, size_t *len);
void auth_challenge_response(struct auth_exchange *x);
/* The answer 300 with the denial's alternate server; the caller refuses the request. */
void auth_alternate_response(struct auth_exchange *x, const struct coturn_auth_denial *denial);
/* Refuses the request, counts and logs the refusal. Always 1: decided. */
int auth_refuse(struct auth_exchange *x, int code, unsigned reason, const char *user);

/* ---- auth_form.c */
/* The checks in front of the nonce, which need no session. challenge: what auth_ask_challenge() has returned.
 * 1: answered; 0: coturn's own mechanisms go on; -1: nothing is wrong so far. */
int auth_check_form(struct auth_exchange *x, int challenge);

/* ---- auth_state.c */
struct auth_session *auth_state_of(ts_ur_super_session *ss);
int auth_owns(const ts_ur_super_session *ss);
int auth_has_allocation(ts_ur_super_session *ss);
void auth_source_of(ts_ur_super_session *ss, struct auth_source *from);
void auth_know_server(turn_turnserver *server);
/* The relay of a session, or NULL. */
turn_turnserver *auth_server_of(uint64_t session);
/* Whole seconds until the deadline; 0: it has passed, or less than a second is left. */
uint64_t auth_seconds_left(const struct auth_session *st);
int auth_expired(const struct auth_session *st, uint16_t method, int allocation);
uint64_t auth_deadline_of(const struct coturn_auth_grant *g);

/* What the session has relayed: coturn's totals, and what it has not added to them yet. */
void auth_traffic_of(const ts_ur_super_session *ss, struct coturn_auth_traffic *traffic);

/* ---- auth_quota.c */
int auth_inc_quota(ts_ur_super_session *ss);
/* Releases what was charged, but not for a mobile allocation that is still there. */
void auth_dec_quota(ts_ur_super_session *ss);
void auth_release_quota(ts_ur_super_session *ss);
/* Gives back the bandwidth that an Allocate has reserved: the next one reserves what its grant allows. */
void auth_release_bps(ts_ur_super_session *ss);
int auth_is_charged(const ts_ur_super_session *ss, const char *name, const char *realm);
/* Charges the names of a new grant instead. 0, or -1 if they are used up: the old charge stays. */
int auth_move_charge(ts_ur_super_session *ss);

/* ---- auth_grant.c */
/* What a denial is answered with: its error code, or 500 where that is none that a module may give. */
int auth_denial_code(const struct coturn_auth_denial *denial);
const char *auth_display_of(const struct auth_exchange *x, const char *display_name);
/* 0, or -1 if the module broke the contract. */
int auth_check_grant(struct coturn_auth_grant *g);
/* The request is authenticated: what is left of the grant bounds the lifetimes to come. */
int auth_admit(struct auth_exchange *x);
int auth_use_grant(struct auth_exchange *x, struct coturn_auth_grant *g, int verified);

/* ---- auth_ask.c */
/* Asks the module how to challenge. 1: x->st has its answer; 0: coturn's own challenge is sent; -1: nothing can be
 * decided now. */
int auth_ask_challenge(struct auth_exchange *x);
/* 1 if the module knows the nonce of an Allocate as one that another server has made for its client; it is copied. */
int auth_foreign_nonce(const struct auth_exchange *x, char nonce[NONCE_MAX_SIZE]);
/* The host's check_integrity(). */
int auth_check_integrity(const struct coturn_auth_request *request, const uint8_t *key, size_t key_len);
/* Calls authenticate(). *verified: 1 if the grant's key is known to verify the message. */
enum coturn_auth_verdict auth_authenticate(struct auth_exchange *x, uint32_t why, uint32_t flags, uint64_t handle,
                                           struct auth_answer *answer, int *verified);
/* Asks the module and acts on its answer. 1: decided; 0: coturn's own mechanisms go on. */
int auth_ask(struct auth_exchange *x, uint32_t why);

/* ---- auth_session.c */
/* Goes on with a request whose answer has come, on the relay thread of its session. */
void auth_session_resume(turn_turnserver *server, turnsession_id session, const stun_tid *tid, ioa_net_data *in_buffer,
                         const struct auth_answer *answer);

/* ---- auth_session.c and auth_host.c: the two tables */
extern const struct turn_auth_hooks auth_session_hooks;
extern const struct coturn_auth_host auth_host;

/* ---- parts that are patches of their own */

#if __has_include("auth_usage.h")
#include "auth_usage.h"
#else
#define auth_usage_allocated (NULL)
#define auth_usage_ended(ss, end) ((void)(end))
#define auth_usage_report_every (NULL)
#endif

#if __has_include("auth_observe.h")
#include "auth_observe.h"
#else
#define auth_observe(x) (0)
#endif

#if __has_include("auth_listener.h")
#include "auth_listener.h"
#else
#define auth_listener_check (NULL)
#endif

#endif /* __AUTH_EXCHANGE__ */
