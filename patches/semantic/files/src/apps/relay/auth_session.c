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

#include "auth_exchange.h"

#include <openssl/crypto.h>

/* The realm of a verified identity stays; before that it may change with the module's settings. */
static int current_challenge(struct auth_exchange *x) {
  if (x->st->granted) {
    return 1;
  }
  return auth_ask_challenge(x);
}

static int nonce_is_fresh(struct auth_exchange *x) {
  if (auth_attr_is(x->a.nonce, (const char *)x->ss->nonce)) {
    return 1;
  }
  if (x->held != x->ss && auth_attr_is(x->a.nonce, (const char *)x->held->nonce)) {
    return 1;
  }
  return !auth_owns(x->ss) && auth_adopt_nonce(x);
}

/* 1 if the nonce is one of another server, which has sent the client here: the session goes on with it. */
static int takes_foreign_nonce(struct auth_exchange *x) {
  char nonce[NONCE_MAX_SIZE];
  if (!auth_foreign_nonce(x, nonce)) {
    return 0;
  }
  STRCPY(x->ss->nonce, nonce);
  return 1;
}

/* 1 if the request is a retransmission of one whose answer is awaited. A ConnectionBind is none: it comes from another
 * connection than its session's, which nobody would ever answer. */
static int is_awaited(const struct auth_exchange *x) {
  const struct auth_session *own = x->ss->auth_session;
  int i;
  if (x->method == STUN_METHOD_CONNECTION_BIND) {
    return 0;
  }
  for (i = 0; i < SESSION_PENDING_MAX; ++i) {
    if (own->pending[i].request && stun_tid_equals(&own->pending[i].tid, x->tid)) {
      return 1;
    }
  }
  return 0;
}

/* 1 if coturn replays a request that the module has declined. A request from the network is none, whatever its
 * transaction id. */
static int is_replayed(const struct auth_exchange *x) {
  const struct auth_session *own = x->ss->auth_session;
  unsigned i;
  for (i = 0; !x->can_resume && i < own->skips && i < SESSION_PENDING_MAX; ++i) {
    if (stun_tid_equals(&own->skipped[i], x->tid)) {
      return 1;
    }
  }
  return 0;
}

/* 1 if no grant is in force and the request is coturn's to authenticate: coturn replays what the module has declined,
 * or has let the session allocate. A key that coturn has looked up says nothing: nobody needs its password for that. */
static int is_coturns(const struct auth_exchange *x) {
  if (x->st->granted) {
    return 0;
  }
  return is_replayed(x) || (x->held->hmackey_set && auth_has_allocation(x->held) && !auth_takes_token(x));
}

/* Why the module has to be asked: COTURN_AUTH_WHY_*; 0: the grant in force verifies the request. */
static uint32_t why_ask(const struct auth_exchange *x) {
  const struct auth_session *st = x->st;
  uint32_t why = auth_takes_token(x) ? COTURN_AUTH_WHY_TOKEN : 0;
  if (!st->granted) {
    return why | COTURN_AUTH_WHY_FIRST;
  }
  if (strcmp(st->username, x->username)) {
    why |= COTURN_AUTH_WHY_USERNAME;
  } else if (!why && auth_verify(x, x->held->hmackey, st->key_len) != 1) {
    why |= COTURN_AUTH_WHY_INTEGRITY_MISMATCH;
  }
  if (auth_expired(st, x->method, auth_has_allocation(x->held))) {
    why |= COTURN_AUTH_WHY_EXPIRED;
  }
  return why;
}

static int session_check(struct auth_exchange *x) {
  uint32_t why;
  int answered;

  /* whom the module has let in cannot resume a mobile allocation of coturn's own users */
  if (x->coturns) {
    return auth_owns(x->ss) ? auth_refuse(x, 441, COTURN_AUTH_REASON_IDENTITY_MISMATCH, "") : 0;
  }
  if (is_awaited(x)) {
    *x->postpone_reply = 1;
    auth_count(AUTH_COUNT_COALESCED);
    return 1;
  }
  if (is_coturns(x)) {
    return 0;
  }

  answered = auth_check_form(x, current_challenge(x));
  if (answered >= 0) {
    return answered;
  }
  if (!nonce_is_fresh(x) && !takes_foreign_nonce(x)) {
    return auth_refuse(x, 438, COTURN_AUTH_REASON_STALE_NONCE, x->username);
  }
  if (!auth_attr_is(x->a.realm, x->st->realm)) {
    return auth_refuse(x, 401, COTURN_AUTH_REASON_REALM_MISMATCH, x->username);
  }

  why = why_ask(x);
  if (why) {
    return auth_ask(x, why);
  }
  auth_count(AUTH_COUNT_IN_FORCE);
  return auth_admit(x);
}

