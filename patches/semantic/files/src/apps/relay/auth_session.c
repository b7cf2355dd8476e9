/*
 * auth_session.c - the rules by which an authentication module takes part in a TURN session
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Order of checks (RFC 8489 9.2.4, RFC 7635 7): MESSAGE-INTEGRITY is there, else a challenge;
 * REALM, USERNAME and NONCE are there; the nonce is fresh; the realm is the challenged one; then
 * the grant in force, or a new grant of the module, has to verify the message. Nothing in the
 * session changes before that. Attributes behind MESSAGE-INTEGRITY do not exist (RFC 8489 14.5).
 */

#include "auth_private.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>

#define SESSION_PENDING_MAX (4)
#define DENIED_PEERS_MAX    (64)
#define SERVERS_MAX         (1 + (turnserver_id)-1)

struct session_pending {
  stun_tid tid;
  uint64_t request; /* 0: free */
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
  uint32_t user_quota;
  uint32_t identity_len;
  uint8_t identity[COTURN_AUTH_IDENTITY_MAX];
  char *username;
  char *quota_name;

  /* this request only */
  ts_ur_super_session *resume_of;
  uint32_t reply_key_len;
  uint8_t reply_key[COTURN_AUTH_KEY_MAX];

  /* requests whose answer is awaited, and one that has come */
  struct session_pending pending[SESSION_PENDING_MAX];
  const struct auth_answer *answer;
  stun_tid answer_tid;

  /* a request that is left to coturn, which will replay it */
  int skip;
  stun_tid skip_tid;

  /* auth-module-observe */
  int observing;
  int observed;
  stun_tid observed_tid;
  int observed_in;
  unsigned observed_reason;
};

/* One request, as far as it is authenticated. */
struct auth_attributes {
  stun_attr_ref integrity;
  stun_attr_ref username;
  stun_attr_ref realm;
  stun_attr_ref nonce;
  stun_attr_ref token;
  int wants_token;
};

