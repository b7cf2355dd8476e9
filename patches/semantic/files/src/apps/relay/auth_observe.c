/*
 * auth_observe.c - auth-module-observe: the module is asked, coturn decides
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_exchange.h"

#include <openssl/crypto.h>

static void observe_ask(struct auth_exchange *x, struct auth_session *st) {
  struct auth_answer answer;
  uint64_t handle;
  int verified = 0;

  st->observed = 0;
  stun_tid_cpy(&st->observed_tid, x->tid);
  if (!x->a.integrity || !x->a.realm || !x->a.username || !x->a.nonce ||
      auth_attr_string(x->a.username, x->username, sizeof(x->username)) < 0 ||
      !is_secure_string((const uint8_t *)x->username, 1) || auth_ask_challenge(x) < 0) {
    return;
  }
  handle = auth_pending_ask(x->ss->id);
  auth_authenticate(x,
                    COTURN_AUTH_WHY_OBSERVE | COTURN_AUTH_WHY_FIRST | (auth_takes_token(x) ? COTURN_AUTH_WHY_TOKEN : 0),
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
  } else if (auth_check_grant(&answer.grant) < 0) {
    st->observed_reason = COTURN_AUTH_REASON_MODULE_ERROR;
  } else if (!verified && auth_verify(x, answer.grant.key, answer.grant.key_len) != 1) {
    st->observed_reason = COTURN_AUTH_REASON_INTEGRITY_MISMATCH;
  } else {
    st->observed_in = 1;
  }
  OPENSSL_cleanse(&answer, sizeof(answer));
}

int auth_observe(struct auth_exchange *x) {
  struct auth_session *st = x->ss->auth_session;
  char line[1400], client[129] = "", user[257];
  int in;

  if (st->observing) {
    return 0;
  }
  /* coturn replays a request that it has asked its database about: the module has judged it before */
  if (x->can_resume || !stun_tid_equals(&st->observed_tid, x->tid)) {
    observe_ask(x, st);
  }

  /* coturn would accept it in a new session, but the session has its nonce by now */
  if (!x->ss->hmackey_set && x->a.nonce && !auth_attr_is(x->a.nonce, (const char *)x->ss->nonce)) {
    auth_adopt_nonce(x);
  }
  st->observing = 1;
  turn_auth_services.check(x->server, x->ss, x->tid, x->resp_constructed, x->err_code, x->reason, x->in_buffer, x->nbh,
                           x->method, x->message_integrity, x->postpone_reply, x->can_resume);
  st->observing = 0;

  if (*x->postpone_reply || !st->observed || (*x->err_code && *x->err_code != 401)) {
    return 1;
  }
  in = *x->message_integrity && !*x->err_code;
  if (in == st->observed_in) {
    auth_count(AUTH_COUNT_OBSERVED_SAME);
    return 1;
  }
  auth_count(in ? AUTH_COUNT_OBSERVED_ONLY_COTURN : AUTH_COUNT_OBSERVED_ONLY_MODULE);
  if (x->ss->client_socket) {
    addr_to_string_no_port(get_remote_addr_from_ioa_socket(x->ss->client_socket), (uint8_t *)client);
  }
  auth_escape(user, sizeof(user), x->username[0] ? x->username : (const char *)x->ss->username);
  snprintf(line, sizeof(line), "auth-module: observed client=%s realm=\"%s\" user=\"%s\": coturn %s, module %s%s%s",
           client, st->realm, user, in ? "lets in" : "refuses", st->observed_in ? "would let in" : "would refuse",
           st->observed_in ? "" : " reason=", st->observed_in ? "" : auth_reason_name(st->observed_reason));
  auth_report_line(TURN_LOG_LEVEL_WARNING, line);
  return 1;
}