/* ---- the hooks */

static int check(turn_turnserver *server, ts_ur_super_session *ss, stun_tid *tid, int *resp_constructed, int *err_code,
                 const uint8_t **reason, ioa_net_data *in_buffer, ioa_network_buffer_handle nbh, uint16_t method,
                 int *message_integrity, int *postpone_reply, int can_resume) {
  struct auth_exchange x;
  struct auth_session *own = auth_state_of(ss);

  auth_know_server(server);
  if (!own) {
    *err_code = 500;
    return 1;
  }

  memset(&x, 0, sizeof(x));
  x.server = server;
  x.ss = ss;
  x.held = own->resume_of ? own->resume_of : ss;
  x.st = x.held->auth_session;
  auth_source_of(ss, &x.from);
  if (method == STUN_METHOD_CONNECTION_BIND) { /* on a connection of its own, perhaps from another host */
    x.from.client = &in_buffer->src_addr;
  }
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
  x.coturns = own->resumes_coturns;
  own->resumes_coturns = 0;
  own->reply_key_len = 0;
  auth_parse(&x);

  return auth_module_options.observe ? auth_observe(&x) : session_check(&x);
}

void auth_session_resume(turn_turnserver *server, turnsession_id session, const stun_tid *tid, ioa_net_data *in_buffer,
                         const struct auth_answer *answer) {
  ts_ur_super_session *ss = turn_auth_services.session(server, session);
  int i;

  if (!ss || !ss->auth_session) {
    return;
  }
  for (i = 0; i < SESSION_PENDING_MAX; ++i) {
    if (stun_tid_equals(&ss->auth_session->pending[i].tid, tid)) {
      ss->auth_session->pending[i].request = 0;
    }
  }
  if (!ss->client_socket) { /* a mobile client that is moving asks again */
    return;
  }
  ss->auth_session->answer = answer;
  stun_tid_cpy(&ss->auth_session->answer_tid, tid);
  turn_auth_services.read(server, ss, in_buffer, 1, 0);

  ss = turn_auth_services.session(server, session);
  if (ss) {
    ss->auth_session->answer = NULL;
    if (ss->client_socket) {
      if (ss->to_be_closed) {
        set_ioa_socket_tobeclosed(ss->client_socket);
      }
      close_ioa_socket_after_processing_if_necessary(ss->client_socket);
    }
  }
}

static void resume(ts_ur_super_session *orig_ss, ts_ur_super_session *ss) {
  struct auth_session *own = auth_state_of(ss);
  if (!own) {
    return;
  }
  if (auth_owns(orig_ss)) {
    own->resume_of = orig_ss;
  } else {
    own->resumes_coturns = 1;
  }
}

static int keeps(const ts_ur_super_session *orig_ss, const ts_ur_super_session *ss) {
  return auth_owns(orig_ss) || auth_owns(ss);
}

static void session_end(ts_ur_super_session *ss) {
  struct auth_session *st = ss->auth_session;
  turn_turnserver *server = (turn_turnserver *)ss->server;
  int i;

  if (!st) {
    return;
  }
  for (i = 0; i < SESSION_PENDING_MAX; ++i) {
    if (st->pending[i].request) {
      auth_pending_drop(st->pending[i].request, server);
    }
  }
  if (st->granted) {
    struct coturn_auth_session_end end = {.header = COTURN_AUTH_HEADER(end)};
    auth_count(AUTH_COUNT_SESSIONS_ENDED);
    auth_usage_ended(ss, &end);
    if (auth_module.session_end && auth_module_enter() == 0) {
      end.session = ss->id;
      end.ref = st->ref;
      end.display_name = (const char *)ss->username;
      end.realm = st->accounting_realm;
      end.duration = (auth_monotonic_ms() - st->bound_ms) / 1000;
      auth_traffic_of(ss, &end.traffic);
      auth_module.session_end(auth_module_state, &end);
      auth_module_leave();
    }
    auth_release_quota(ss);
    OPENSSL_cleanse(ss->hmackey, sizeof(ss->hmackey));
  }
  free(st->server_name);
  free(st->username);
  free(st->quota_name);
  OPENSSL_cleanse(st, sizeof(*st));
  free(st);
  ss->auth_session = NULL;
}

const struct turn_auth_hooks auth_session_hooks = {
    check, auth_owns,        auth_inc_quota,       auth_dec_quota, auth_add_integrity,  resume,
    keeps, auth_denied_peer, auth_usage_allocated, session_end,    auth_listener_check,
};