struct auth_exchange {
  turn_turnserver *server;
  ts_ur_super_session *ss;   /* whose socket the request came from */
  ts_ur_super_session *held; /* whose grant counts: ss, or the mobile session that it resumes */
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

static turn_turnserver *servers[SERVERS_MAX];

/* What the module may verify while it is being asked. */
static __thread struct {
  const struct coturn_auth_request *request;
  const struct auth_exchange *x;
  uint32_t verified_len;
  uint8_t verified[COTURN_AUTH_KEY_MAX];
} asking;

/* ------------------------------------------------------------------ the message */

static void parse(struct auth_exchange *x) {
  stun_attr_ref sar;
  x->message = ioa_network_buffer_data(x->in_buffer->nbh);
  x->message_len = ioa_network_buffer_get_size(x->in_buffer->nbh);
  memset(&x->a, 0, sizeof(x->a));
  for (sar = stun_attr_get_first_str(x->message, x->message_len); sar;
       sar = stun_attr_get_next_str(x->message, x->message_len, sar)) {
    stun_attr_ref *where = NULL;
    switch (stun_attr_get_type(sar)) {
    case STUN_ATTRIBUTE_MESSAGE_INTEGRITY:
      x->a.integrity = sar;
      return;
    case STUN_ATTRIBUTE_USERNAME:
      where = &x->a.username;
      break;
    case STUN_ATTRIBUTE_REALM:
      where = &x->a.realm;
      break;
    case STUN_ATTRIBUTE_NONCE:
      where = &x->a.nonce;
      break;
    case STUN_ATTRIBUTE_OAUTH_ACCESS_TOKEN:
      where = &x->a.token;
      break;
    case STUN_ATTRIBUTE_THIRD_PARTY_AUTHORIZATION:
      x->a.wants_token = 1;
      break;
    default:
      break;
    }
    if (where && !*where)
      *where = sar;
  }
}

/* 1 if the attribute has exactly this value. */
static int attr_is(stun_attr_ref sar, const char *value) {
  size_t len = (size_t)stun_attr_get_len(sar);
  return len == strlen(value) && (!len || !memcmp(stun_attr_get_value(sar), value, len));
}

/* 0, or -1 if it is empty, too long or holds a NUL. */
static int attr_string(stun_attr_ref sar, char *dst, size_t dst_size) {
  size_t len = (size_t)stun_attr_get_len(sar);
  if (!len || len >= dst_size || memchr(stun_attr_get_value(sar), 0, len))
    return -1;
  memcpy(dst, stun_attr_get_value(sar), len);
  dst[len] = 0;
  return 0;
}

/* 1: the key verifies the message, 0: it does not, -1: it cannot be checked. */
static int verify(const struct auth_exchange *x, const uint8_t *key, size_t key_len) {
  uint8_t hmac[EVP_MAX_MD_SIZE];
  unsigned int hmac_len = 0;
  size_t len;
  uint16_t old, cut;
  int ret;

  if (!x->a.integrity || stun_attr_get_len(x->a.integrity) != SHA1SIZEBYTES || !key_len ||
      key_len > COTURN_AUTH_KEY_MAX)
    return -1;
  len = (size_t)((const uint8_t *)x->a.integrity - x->message);
  /* The length counts up to the end of MESSAGE-INTEGRITY (RFC 8489 14.5). */
  memcpy(&old, x->message + 2, sizeof(old));
  cut = nswap16((uint16_t)(len + 4 + SHA1SIZEBYTES - STUN_HEADER_LENGTH));
  memcpy(x->message + 2, &cut, sizeof(cut));
  ret = HMAC(EVP_sha1(), key, (int)key_len, x->message, len, hmac, &hmac_len) ? 0 : -1;
  memcpy(x->message + 2, &old, sizeof(old));
  if (ret < 0 || hmac_len != SHA1SIZEBYTES)
    return -1;
  return CRYPTO_memcmp(hmac, stun_attr_get_value(x->a.integrity), SHA1SIZEBYTES) == 0;
}

int auth_check_integrity(const struct coturn_auth_request *request, const uint8_t *key,
                         size_t key_len) {
  int ret;
  if (!request || request != asking.request || !key)
    return -1;
  ret = verify(asking.x, key, key_len);
  if (ret == 1) {
    memcpy(asking.verified, key, key_len);
    asking.verified_len = (uint32_t)key_len;
  }
  return ret;
}

/* ------------------------------------------------------------------ the session */

static struct auth_session *state_of(ts_ur_super_session *ss) {
  if (!ss->auth_session)
    ss->auth_session = (struct auth_session *)calloc(1, sizeof(struct auth_session));
  return ss->auth_session;
}

static int owns(const ts_ur_super_session *ss) {
  return ss && ss->auth_session && ss->auth_session->granted;
}

static int has_allocation(ts_ur_super_session *ss) {
  return is_allocation_valid(get_allocation_ss(ss));
}

static uint16_t transport_of(ts_ur_super_session *ss) {
  if (ss->client_socket) {
    switch (get_ioa_socket_type(ss->client_socket)) {
    case UDP_SOCKET:
      return COTURN_AUTH_TRANSPORT_UDP;
    case TCP_SOCKET:
      return COTURN_AUTH_TRANSPORT_TCP;
    case TLS_SOCKET:
      return COTURN_AUTH_TRANSPORT_TLS;
    case DTLS_SOCKET:
      return COTURN_AUTH_TRANSPORT_DTLS;
    case SCTP_SOCKET:
      return COTURN_AUTH_TRANSPORT_SCTP;
    case TLS_SCTP_SOCKET:
      return COTURN_AUTH_TRANSPORT_TLS_SCTP;
    default:
      break;
    }
  }
  return COTURN_AUTH_TRANSPORT_UNKNOWN;
}

static const struct sockaddr *client_addr(ts_ur_super_session *ss) {
  ioa_addr *addr = ss->client_socket ? get_remote_addr_from_ioa_socket(ss->client_socket) : NULL;
  return addr ? &addr->ss : NULL;
}

static const struct sockaddr *local_addr(ts_ur_super_session *ss) {
  ioa_addr *addr = ss->client_socket ? get_local_addr_from_ioa_socket(ss->client_socket) : NULL;
  return addr ? &addr->ss : NULL;
}

turn_turnserver *auth_server_of(uint64_t session) {
  uint64_t id = session / (uint64_t)TURN_SESSION_ID_FACTOR;
  return id < SERVERS_MAX ? __atomic_load_n(&servers[id], __ATOMIC_ACQUIRE) : NULL;
}

/* Whole seconds until the deadline; 0: it is over, or nearly. */
static uint64_t seconds_left(const struct auth_session *st) {
  uint64_t now = auth_monotonic_ms();
  return st->deadline_ms > now ? (st->deadline_ms - now) / 1000 : 0;
}

static int expired(const struct auth_session *st, uint16_t method, int allocation) {
  if (!st->deadline_ms)
    return 0;
  if (st->policy == COTURN_AUTH_EXPIRY_ALLOCATE && (allocation || method != STUN_METHOD_ALLOCATE))
    return 0;
  return seconds_left(st) == 0;
}

/* On the monotonic clock, so that a step of the wall clock neither ends nor prolongs a session. */
static uint64_t deadline_of(const struct coturn_auth_grant *g) {
  struct timespec ts;
  int64_t end, now_ms;
  uint64_t mono = auth_monotonic_ms();
  if (!g->expires)
    return 0;
  if (g->expires < 0)
    return 1;
  if (g->expires > INT64_MAX / 1000 - (int64_t)UINT32_MAX)
    return 0;
  clock_gettime(CLOCK_REALTIME, &ts);
  now_ms = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
  end = g->expires;
  if (g->expiry_policy == COTURN_AUTH_EXPIRY_GRACE)
    end += g->grace_seconds;
  end *= 1000;
  if (end <= now_ms)
    return 1;
  return mono + (uint64_t)(end - now_ms);
}

/* ------------------------------------------------------------------ answers to the client */

/* The message library's own function has other parameters in other versions. */
static void error_response(const struct auth_exchange *x, size_t *len, int code,
                           const uint8_t *reason) {
  uint8_t *buf = ioa_network_buffer_data(x->nbh);
  uint8_t value[4 + 128] = {0};
  const char *text = (const char *)(reason ? reason : get_default_reason(code));
  size_t n = strnlen(text, sizeof(value) - 4);
  value[2] = (uint8_t)(code / 100);
  value[3] = (uint8_t)(code % 100);
  memcpy(value + 4, text, n);
  stun_init_command_str(stun_make_error_response(x->method), buf, len);
  stun_attr_add_str(buf, len, STUN_ATTRIBUTE_ERROR_CODE, value, (int)(4 + n));
  stun_tid_message_cpy(buf, x->tid);
}

static void challenge_response(struct auth_exchange *x, const struct auth_session *st) {
  uint8_t *buf = ioa_network_buffer_data(x->nbh);
  size_t len = ioa_network_buffer_get_size(x->nbh);
  error_response(x, &len, *x->err_code, *x->reason);
  stun_attr_add_str(buf, &len, STUN_ATTRIBUTE_NONCE, x->ss->nonce, (int)(NONCE_MAX_SIZE - 1));
  stun_attr_add_str(buf, &len, STUN_ATTRIBUTE_REALM, (const uint8_t *)st->realm,
                    (int)strlen(st->realm));
  if (st->offers_tokens && st->server_name && st->server_name[0])
    stun_attr_add_str(buf, &len, STUN_ATTRIBUTE_THIRD_PARTY_AUTHORIZATION,
                      (const uint8_t *)st->server_name, (int)strlen(st->server_name));
  ioa_network_buffer_set_size(x->nbh, len);
  *x->resp_constructed = 1;
  auth_count(AUTH_COUNT_CHALLENGED);
}

static void unknown_token_response(struct auth_exchange *x) {
  uint8_t *buf = ioa_network_buffer_data(x->nbh);
  size_t len = ioa_network_buffer_get_size(x->nbh);
  uint16_t type = nswap16(STUN_ATTRIBUTE_OAUTH_ACCESS_TOKEN);
  error_response(x, &len, 420, NULL);
  stun_attr_add_str(buf, &len, STUN_ATTRIBUTE_UNKNOWN_ATTRIBUTES, (const uint8_t *)&type, 2);
  ioa_network_buffer_set_size(x->nbh, len);
  *x->resp_constructed = 1;
}

static int refuse(struct auth_exchange *x, int code, unsigned reason, const char *user) {
  const struct auth_session *st = x->held->auth_session;
  struct auth_refusal r;
  memset(&r, 0, sizeof(r));
  r.client = x->ss->client_socket ? get_remote_addr_from_ioa_socket(x->ss->client_socket) : NULL;
  r.realm = st && st->realm[0] ? st->realm : x->ss->realm_options.name;
  r.user = user;
  r.method = x->method;
  r.code = code;
  r.reason = reason;
  r.session = x->ss->id;
  auth_report_refusal(&r);

  *x->err_code = code;
  if (code == 438)
    *x->reason = (const uint8_t *)"Stale nonce";
  else if (code == 441)
    *x->reason = (const uint8_t *)"Wrong credentials";
  if ((code == 401 || code == 438) && st)
    challenge_response(x, st);
  else if (code == 420)
    unknown_token_response(x);
  return 1;
}

/* ------------------------------------------------------------------ the challenge */

/* 1: st says how to challenge; 0: coturn does; -1: nothing can be decided now. */
static int ask_challenge(struct auth_exchange *x, struct auth_session *st) {
  struct coturn_auth_challenge_request request = {.header = COTURN_AUTH_HEADER(request)};
  struct coturn_auth_challenge challenge;
  enum coturn_auth_verdict verdict = COTURN_AUTH_DECLINED;

  if (auth_module.challenge) {
    memset(&challenge, 0, sizeof(challenge));
    challenge.header = (struct coturn_auth_header)COTURN_AUTH_HEADER(challenge);
    challenge.accepts_tokens = 1;
    request.realm = x->ss->realm_options.name;
    request.origin = x->ss->origin;
    request.client_addr = client_addr(x->ss);
    request.local_addr = local_addr(x->ss);
    request.transport = transport_of(x->ss);
    request.method = x->method;
    request.flags = x->a.wants_token ? COTURN_AUTH_REQ_WANTS_TOKEN : 0;
    if (auth_module_enter() < 0)
      return -1;
    verdict = auth_module.challenge(auth_module_state, &request, &challenge);
    auth_module_leave();
    challenge.realm[COTURN_AUTH_REALM_MAX] = 0;
    challenge.server_name[COTURN_AUTH_SERVER_NAME_MAX] = 0;
  }

  if (verdict == COTURN_AUTH_GRANTED) {
    STRCPY(st->realm, challenge.realm[0] ? challenge.realm : x->ss->realm_options.name);
    st->offers_tokens = challenge.offers_tokens ? 1 : 0;
    st->accepts_tokens = challenge.accepts_tokens ? 1 : 0;
    if (!st->server_name || strcmp(st->server_name, challenge.server_name)) {
      free(st->server_name);
      st->server_name = strdup(challenge.server_name);
    }
    st->challenged = 1;
    return 1;
  }
  if (verdict != COTURN_AUTH_DECLINED)
    return -1;
  STRCPY(st->realm, x->ss->realm_options.name);
  st->offers_tokens = 0;
  st->accepts_tokens = 1;
  st->challenged = 0;
  return 0;
}

/* The realm of a verified identity stays; before that it may change with the module's settings. */
static int current_challenge(struct auth_exchange *x, struct auth_session *st) {
  if (st->granted)
    return 1;
  return ask_challenge(x, st);
}

/* ------------------------------------------------------------------ quota */

static int change_quota(char *name, char *realm, uint32_t user_quota, int add) {
  realm_params_t *rp = get_realm(realm);
  const perf_options_t *po = &rp->options.perf_options;
  ur_string_map_value_type value = 0;
  size_t limit = user_quota ? user_quota : (size_t)po->user_quota;
  int ret = 0;

  ur_string_map_lock(rp->status.alloc_counters);
  ur_string_map_get(rp->status.alloc_counters, (ur_string_map_key_type)name, &value);
  if (add) {
    if ((po->total_quota && rp->status.total_current_allocs >= po->total_quota) ||
        (limit && (size_t)value >= limit)) {
      ret = -1;
    } else {
      value = (ur_string_map_value_type)((size_t)value + 1);
      ur_string_map_put(rp->status.alloc_counters, (ur_string_map_key_type)name, value);
      ++(rp->status.total_current_allocs);
    }
  } else {
    if ((size_t)value > 1)
      ur_string_map_put(rp->status.alloc_counters, (ur_string_map_key_type)name,
                        (ur_string_map_value_type)((size_t)value - 1));
    else if (value)
      ur_string_map_del(rp->status.alloc_counters, (ur_string_map_key_type)name);
    if (rp->status.total_current_allocs)
      --(rp->status.total_current_allocs);
  }
  ur_string_map_unlock(rp->status.alloc_counters);
  return ret;
}

static int inc_quota(ts_ur_super_session *ss) {
  const struct auth_session *st = ss->auth_session;
  if (ss->quota_used)
    return 0;
  if (change_quota(st->quota_name, ss->realm_options.name, st->user_quota, 1) < 0) {
    struct auth_refusal r;
    memset(&r, 0, sizeof(r));
    r.client = ss->client_socket ? get_remote_addr_from_ioa_socket(ss->client_socket) : NULL;
    r.realm = st->realm;
    r.user = (const char *)ss->username;
    r.method = STUN_METHOD_ALLOCATE;
    r.code = 486;
    r.reason = COTURN_AUTH_REASON_QUOTA;
    r.session = ss->id;
    auth_report_refusal(&r);
    return -1;
  }
  ss->quota_used = 1;
  return 0;
}

static void dec_quota(ts_ur_super_session *ss) {
  if (ss->quota_used) {
    ss->quota_used = 0;
    change_quota(ss->auth_session->quota_name, ss->realm_options.name, 0, 0);
  }
}

/* ------------------------------------------------------------------ grants */

static const char *display_of(const struct auth_exchange *x, const char *display_name) {
  return display_name[0] ? display_name : x->username;
}

/* The identity of a grant: its own, or else the USERNAME. */
static int same_identity(const struct auth_session *st, const struct coturn_auth_grant *g,
                         const char *username) {
  if (st->identity_len != g->identity_len)
    return 0;
  if (!g->identity_len)
    return !strcmp(st->username, username);
  return !memcmp(st->identity, g->identity, g->identity_len);
}

/* 0, or -1 if the module broke the contract. */
static int check_grant(struct coturn_auth_grant *g) {
  const char *what = NULL;
  char line[256];
  g->quota_name[COTURN_AUTH_NAME_MAX] = 0;
  g->display_name[COTURN_AUTH_NAME_MAX] = 0;
  g->accounting_realm[COTURN_AUTH_REALM_MAX] = 0;
  if (!g->key_len || g->key_len > COTURN_AUTH_KEY_MAX)
    what = "key_len";
  else if (g->expiry_policy > COTURN_AUTH_EXPIRY_ALLOCATE)
    what = "expiry_policy";
  else if (g->identity_len > COTURN_AUTH_IDENTITY_MAX)
    what = "identity_len";
  if (!what)
    return 0;
  snprintf(line, sizeof(line),
           "auth-module: the grant of module %s is not usable: %s is %u (see coturn_auth_module.h)",
           auth_module.name, what,
           !strcmp(what, "key_len")         ? (unsigned)g->key_len
           : !strcmp(what, "expiry_policy") ? (unsigned)g->expiry_policy
                                            : (unsigned)g->identity_len);
  auth_report_line(TURN_LOG_LEVEL_ERROR, line);
  return -1;
}

static void set_string(char **dst, const char *src) {
  if (*dst && !strcmp(*dst, src))
    return;
  free(*dst);
  *dst = strdup(src);
}

static void apply_grant(struct auth_exchange *x, const struct coturn_auth_grant *g,
                        uint64_t deadline_ms) {
  ts_ur_super_session *ss = x->held;
  struct auth_session *st = ss->auth_session;
  const char *quota_name = g->quota_name[0] ? g->quota_name : x->username;
  char realm[COTURN_AUTH_REALM_MAX + 1];
  int recharge;

  STRCPY(realm, g->accounting_realm[0] ? g->accounting_realm : st->realm);
  recharge = ss->quota_used && (!st->granted || strcmp(st->quota_name, quota_name) ||
                                strcmp(ss->realm_options.name, realm));
  if (recharge)
    turn_auth_services.dec_quota(ss);

  memset(ss->hmackey, 0, sizeof(ss->hmackey));
  memcpy(ss->hmackey, g->key, g->key_len);
  ss->hmackey_set = 1;
  ss->pwd[0] = 0;
  ss->oauth = 0;
  auth_escape((char *)ss->username, sizeof(ss->username), display_of(x, g->display_name));
  if (strcmp(ss->realm_options.name, realm) || st->max_bps || g->max_bps) {
    get_realm_options_by_name(realm, &ss->realm_options);
    if (g->max_bps)
      ss->realm_options.perf_options.max_bps = (band_limit_t)g->max_bps;
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
  st->max_bps = g->max_bps;
  st->user_quota = g->user_quota;
  st->identity_len = g->identity_len;
  memcpy(st->identity, g->identity, sizeof(st->identity));
  set_string(&st->username, x->username);
  set_string(&st->quota_name, quota_name);

  if (recharge && inc_quota(ss) < 0)
    TURN_LOG_FUNC(TURN_LOG_LEVEL_WARNING, "session %018llu: its new quota name is used up\n",
                  (unsigned long long)ss->id);
}

/* The request is authenticated: what is left of the grant bounds the lifetimes to come. */
static int admit(struct auth_exchange *x) {
  const struct auth_session *st = x->held->auth_session;
  uint64_t left = 0;
  if (st->deadline_ms && st->policy != COTURN_AUTH_EXPIRY_ALLOCATE) {
    left = seconds_left(st);
    if (!left)
      left = 1; /* 0 would mean unlimited */
    if (left > INT32_MAX)
      left = INT32_MAX;
  }
  x->held->max_session_time_auth = (turn_time_t)left;
  if (x->held != x->ss) {
    x->ss->max_session_time_auth = (turn_time_t)left;
    /* the client goes on with the nonce that it has just used */
    if (attr_is(x->a.nonce, (const char *)x->ss->nonce)) {
      memcpy(x->held->nonce, x->ss->nonce, sizeof(x->held->nonce));
      x->held->nonce_expiration_time = x->ss->nonce_expiration_time;
    }
  }
  *x->message_integrity = 1;
  return 1;
}

static int use_grant(struct auth_exchange *x, struct coturn_auth_grant *g, int verified) {
  ts_ur_super_session *ss = x->held;
  struct auth_session *st = ss->auth_session;
  const char *user;
  struct auth_session probe;
  int other;

  if (check_grant(g) < 0)
    return refuse(x, 500, COTURN_AUTH_REASON_MODULE_ERROR, x->username);
  user = display_of(x, g->display_name);

  if (!verified && verify(x, g->key, g->key_len) != 1)
    return refuse(x, 401, COTURN_AUTH_REASON_INTEGRITY_MISMATCH, user);

  if (st->granted)
    other = !same_identity(st, g, x->username);
  else
    other = ss->quota_used && ss->username[0] && strcmp((char *)ss->username, x->username);
  if (other && has_allocation(ss)) {
    struct auth_session *own = x->ss->auth_session;
    memcpy(own->reply_key, g->key, g->key_len);
    own->reply_key_len = g->key_len;
    *x->message_integrity = 1;
    return refuse(x, 441, COTURN_AUTH_REASON_IDENTITY_MISMATCH, user);
  }

  memset(&probe, 0, sizeof(probe));
  probe.policy = g->expiry_policy;
  probe.deadline_ms = deadline_of(g);
  if (expired(&probe, x->method, has_allocation(ss)))
    return refuse(x, 401, COTURN_AUTH_REASON_EXPIRED, user);

  if (auth_module.session_bound) {
    struct coturn_auth_session bound = {.header = COTURN_AUTH_HEADER(bound)};
    int why;
    bound.session = ss->id;
    bound.ref = g->ref;
    bound.previous_ref = st->granted ? st->ref : 0;
    bound.username = x->username;
    bound.realm = st->realm;
    bound.quota_name = g->quota_name[0] ? g->quota_name : x->username;
    bound.client_addr = client_addr(x->ss);
    if (auth_module_enter() < 0)
      return refuse(x, 500, COTURN_AUTH_REASON_MODULE_ERROR, user);
    why = auth_module.session_bound(auth_module_state, &bound);
    auth_module_leave();
    if (why)
      return refuse(x, 401, (unsigned)why, user);
  }

  apply_grant(x, g, probe.deadline_ms);
  auth_count(AUTH_COUNT_GRANTED);
  return admit(x);
}

/* ------------------------------------------------------------------ asking the module */

static int use_answer(struct auth_exchange *x, struct auth_answer *answer, int verified) {
  struct auth_session *own = x->ss->auth_session;
  int code;

  switch (answer->verdict) {
  case COTURN_AUTH_GRANTED:
    return use_grant(x, &answer->grant, verified);

  case COTURN_AUTH_DENIED:
    code = answer->denial.error_code ? answer->denial.error_code : 401;
    switch (code) {
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
      break;
    default:
      code = 500;
    }
    answer->denial.display_name[COTURN_AUTH_NAME_MAX] = 0;
    return refuse(x, code, answer->denial.reason, display_of(x, answer->denial.display_name));

  case COTURN_AUTH_DECLINED:
    auth_count(AUTH_COUNT_DECLINED);
    /* What the module has granted, coturn's own users cannot take over. */
    if (auth_module_options.only || x->held->auth_session->granted)
      return refuse(x, 401, COTURN_AUTH_REASON_UNKNOWN_USER, x->username);
    own->skip = 1;
    stun_tid_cpy(&own->skip_tid, x->tid);
    return 0;

  default:
    return refuse(x, 500, COTURN_AUTH_REASON_MODULE_ERROR, x->username);
  }
}

/* authenticate() itself. *verified: the grant's key is known to verify the message. */
static enum coturn_auth_verdict authenticate(struct auth_exchange *x, uint32_t why, uint32_t flags,
                                             uint64_t handle, struct auth_answer *answer,
                                             int *verified) {
  const struct auth_session *st = x->held->auth_session;
  struct coturn_auth_request request = {.header = COTURN_AUTH_HEADER(request)};
  enum coturn_auth_verdict verdict;

  memset(answer, 0, sizeof(*answer));
  answer->grant.header = (struct coturn_auth_header)COTURN_AUTH_HEADER(answer->grant);
  answer->denial.header = (struct coturn_auth_header)COTURN_AUTH_HEADER(answer->denial);
  *verified = 0;

  request.handle.session = x->ss->id;
  request.handle.request = handle;
  request.session = x->held->id;
  request.why = why;
  request.flags = flags;
  if (has_allocation(x->held))
    request.flags |= COTURN_AUTH_REQ_HAS_ALLOCATION;
  if (x->a.wants_token)
    request.flags |= COTURN_AUTH_REQ_WANTS_TOKEN;
  if (x->held != x->ss)
    request.flags |= COTURN_AUTH_REQ_MOBILITY;
  request.method = x->method;
  request.transport = transport_of(x->ss);
  request.username = x->username;
  request.username_len = (uint32_t)strlen(x->username);
  request.realm = st->realm;
  if (why & COTURN_AUTH_WHY_TOKEN) {
    request.access_token = stun_attr_get_value(x->a.token);
    request.access_token_len = (size_t)stun_attr_get_len(x->a.token);
    if (!request.access_token) /* present and empty is not the same as absent */
      request.access_token = (const uint8_t *)"";
  }
  request.message = x->message;
  request.message_len = x->message_len;
  request.client_addr = client_addr(x->ss);
  request.local_addr = local_addr(x->ss);
  request.grant_ref = st->granted ? st->ref : 0;
  request.origin = x->ss->origin;

  if (auth_module_enter() < 0) {
    answer->verdict = COTURN_AUTH_DENIED;
    answer->denial.error_code = 500;
    answer->denial.reason = COTURN_AUTH_REASON_MODULE_ERROR;
    return COTURN_AUTH_DENIED;
  }
  asking.request = &request;
  asking.x = x;
  asking.verified_len = 0;
  verdict = auth_module.authenticate(auth_module_state, &request, &answer->grant, &answer->denial);
  asking.request = NULL;
  auth_module_leave();

  if (verdict == COTURN_AUTH_GRANTED && asking.verified_len &&
      asking.verified_len == answer->grant.key_len &&
      !CRYPTO_memcmp(asking.verified, answer->grant.key, asking.verified_len))
    *verified = 1;
  OPENSSL_cleanse(asking.verified, sizeof(asking.verified));
  answer->verdict = verdict;
  return verdict;
}

static int ask(struct auth_exchange *x, uint32_t why) {
  struct auth_session *own = x->ss->auth_session;
  struct auth_answer answer;
  struct session_pending *slot = NULL;
  uint64_t handle = 0;
  int i, verified = 0, ret;

  if (own->answer && stun_tid_equals(&own->answer_tid, x->tid)) {
    answer = *own->answer;
    own->answer = NULL;
    ret = use_answer(x, &answer, 0);
    OPENSSL_cleanse(&answer, sizeof(answer));
    return ret;
  }

  if (x->can_resume) {
    for (i = 0; i < SESSION_PENDING_MAX && !slot; ++i) {
      if (!own->pending[i].request)
        slot = &own->pending[i];
    }
  }
  handle = auth_pending_ask(x->ss->id);

  authenticate(x, why, x->can_resume ? COTURN_AUTH_REQ_CAN_PEND : 0, handle, &answer, &verified);

  if (answer.verdict == COTURN_AUTH_PENDING) {
    ret = auth_pending_wait(handle, x->server, x->tid, slot ? x->in_buffer : NULL, &answer);
    if (ret == 1) {
      slot->request = handle;
      stun_tid_cpy(&slot->tid, x->tid);
      *x->postpone_reply = 1;
      auth_count(AUTH_COUNT_PENDING);
      return 1;
    }
    if (ret < 0) {
      return refuse(x, 500,
                    x->can_resume ? COTURN_AUTH_REASON_TOO_MANY_PENDING
                                  : COTURN_AUTH_REASON_CANNOT_POSTPONE,
                    x->username);
    }
  } else {
    auth_pending_forget(handle);
  }

  ret = use_answer(x, &answer, verified);
  OPENSSL_cleanse(&answer, sizeof(answer));
  return ret;
}

/* ------------------------------------------------------------------ the check */

static int takes_token(const struct auth_exchange *x) {
  return x->a.token && (x->method == STUN_METHOD_ALLOCATE || x->method == STUN_METHOD_REFRESH);
}

static int session_check(struct auth_exchange *x) {
  struct auth_session *own = x->ss->auth_session;
  struct auth_session *st = x->held->auth_session;
  uint32_t why = 0;
  int i, challenge;

  for (i = 0; i < SESSION_PENDING_MAX; ++i) {
    if (own->pending[i].request && stun_tid_equals(&own->pending[i].tid, x->tid)) {
      *x->postpone_reply = 1;
      auth_count(AUTH_COUNT_COALESCED);
      return 1;
    }
  }

  if (own->skip && stun_tid_equals(&own->skip_tid, x->tid))
    return 0;
  if (!st->granted && x->held->hmackey_set && !takes_token(x))
    return 0; /* authenticated by coturn itself */

  challenge = current_challenge(x, st);
  if (challenge < 0)
    return refuse(x, 500, COTURN_AUTH_REASON_STORE_UNAVAILABLE, "");

  if (takes_token(x) && !st->accepts_tokens)
    return refuse(x, 420, COTURN_AUTH_REASON_TOKEN_NOT_OFFERED, "");

  if (!x->a.integrity || stun_attr_get_len(x->a.integrity) != SHA1SIZEBYTES) {
    if (!challenge && !auth_module_options.only)
      return 0;
    *x->err_code = 401;
    challenge_response(x, st);
    return 1;
  }

  if (!x->a.realm || !x->a.username || !x->a.nonce)
    return refuse(x, 400, COTURN_AUTH_REASON_MALFORMED, "");
  if (attr_string(x->a.username, x->username, sizeof(x->username)) < 0 ||
      !is_secure_string((const uint8_t *)x->username, 1))
    return refuse(x, 400, COTURN_AUTH_REASON_BAD_USERNAME, "");
  if (!attr_is(x->a.nonce, (const char *)x->ss->nonce) &&
      (x->held == x->ss || !attr_is(x->a.nonce, (const char *)x->held->nonce)))
    return refuse(x, 438, COTURN_AUTH_REASON_STALE_NONCE, x->username);
  if (!attr_is(x->a.realm, st->realm))
    return refuse(x, 401, COTURN_AUTH_REASON_REALM_MISMATCH, x->username);

  if (takes_token(x))
    why |= COTURN_AUTH_WHY_TOKEN;
  if (!st->granted) {
    why |= COTURN_AUTH_WHY_FIRST;
  } else {
    if (strcmp(st->username, x->username))
      why |= COTURN_AUTH_WHY_USERNAME;
    else if (!(why & COTURN_AUTH_WHY_TOKEN) && verify(x, x->held->hmackey, st->key_len) != 1)
      why |= COTURN_AUTH_WHY_INTEGRITY_MISMATCH;
    if (expired(st, x->method, has_allocation(x->held)))
      why |= COTURN_AUTH_WHY_EXPIRED;
    if (!why) {
      auth_count(AUTH_COUNT_IN_FORCE);
      return admit(x);
    }
  }
  return ask(x, why);
}

/* ------------------------------------------------------------------ observing */

static void observe_ask(struct auth_exchange *x, struct auth_session *st) {
  struct auth_answer answer;
  uint64_t handle;
  int verified = 0;

  st->observed = 0;
  stun_tid_cpy(&st->observed_tid, x->tid);
  if (!x->a.integrity || !x->a.realm || !x->a.username || !x->a.nonce ||
      attr_string(x->a.username, x->username, sizeof(x->username)) < 0 || ask_challenge(x, st) < 0)
    return;
  handle = auth_pending_ask(x->ss->id);
  authenticate(x,
               COTURN_AUTH_WHY_OBSERVE | COTURN_AUTH_WHY_FIRST |
                   (takes_token(x) ? COTURN_AUTH_WHY_TOKEN : 0),
               0, handle, &answer, &verified);
  auth_pending_forget(handle);
  st->observed = 1;
  st->observed_in = 0;
  st->observed_reason = COTURN_AUTH_REASON_NONE;
  if (answer.verdict == COTURN_AUTH_DECLINED) {
    auth_count(AUTH_COUNT_DECLINED);
    st->observed = 0;
  } else if (answer.verdict == COTURN_AUTH_DENIED) {
    st->observed_reason = answer.denial.reason;
  } else if (answer.verdict != COTURN_AUTH_GRANTED) {
    st->observed_reason = COTURN_AUTH_REASON_CANNOT_POSTPONE;
  } else if (check_grant(&answer.grant) < 0) {
    st->observed_reason = COTURN_AUTH_REASON_MODULE_ERROR;
  } else if (!verified && verify(x, answer.grant.key, answer.grant.key_len) != 1) {
    st->observed_reason = COTURN_AUTH_REASON_INTEGRITY_MISMATCH;
  } else {
    st->observed_in = 1;
  }
  OPENSSL_cleanse(&answer, sizeof(answer));
}

static int observe(struct auth_exchange *x) {
  struct auth_session *st = x->ss->auth_session;
  char line[1400], client[129] = "", user[257];
  int in;

  if (st->observing)
    return 0;
  if (!x->can_resume && stun_tid_equals(&st->observed_tid, x->tid))
    ; /* the replayed packet */
  else
    observe_ask(x, st);

  st->observing = 1;
  turn_auth_services.check(x->server, x->ss, x->tid, x->resp_constructed, x->err_code, x->reason,
                           x->in_buffer, x->nbh, x->method, x->message_integrity, x->postpone_reply,
                           x->can_resume);
  st->observing = 0;

  if (*x->postpone_reply || !st->observed || (*x->err_code && *x->err_code != 401))
    return 1;
  in = *x->message_integrity && !*x->err_code;
  if (in == st->observed_in) {
    auth_count(AUTH_COUNT_OBSERVED_SAME);
    return 1;
  }
  auth_count(in ? AUTH_COUNT_OBSERVED_ONLY_COTURN : AUTH_COUNT_OBSERVED_ONLY_MODULE);
  if (x->ss->client_socket)
    addr_to_string_no_port(get_remote_addr_from_ioa_socket(x->ss->client_socket),
                           (uint8_t *)client);
  auth_escape(user, sizeof(user), x->username[0] ? x->username : (const char *)x->ss->username);
  snprintf(line, sizeof(line),
           "auth-module: observed client=%s realm=\"%s\" user=\"%s\": coturn %s, module %s%s%s",
           client, st->realm, user, in ? "lets in" : "refuses",
           st->observed_in ? "would let in" : "would refuse", st->observed_in ? "" : " reason=",
           st->observed_in ? "" : auth_reason_name(st->observed_reason));
  auth_report_line(TURN_LOG_LEVEL_WARNING, line);
  return 1;
}

/* ------------------------------------------------------------------ the hooks */

static int check(turn_turnserver *server, ts_ur_super_session *ss, stun_tid *tid,
                 int *resp_constructed, int *err_code, const uint8_t **reason,
                 ioa_net_data *in_buffer, ioa_network_buffer_handle nbh, uint16_t method,
                 int *message_integrity, int *postpone_reply, int can_resume) {
  struct auth_exchange x;
  struct auth_session *own = state_of(ss);

  if (servers[server->id] != server)
    __atomic_store_n(&servers[server->id], server, __ATOMIC_RELEASE);
  if (!own) {
    *err_code = 500;
    return 1;
  }

  memset(&x, 0, sizeof(x));
  x.server = server;
  x.ss = ss;
  x.held = own->resume_of ? own->resume_of : ss;
  x.tid = tid;
  x.resp_constructed = resp_constructed;
  x.err_code = err_code;
  x.reason = reason;
  x.in_buffer = in_buffer;
  x.nbh = nbh;
  x.method = method;
  x.message_integrity = message_integrity;
  x.postpone_reply = postpone_reply;
  x.can_resume = can_resume;
  own->resume_of = NULL;
  own->reply_key_len = 0;
  parse(&x);

  return auth_module_options.observe ? observe(&x) : session_check(&x);
}

void auth_session_resume(turn_turnserver *server, turnsession_id session, const stun_tid *tid,
                         ioa_net_data *in_buffer, const struct auth_answer *answer) {
  ts_ur_super_session *ss = turn_auth_services.session(server, session);
  int i;

  if (!ss || !ss->client_socket || !ss->auth_session)
    return;
  for (i = 0; i < SESSION_PENDING_MAX; ++i) {
    if (stun_tid_equals(&ss->auth_session->pending[i].tid, tid))
      ss->auth_session->pending[i].request = 0;
  }
  ss->auth_session->answer = answer;
  stun_tid_cpy(&ss->auth_session->answer_tid, tid);
  turn_auth_services.read(server, ss, in_buffer, 1, 0);

  ss = turn_auth_services.session(server, session);
  if (ss) {
    ss->auth_session->answer = NULL;
    if (ss->client_socket) {
      if (ss->to_be_closed)
        set_ioa_socket_tobeclosed(ss->client_socket);
      close_ioa_socket_after_processing_if_necessary(ss->client_socket);
    }
  }
}

static int add_integrity(ts_ur_super_session *ss, uint8_t *buf, size_t *len) {
  struct auth_session *st = ss ? ss->auth_session : NULL;
  uint8_t hmac[EVP_MAX_MD_SIZE] = {0};
  unsigned int hmac_len = 0;
  const uint8_t *key;
  size_t key_len;

  if (!st || (!st->granted && !st->reply_key_len))
    return 0;
  key = st->reply_key_len ? st->reply_key : ss->hmackey;
  key_len = st->reply_key_len ? st->reply_key_len : st->key_len;
  stun_attr_add_str(buf, len, STUN_ATTRIBUTE_MESSAGE_INTEGRITY, hmac, SHA1SIZEBYTES);
  if (!HMAC(EVP_sha1(), key, (int)key_len, buf, *len - 4 - SHA1SIZEBYTES, hmac, &hmac_len))
    return -1;
  memcpy(buf + *len - SHA1SIZEBYTES, hmac, SHA1SIZEBYTES);
  if (st->reply_key_len) {
    OPENSSL_cleanse(st->reply_key, sizeof(st->reply_key));
    st->reply_key_len = 0;
  }
  return 1;
}

static void resume(ts_ur_super_session *orig_ss, ts_ur_super_session *ss) {
  struct auth_session *own = owns(orig_ss) ? state_of(ss) : NULL;
  if (own)
    own->resume_of = orig_ss;
}

static int keeps(const ts_ur_super_session *orig_ss, const ts_ur_super_session *ss) {
  return owns(orig_ss) || owns(ss);
}

static void session_end(ts_ur_super_session *ss) {
  struct auth_session *st = ss->auth_session;
  turn_turnserver *server = (turn_turnserver *)ss->server;
  int i;

  if (!st)
    return;
  for (i = 0; i < SESSION_PENDING_MAX; ++i) {
    if (st->pending[i].request)
      auth_pending_drop(st->pending[i].request, server);
  }
  if (st->granted) {
    auth_count(AUTH_COUNT_SESSIONS_ENDED);
    if (auth_module.session_end && auth_module_enter() == 0) {
      struct coturn_auth_session_end end = {.header = COTURN_AUTH_HEADER(end)};
      end.session = ss->id;
      end.ref = st->ref;
      end.display_name = (const char *)ss->username;
      end.realm = ss->realm_options.name;
      end.duration = (auth_monotonic_ms() - st->bound_ms) / 1000;
      end.received_bytes = ss->t_received_bytes;
      end.sent_bytes = ss->t_sent_bytes;
      end.peer_received_bytes = ss->t_peer_received_bytes;
      end.peer_sent_bytes = ss->t_peer_sent_bytes;
      auth_module.session_end(auth_module_state, &end);
      auth_module_leave();
    }
    OPENSSL_cleanse(ss->hmackey, sizeof(ss->hmackey));
  }
  free(st->server_name);
  free(st->username);
  free(st->quota_name);
  OPENSSL_cleanse(st, sizeof(*st));
  free(st);
  ss->auth_session = NULL;
}

/* ------------------------------------------------------------------ peers that the module denies
 */

static ioa_addr denied_peers[DENIED_PEERS_MAX];
static size_t denied_peers_number = 0;

static int denied_peer(const ioa_addr *addr) {
  size_t i, n = __atomic_load_n(&denied_peers_number, __ATOMIC_ACQUIRE);
  ioa_addr plain;
  for (i = 0; i < n; ++i) {
    if (addr_eq_no_port(&denied_peers[i], addr))
      break;
    /* an IPv4 address may come in IPv6 clothes */
    if (addr->ss.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&addr->s6.sin6_addr)) {
      memset(&plain, 0, sizeof(plain));
      plain.s4.sin_family = AF_INET;
      memcpy(&plain.s4.sin_addr, (const uint8_t *)&addr->s6.sin6_addr + 12, 4);
      if (addr_eq_no_port(&denied_peers[i], &plain))
        break;
    }
  }
  if (i == n)
    return 0;
  {
    char saddr[129];
    addr_to_string_no_port(addr, (uint8_t *)saddr);
    TURN_LOG_FUNC(TURN_LOG_LEVEL_ERROR, "A peer IP %s denied by the authentication module\n",
                  saddr);
  }
  return 1;
}

int auth_deny_peer(const struct sockaddr *addr) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  ioa_addr a;
  size_t i;
  int ret = 0;
  memset(&a, 0, sizeof(a));
  if (!addr)
    return -1;
  if (addr->sa_family == AF_INET)
    memcpy(&a.s4, addr, sizeof(a.s4));
  else if (addr->sa_family == AF_INET6)
    memcpy(&a.s6, addr, sizeof(a.s6));
  else
    return -1;
  pthread_mutex_lock(&mutex);
  for (i = 0; i < denied_peers_number && !addr_eq_no_port(&denied_peers[i], &a); ++i)
    ;
  if (i == denied_peers_number) {
    if (i < DENIED_PEERS_MAX) {
      addr_cpy(&denied_peers[i], &a);
      __atomic_store_n(&denied_peers_number, i + 1, __ATOMIC_RELEASE);
    } else {
      ret = -1;
    }
  }
  pthread_mutex_unlock(&mutex);
  return ret;
}

void auth_peers_status(coturn_auth_status_fn emit, void *arg) {
  size_t i, n = __atomic_load_n(&denied_peers_number, __ATOMIC_ACQUIRE);
  for (i = 0; i < n; ++i) {
    char saddr[129];
    addr_to_string_no_port(&denied_peers[i], (uint8_t *)saddr);
    emit("denied peer", saddr, arg);
  }
}

const struct turn_auth_hooks auth_session_hooks = {
    check, owns, inc_quota, dec_quota, add_integrity, resume, keeps, denied_peer, session_end,
};
