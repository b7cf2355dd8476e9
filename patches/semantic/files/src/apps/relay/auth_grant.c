/*
 * auth_grant.c - puts a grant in force
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Only when the grant's key has verified the request, the identity may use the allocation, and the
 * module has agreed once more (session_bound), is anything in the session changed.
 */

#include "auth_exchange.h"

const char *auth_display_of(const struct auth_exchange *x, const char *display_name) {
  return display_name[0] ? display_name : x->username;
}

/* The identity of a grant: its own, or else the USERNAME. */
static int same_identity(const struct auth_session *st, const struct coturn_auth_grant *g, const char *username) {
  if (st->identity_len != g->identity_len) {
    return 0;
  }
  if (!g->identity_len) {
    return !strcmp(st->username, username);
  }
  return !memcmp(st->identity, g->identity, g->identity_len);
}

/* 0, or -1 if the module broke the contract. */
int auth_check_grant(struct coturn_auth_grant *g) {
  const char *what = NULL;
  char line[256];
  g->quota_name[COTURN_AUTH_NAME_MAX] = 0;
  g->display_name[COTURN_AUTH_NAME_MAX] = 0;
  g->accounting_realm[COTURN_AUTH_REALM_MAX] = 0;
  if (!g->key_len || g->key_len > COTURN_AUTH_KEY_MAX) {
    what = "key_len";
  } else if (g->expiry_policy > COTURN_AUTH_EXPIRY_ALLOCATE) {
    what = "expiry_policy";
  } else if (g->identity_len > COTURN_AUTH_IDENTITY_MAX) {
    what = "identity_len";
  }
  if (!what) {
    return 0;
  }
  snprintf(line, sizeof(line), "auth-module: the grant of module %s is not usable: %s is %u (see coturn_auth_module.h)",
           auth_module.name, what,
           !strcmp(what, "key_len")         ? (unsigned)g->key_len
           : !strcmp(what, "expiry_policy") ? (unsigned)g->expiry_policy
                                            : (unsigned)g->identity_len);
  auth_report_line(TURN_LOG_LEVEL_ERROR, line);
  return -1;
}

static void set_realm(ts_ur_super_session *ss, struct auth_session *st) {
  get_realm_options_by_name(st->accounting_realm, &ss->realm_options);
  if (st->max_bps) {
    ss->realm_options.perf_options.max_bps = (band_limit_t)st->max_bps;
  }
}

/* username and quota_name become the session's. */
static void apply_grant(struct auth_exchange *x, const struct coturn_auth_grant *g, uint64_t deadline_ms,
                        char *username, char *quota_name) {
  ts_ur_super_session *ss = x->held;
  struct auth_session *st = ss->auth_session;
  const char *realm = g->accounting_realm[0] ? g->accounting_realm : st->realm;
  const int allocation = auth_has_allocation(ss);
  int recharge;

  recharge = ss->quota_used && !auth_is_charged(ss, quota_name, realm);
  if (recharge && !st->granted) {
    turn_auth_services.dec_quota(ss); /* coturn's own charge */
  } else if (recharge && !allocation) {
    auth_release_quota(ss);
  }
  if (!allocation) { /* what an Allocate that failed has left is another grant's */
    auth_release_bps(ss);
  }

  memset(ss->hmackey, 0, sizeof(ss->hmackey));
  memcpy(ss->hmackey, g->key, g->key_len);
  ss->hmackey_set = 1;
  ss->pwd[0] = 0;
  ss->oauth = 0;
  auth_escape((char *)ss->username, sizeof(ss->username), auth_display_of(x, g->display_name));
  STRCPY(st->accounting_realm, realm);
  if (strcmp(ss->realm_options.name, realm) || st->max_bps || g->max_bps) {
    st->max_bps = g->max_bps;
    set_realm(ss, st);
  }

  if (!st->granted) {
    st->bound_ms = auth_monotonic_ms();
    auth_count(AUTH_COUNT_SESSIONS_BOUND);
  }
  st->granted = 1;
  st->key_len = g->key_len;
  st->policy = g->expiry_policy;
  st->deadline_ms = deadline_ms;
  st->ref = g->ref;
  st->user_quota = g->user_quota;
  st->total_quota = g->total_quota;
  st->identity_len = g->identity_len;
  memcpy(st->identity, g->identity, sizeof(st->identity));
  free(st->username);
  st->username = username;
  free(st->quota_name);
  st->quota_name = quota_name;

  if (recharge && allocation && auth_move_charge(ss) < 0) {
    TURN_LOG_FUNC(TURN_LOG_LEVEL_WARNING, "session %018llu: its new quota name is used up\n",
                  (unsigned long long)ss->id);
  }
}

