/*
 * auth_ask.c - asks the module, and goes on with its answer
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_exchange.h"

#include <openssl/crypto.h>

/* What the module may verify while it is being asked. */
static __thread struct {
  const struct coturn_auth_request *request;
  const struct auth_exchange *x;
  uint32_t verified_len;
  uint8_t verified[COTURN_AUTH_KEY_MAX];
} asking;

int auth_check_integrity(const struct coturn_auth_request *request, const uint8_t *key, size_t key_len) {
  int ret;
  if (!request || request != asking.request || !key) {
    return -1;
  }
  ret = auth_verify(asking.x, key, key_len);
  if (ret == 1) {
    memcpy(asking.verified, key, key_len);
    asking.verified_len = (uint32_t)key_len;
  }
  return ret;
}

static const struct sockaddr *sockaddr_of(const ioa_addr *addr) { return addr ? &addr->ss : NULL; }

int auth_ask_challenge(struct auth_exchange *x) {
  const struct auth_source *from = &x->from;
  struct auth_session *st = x->st;
  struct coturn_auth_challenge_request request = {.header = COTURN_AUTH_HEADER(request)};
  struct coturn_auth_challenge challenge;
  enum coturn_auth_verdict verdict = COTURN_AUTH_DECLINED;

  if (auth_module.challenge) {
    memset(&challenge, 0, sizeof(challenge));
    challenge.header = (struct coturn_auth_header)COTURN_AUTH_HEADER(challenge);
    challenge.accepts_tokens = 1;
    request.realm = from->realm;
    request.origin = from->origin;
    request.client_addr = sockaddr_of(from->client);
    request.local_addr = sockaddr_of(from->local);
    request.transport = from->transport;
    request.method = x->method;
    request.flags = x->a.wants_token ? COTURN_AUTH_REQ_WANTS_TOKEN : 0;
    if (auth_module_enter() < 0) {
      return -1;
    }
    verdict = auth_module.challenge(auth_module_state, &request, &challenge);
    auth_module_leave();
    challenge.realm[COTURN_AUTH_REALM_MAX] = 0;
    challenge.server_name[COTURN_AUTH_SERVER_NAME_MAX] = 0;
  }

  if (verdict == COTURN_AUTH_GRANTED) {
    STRCPY(st->realm, challenge.realm[0] ? challenge.realm : from->realm);
    st->offers_tokens = challenge.offers_tokens ? 1 : 0;
    st->accepts_tokens = challenge.accepts_tokens ? 1 : 0;
    if (!st->server_name || strcmp(st->server_name, challenge.server_name)) {
      free(st->server_name);
      st->server_name = strdup(challenge.server_name);
      if (!st->server_name) { /* a challenge without it would say that the realm has no tokens */
        return -1;
      }
    }
    st->challenged = 1;
    return 1;
  }
  if (verdict != COTURN_AUTH_DECLINED) {
    return -1;
  }
  STRCPY(st->realm, from->realm);
  st->offers_tokens = 0;
  st->accepts_tokens = 1;
  st->challenged = 0;
  return 0;
}

int auth_foreign_nonce(const struct auth_exchange *x, char nonce[NONCE_MAX_SIZE]) {
  struct coturn_auth_nonce request = {.header = COTURN_AUTH_HEADER(request)};
  int accepted;

  if (!auth_module.accept_nonce || x->method != STUN_METHOD_ALLOCATE || x->st->granted ||
      auth_attr_string(x->a.nonce, nonce, NONCE_MAX_SIZE) < 0 || auth_module_enter() < 0) {
    return 0;
  }
  request.nonce = nonce;
  request.realm = x->st->realm;
  request.client_addr = sockaddr_of(x->from.client);
  accepted = auth_module.accept_nonce(auth_module_state, &request);
  auth_module_leave();
  return accepted == 1;
}

static int use_answer(struct auth_exchange *x, struct auth_answer *answer, int verified) {
  struct auth_session *own = x->ss->auth_session;
  int code;

  switch (answer->verdict) {
  case COTURN_AUTH_GRANTED:
    return auth_use_grant(x, &answer->grant, verified);

  case COTURN_AUTH_DENIED:
    code = auth_denial_code(&answer->denial);
    answer->denial.display_name[COTURN_AUTH_NAME_MAX] = 0;
    if (answer->denial.reason == COTURN_AUTH_REASON_UNKNOWN_USER) {
      /* a name that nobody has takes as long as a wrong password */
      static const uint8_t nobodys[16];
      (void)auth_verify(x, nobodys, sizeof(nobodys));
    }
    return auth_refuse(x, code, answer->denial.reason, auth_display_of(x, answer->denial.display_name));

  case COTURN_AUTH_DECLINED:
    auth_count(AUTH_COUNT_DECLINED);
    /* What the module has granted, coturn's own users cannot take over. */
    if (auth_module_options.only || x->held->auth_session->granted) {
      return auth_refuse(x, 401, COTURN_AUTH_REASON_UNKNOWN_USER, x->username);
    }
    stun_tid_cpy(&own->skipped[own->skips++ % SESSION_PENDING_MAX], x->tid);
    return 0;

  default:
    return auth_refuse(x, 500, COTURN_AUTH_REASON_MODULE_ERROR, x->username);
  }
}

