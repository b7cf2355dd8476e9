/*
 * auth_listener.c - answers a UDP request whose source has no session as the session would, but
 * makes none
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Only where coturn's own listener does so (4.16 and later): a source that has shown no nonce of
 * this server may be anybody's, and costs nothing that lasts.
 */

#include "auth_exchange.h"
#include "ns_turn_ratelimit.h"

/* As coturn chooses it for a new session: by ORIGIN in an Allocate. -1: out of memory. */
static int choose_realm(const struct auth_exchange *x, realm_options_t *realm, char *origin) {
  stun_attr_ref sar = NULL;
  int found = 0;
  get_default_realm_options(realm);
  if (x->method == STUN_METHOD_ALLOCATE) {
    sar = stun_attr_get_first_str(x->message, x->message_len);
  }
  for (; sar && !found; sar = stun_attr_get_next_covered_str(x->message, x->message_len, sar)) {
    char *said;
    if (stun_attr_get_type(sar) != STUN_ATTRIBUTE_ORIGIN || stun_attr_get_len(sar) <= 0) {
      continue;
    }
    said = strndup((const char *)stun_attr_get_value(sar), (size_t)stun_attr_get_len(sar));
    if (!said) {
      return -1;
    }
    origin[0] = 0;
    get_canonic_origin(said, origin, STUN_MAX_ORIGIN_SIZE);
    free(said);
    found = get_realm_options_by_origin(origin, realm) ? 1 : 0;
  }
  return 0;
}

/* 1 if the source has received a nonce of this server: its request is for a session to judge. */
static int source_is_proven(const struct auth_exchange *x) {
  char nonce[TURN_STATELESS_NONCE_SIZE];
  return x->a.integrity && stun_attr_get_len(x->a.integrity) == SHA1SIZEBYTES && x->a.nonce &&
         auth_stateless_nonce(x, turn_time(), nonce, NULL);
}

/* coturn's share of answers for one address, and its numbers of 401. */
static int may_answer(const struct auth_exchange *x) {
  const turn_turnserver *server = x->server;
  const bool challenged = *x->err_code == 401;
  bool first = false, collision = false, dropped = false;
  unauthenticated_401_metric_cb count;

  if (challenged && server->unauthenticated_401_request_cb) {
    server->unauthenticated_401_request_cb();
  }
  if (server->ratelimit_unauthorized_requests && *server->ratelimit_unauthorized_requests) {
    dropped = ratelimit_consume_address(x->from.client, (uint32_t)*server->ratelimit_unauthorized_requests_per_sec,
                                        &first, &collision);
  }
  if (dropped && first) {
    char line[200], client[INET6_ADDRSTRLEN + 1] = {0};
    addr_to_string_no_port(x->from.client, client);
    snprintf(line, sizeof(line), "auth-module: client=%s gets no more answers in this window", client);
    auth_report_line(TURN_LOG_LEVEL_INFO, line);
  }
  count = dropped ? server->unauthenticated_401_dropped_response_cb : server->unauthenticated_401_response_cb;
  if (challenged && count) {
    count();
  }
  return !dropped;
}

/* What coturn does with the answer of a session before it goes out. */
static enum turn_auth_listener finish(struct auth_exchange *x, int fingerprint) {
  turn_turnserver *server = x->server;
  uint8_t *buf = ioa_network_buffer_data(x->nbh);
  size_t len = ioa_network_buffer_get_size(x->nbh);

  if (!may_answer(x)) {
    return TURN_AUTH_LISTENER_DROP;
  }
  if (!*x->resp_constructed) {
    stun_init_error_response_str(x->method, buf, &len, (uint16_t)*x->err_code, *x->reason, x->tid,
                                 server->include_reason_string);
  }
  if (server->software_attribute) {
    const char *software = get_version(server);
    stun_attr_add_str(buf, &len, STUN_ATTRIBUTE_SOFTWARE, (const uint8_t *)software, (int)strlen(software));
  }
  if ((server->fingerprint || fingerprint) && !stun_attr_add_fingerprint_str(buf, &len)) {
    return TURN_AUTH_LISTENER_DROP;
  }
  ioa_network_buffer_set_size(x->nbh, len);
  return TURN_AUTH_LISTENER_SEND;
}

enum turn_auth_listener auth_listener_check(turn_turnserver *server, ioa_net_data *in_buffer, const ioa_addr *local,
                                            ioa_network_buffer_handle nbh, int fingerprint) {
  char nonce[TURN_STATELESS_NONCE_SIZE] = {0}, origin[STUN_MAX_ORIGIN_SIZE + 1] = {0};
  char foreign[NONCE_MAX_SIZE];
  int err_code = 0, constructed = 0, silent = 0, answered;
  const uint8_t *reason = NULL;
  realm_options_t realm;
  struct auth_session st;
  struct auth_exchange x;
  stun_tid tid;

  if (auth_module_options.observe) {
    return TURN_AUTH_LISTENER_COTURN;
  }
  memset(&st, 0, sizeof(st));
  memset(&x, 0, sizeof(x));
  x.server = server;
  x.st = &st;
  x.tid = &tid;
  x.resp_constructed = &constructed;
  x.err_code = &err_code;
  x.reason = &reason;
  x.postpone_reply = &silent;
  x.in_buffer = in_buffer;
  x.nbh = nbh;
  auth_parse(&x);
  x.method = stun_get_method_str(x.message, x.message_len);
  x.from.client = &in_buffer->src_addr;
  if (source_is_proven(&x) ||
      !turn_generate_stateless_nonce(server->stateless_nonce_key, server->stateless_nonce_key_size, x.from.client,
                                     (uint32_t)turn_time(), nonce, sizeof(nonce))) {
    return TURN_AUTH_LISTENER_SESSION;
  }

  stun_tid_from_message_str(x.message, x.message_len, &tid);
  if (choose_realm(&x, &realm, origin) < 0) {
    return TURN_AUTH_LISTENER_DROP;
  }
  x.from.local = local;
  x.from.transport = COTURN_AUTH_TRANSPORT_UDP;
  x.from.realm = realm.name;
  x.from.origin = origin;
  x.from.nonce = (const uint8_t *)nonce;

  answered = auth_check_form(&x, auth_ask_challenge(&x));
  if (answered < 0 && auth_foreign_nonce(&x, foreign)) {
    free(st.server_name);
    return TURN_AUTH_LISTENER_SESSION;
  }
  if (answered < 0) {
    answered = auth_refuse(&x, 438, COTURN_AUTH_REASON_STALE_NONCE, x.username);
  }
  free(st.server_name);
  if (silent) {
    return TURN_AUTH_LISTENER_DROP;
  }
  return answered ? finish(&x, fingerprint) : TURN_AUTH_LISTENER_COTURN;
}