int auth_denial_code(const struct coturn_auth_denial *denial) {
  switch (denial->error_code) {
  case 0:
    return 401;
  case 400:
  case 401:
  case 403:
  case 420:
  case 437:
  case 438:
  case 441:
  case 486:
  case 500:
  case 508:
    return denial->error_code;
  default:
    return 500;
  }
}

/* A nonce that no session of this coturn could hold is none: cut off it would not be the other server's. */
static void check_alternate_nonce(struct coturn_auth_denial *denial) {
  static int told = 0;
  denial->alternate_nonce[COTURN_AUTH_NONCE_MAX] = 0;
  if (strlen(denial->alternate_nonce) < NONCE_MAX_SIZE) {
    return;
  }
  if (!__atomic_exchange_n(&told, 1, __ATOMIC_RELAXED)) {
    TURN_LOG_FUNC(TURN_LOG_LEVEL_ERROR,
                  "auth-module: an alternate_nonce of %u octets is not sent: sessions hold %u at most\n",
                  (unsigned)strlen(denial->alternate_nonce), (unsigned)(NONCE_MAX_SIZE - 1));
  }
  denial->alternate_nonce[0] = 0;
}

/* Asks the module whether an authenticated client may allocate, now that its request is known to be its own. 1: it may
 * not, and the request is answered. */
static int denies_allocation(struct auth_exchange *x) {
  const struct auth_session *st = x->held->auth_session;
  struct coturn_auth_allocate request = {.header = COTURN_AUTH_HEADER(request)};
  struct coturn_auth_denial denial;
  int allowed, code;

  if (!auth_module.allocate || x->method != STUN_METHOD_ALLOCATE || auth_has_allocation(x->held)) {
    return 0;
  }
  memset(&denial, 0, sizeof(denial));
  denial.header = (struct coturn_auth_header)COTURN_AUTH_HEADER(denial);
  request.session = x->held->id;
  request.ref = st->ref;
  request.username = x->username;
  request.realm = st->realm;
  request.client_addr = x->from.client ? &x->from.client->ss : NULL;
  request.local_addr = x->from.local ? &x->from.local->ss : NULL;
  request.transport = x->from.transport;
#if defined(TURN_CAN_DRAIN)
  request.flags = turn_params.drain_turn_server ? COTURN_AUTH_REQ_DRAINING : 0;
#endif
  if (auth_module_enter() < 0) {
    return 0;
  }
  allowed = auth_module.allocate(auth_module_state, &request, &denial);
  auth_module_leave();
  if (allowed == 1) {
    return 0;
  }
  denial.display_name[COTURN_AUTH_NAME_MAX] = 0;
  denial.alternate_domain[COTURN_AUTH_SERVER_NAME_MAX] = 0;
  check_alternate_nonce(&denial);
  code = auth_denial_code(&denial);
  if (denial.error_code == 300 && (denial.alternate.ss_family == AF_INET || denial.alternate.ss_family == AF_INET6)) {
    code = 300;
    auth_alternate_response(x, &denial);
  }
  return auth_refuse(x, code, denial.reason, auth_display_of(x, denial.display_name));
}

/* The request is authenticated: what is left of the grant bounds the lifetimes to come. */
int auth_admit(struct auth_exchange *x) {
  struct auth_session *st = x->held->auth_session;
  uint64_t left = 0;

  /* coturn takes the realm of an Allocate's ORIGIN, or of a Refresh's ticket, verified or not */
  if (strcmp(x->held->realm_options.name, st->accounting_realm)) {
    set_realm(x->held, st);
  }
  if (st->deadline_ms && st->policy != COTURN_AUTH_EXPIRY_ALLOCATE) {
    left = auth_seconds_left(st);
    if (!left) {
      left = 1; /* 0 would mean unlimited */
    }
    if (left > INT32_MAX) {
      left = INT32_MAX;
    }
  }
  x->held->max_session_time_auth = (turn_time_t)left;
  if (x->held != x->ss) {
    x->ss->max_session_time_auth = (turn_time_t)left;
    /* newer versions answer through the new session while the allocation stays in the old one */
    memcpy(x->ss->auth_session->reply_key, x->held->hmackey, st->key_len);
    x->ss->auth_session->reply_key_len = st->key_len;
    /* the client goes on with the nonce that it has just used */
    if (auth_attr_is(x->a.nonce, (const char *)x->ss->nonce)) {
      memcpy(x->held->nonce, x->ss->nonce, sizeof(x->held->nonce));
      x->held->nonce_expiration_time = x->ss->nonce_expiration_time;
    }
  }
  auth_cut(x);
  if (x->method == STUN_METHOD_REFRESH && auth_releases(x)) {
    st->released = x->server->ctime + 1; /* coturn lets the allocation live for a second */
  }
  *x->message_integrity = 1;
  (void)denies_allocation(x);
  return 1;
}