static void fill_request(const struct auth_exchange *x, uint32_t why, uint64_t handle,
                         struct coturn_auth_request *request) {
  const struct auth_session *st = x->held->auth_session;
  request->handle.session = x->ss->id;
  request->handle.request = handle;
  request->session = x->held->id;
  request->why = why;
  if (auth_has_allocation(x->held)) {
    request->flags |= COTURN_AUTH_REQ_HAS_ALLOCATION;
  }
  if (x->a.wants_token) {
    request->flags |= COTURN_AUTH_REQ_WANTS_TOKEN;
  }
  if (x->held != x->ss) {
    request->flags |= COTURN_AUTH_REQ_MOBILITY;
  }
  request->method = x->method;
  request->transport = x->from.transport;
  request->username = x->username;
  request->username_len = (uint32_t)strlen(x->username);
  request->realm = st->realm;
  if (why & COTURN_AUTH_WHY_TOKEN) {
    request->access_token = stun_attr_get_value(x->a.token);
    request->access_token_len = (size_t)stun_attr_get_len(x->a.token);
    if (!request->access_token) { /* an empty token is not an absent one */
      request->access_token = (const uint8_t *)"";
    }
  }
  request->message = x->message;
  request->message_len = x->message_len;
  request->client_addr = sockaddr_of(x->from.client);
  request->local_addr = sockaddr_of(x->from.local);
  request->grant_ref = st->granted ? st->ref : 0;
  request->origin = x->from.origin;
}

enum coturn_auth_verdict auth_authenticate(struct auth_exchange *x, uint32_t why, uint32_t flags, uint64_t handle,
                                           struct auth_answer *answer, int *verified) {
  struct coturn_auth_request request = {.header = COTURN_AUTH_HEADER(request), .flags = flags};
  enum coturn_auth_verdict verdict;

  memset(answer, 0, sizeof(*answer));
  answer->grant.header = (struct coturn_auth_header)COTURN_AUTH_HEADER(answer->grant);
  answer->denial.header = (struct coturn_auth_header)COTURN_AUTH_HEADER(answer->denial);
  *verified = 0;
  fill_request(x, why, handle, &request);

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

  if (verdict == COTURN_AUTH_GRANTED && asking.verified_len && asking.verified_len == answer->grant.key_len &&
      !CRYPTO_memcmp(asking.verified, answer->grant.key, asking.verified_len)) {
    *verified = 1;
  }
  OPENSSL_cleanse(asking.verified, sizeof(asking.verified));
  answer->verdict = verdict;
  return verdict;
}

int auth_ask(struct auth_exchange *x, uint32_t why) {
  struct auth_session *own = x->ss->auth_session;
  struct auth_answer answer;
  struct session_pending *slot = NULL;
  uint64_t handle = 0;
  const int can_pend = x->can_resume && AUTH_PENDING_MAX;
  int i, verified = 0, ret;

  if (own->answer && stun_tid_equals(&own->answer_tid, x->tid)) {
    answer = *own->answer;
    own->answer = NULL;
    ret = use_answer(x, &answer, 0);
    OPENSSL_cleanse(&answer, sizeof(answer));
    return ret;
  }

  if (can_pend) {
    for (i = 0; i < SESSION_PENDING_MAX && !slot; ++i) {
      if (!own->pending[i].request) {
        slot = &own->pending[i];
      }
    }
  }
  handle = auth_pending_ask(x->ss->id);

  auth_authenticate(x, why, can_pend ? COTURN_AUTH_REQ_CAN_PEND : 0, handle, &answer, &verified);

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
      return auth_refuse(x, 500, can_pend ? COTURN_AUTH_REASON_TOO_MANY_PENDING : COTURN_AUTH_REASON_CANNOT_POSTPONE,
                         x->username);
    }
  } else {
    auth_pending_forget(handle);
  }

  ret = use_answer(x, &answer, verified);
  OPENSSL_cleanse(&answer, sizeof(answer));
  return ret;
}