/* Asks the module whether the grant may come into force. 0, *why being session_bound()'s answer; -1: the module is
 * being stopped. */
static int bind_session(const struct auth_exchange *x, const struct coturn_auth_grant *g, int *why) {
  const struct auth_session *st = x->held->auth_session;
  struct coturn_auth_session bound = {.header = COTURN_AUTH_HEADER(bound)};

  *why = 0;
  if (!auth_module.session_bound) {
    return 0;
  }
  bound.session = x->held->id;
  bound.ref = g->ref;
  bound.previous_ref = st->granted ? st->ref : 0;
  bound.username = x->username;
  bound.realm = st->realm;
  bound.quota_name = g->quota_name[0] ? g->quota_name : x->username;
  bound.client_addr = x->from.client ? &x->from.client->ss : NULL;
  if (auth_module_enter() < 0) {
    return -1;
  }
  *why = auth_module.session_bound(auth_module_state, &bound);
  auth_module_leave();
  return 0;
}

int auth_use_grant(struct auth_exchange *x, struct coturn_auth_grant *g, int verified) {
  ts_ur_super_session *ss = x->held;
  struct auth_session *st = ss->auth_session;
  const char *user;
  struct auth_session probe;
  char *username, *quota_name;
  int other, bound, why = 0;

  if (auth_check_grant(g) < 0) {
    return auth_refuse(x, 500, COTURN_AUTH_REASON_MODULE_ERROR, x->username);
  }
  user = auth_display_of(x, g->display_name);

  if (!verified && auth_verify(x, g->key, g->key_len) != 1) {
    return auth_refuse(x, 401, COTURN_AUTH_REASON_INTEGRITY_MISMATCH, user);
  }

  if (st->granted) {
    other = !same_identity(st, g, x->username);
  } else {
    other = ss->quota_used && ss->username[0] && strcmp((char *)ss->username, x->username);
  }
  if (other && auth_has_allocation(ss)) {
    struct auth_session *own = x->ss->auth_session;
    memcpy(own->reply_key, g->key, g->key_len);
    own->reply_key_len = g->key_len;
    *x->message_integrity = 1;
    return auth_refuse(x, 441, COTURN_AUTH_REASON_IDENTITY_MISMATCH, user);
  }

  memset(&probe, 0, sizeof(probe));
  probe.policy = g->expiry_policy;
  probe.deadline_ms = auth_deadline_of(g);
  if (auth_expired(&probe, x->method, auth_has_allocation(ss))) {
    return auth_refuse(x, 401, COTURN_AUTH_REASON_EXPIRED, user);
  }

  /* once the module has agreed nothing can fail: it waits for session_end() */
  username = strdup(x->username);
  quota_name = strdup(g->quota_name[0] ? g->quota_name : x->username);
  bound = username && quota_name ? bind_session(x, g, &why) : -1;
  if (bound < 0 || why) {
    free(username);
    free(quota_name);
  }
  if (bound < 0) {
    return auth_refuse(x, 500, COTURN_AUTH_REASON_MODULE_ERROR, user);
  }
  if (why) {
    /* where the module cannot decide, nothing is wrong with the credential: clients give up after 401 */
    int cannot = why == COTURN_AUTH_REASON_MODULE_ERROR || why == COTURN_AUTH_REASON_STORE_UNAVAILABLE;
    return auth_refuse(x, cannot ? 500 : 401, (unsigned)why, user);
  }

  apply_grant(x, g, probe.deadline_ms, username, quota_name);
  auth_count(AUTH_COUNT_GRANTED);
  return auth_admit(x);
}
