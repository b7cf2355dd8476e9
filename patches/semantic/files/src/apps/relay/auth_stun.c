/*
 * auth_stun.c - reads, verifies and writes the STUN messages of a session that has an
 * authentication module
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Attributes behind MESSAGE-INTEGRITY do not exist (RFC 8489 14.5): whoever is on the path can add
 * them without a key.
 */

#include "auth_exchange.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>

void auth_parse(struct auth_exchange *x) {
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
    if (where && !*where) {
      *where = sar;
    }
  }
}

/* 1 if the attribute has exactly this value. */
int auth_attr_is(stun_attr_ref sar, const char *value) {
  size_t len = (size_t)stun_attr_get_len(sar);
  return len == strlen(value) && (!len || !memcmp(stun_attr_get_value(sar), value, len));
}

/* 0, or -1 if it is empty, too long or holds a NUL. */
int auth_attr_string(stun_attr_ref sar, char *dst, size_t dst_size) {
  size_t len = (size_t)stun_attr_get_len(sar);
  if (!len || len >= dst_size || memchr(stun_attr_get_value(sar), 0, len)) {
    return -1;
  }
  memcpy(dst, stun_attr_get_value(sar), len);
  dst[len] = 0;
  return 0;
}

/* Copies the nonce if it is one that coturn has made for this address and has not kept (4.16 and
 * later). 0: it is not. */
int auth_stateless_nonce(const struct auth_exchange *x, turn_time_t now, char *nonce, uint32_t *issued) {
#ifdef TURN_STATELESS_NONCE_LENGTH
  const turn_turnserver *server = x->server;
  return turn_server_stateless_nonce_enabled(server) && x->from.client &&
         auth_attr_string(x->a.nonce, nonce, TURN_STATELESS_NONCE_SIZE) == 0 &&
         turn_check_stateless_nonce(server->stateless_nonce_key, server->stateless_nonce_key_size, x->from.client,
                                    (uint32_t)now, (uint32_t)turn_server_stateless_nonce_lifetime(server), nonce,
                                    issued);
#else
  UNUSED_ARG(x);
  UNUSED_ARG(now);
  UNUSED_ARG(nonce);
  UNUSED_ARG(issued);
  return 0;
#endif
}

/* coturn accepts a nonce of an earlier session from the same address; so a session without
 * credentials does, and goes on with it. 0: it is not one. */
int auth_adopt_nonce(struct auth_exchange *x) {
  ts_ur_super_session *ss = x->ss;
  char nonce[NONCE_MAX_SIZE];
  uint32_t issued = 0;

  if (!auth_stateless_nonce(x, x->server->ctime, nonce, &issued)) {
    return 0;
  }
  STRCPY(ss->nonce, nonce);
  if (*(x->server->stale_nonce)) {
    ss->nonce_expiration_time = (turn_time_t)issued + (turn_time_t)(*(x->server->stale_nonce));
  }
  return 1;
}

/* 1: the key verifies the message, 0: it does not, -1: it cannot be checked. */
int auth_verify(const struct auth_exchange *x, const uint8_t *key, size_t key_len) {
  uint8_t hmac[EVP_MAX_MD_SIZE];
  unsigned int hmac_len = 0;
  size_t len;
  uint16_t old, cut;
  int ret;

  if (!x->a.integrity || stun_attr_get_len(x->a.integrity) != SHA1SIZEBYTES || !key_len ||
      key_len > COTURN_AUTH_KEY_MAX) {
    return -1;
  }
  len = (size_t)((const uint8_t *)x->a.integrity - x->message);
  /* The length counts up to the end of MESSAGE-INTEGRITY (RFC 8489 14.5). */
  memcpy(&old, x->message + 2, sizeof(old));
  cut = nswap16((uint16_t)(len + 4 + SHA1SIZEBYTES - STUN_HEADER_LENGTH));
  memcpy(x->message + 2, &cut, sizeof(cut));
  ret = HMAC(EVP_sha1(), key, (int)key_len, x->message, len, hmac, &hmac_len) ? 0 : -1;
  memcpy(x->message + 2, &old, sizeof(old));
  if (ret < 0 || hmac_len != SHA1SIZEBYTES) {
    return -1;
  }
  return CRYPTO_memcmp(hmac, stun_attr_get_value(x->a.integrity), SHA1SIZEBYTES) == 0;
}

int auth_has_addition(const struct auth_exchange *x) {
  stun_attr_ref sar = stun_attr_get_next_str(x->message, x->message_len, x->a.integrity);
  return sar && stun_attr_get_type(sar) != STUN_ATTRIBUTE_FINGERPRINT;
}

/* coturn's handlers read whatever is there; it has looked at FINGERPRINT before. */
void auth_cut(struct auth_exchange *x) {
  size_t len = (size_t)((const uint8_t *)x->a.integrity - x->message) + 4 + SHA1SIZEBYTES;
  uint16_t said = nswap16((uint16_t)(len - STUN_HEADER_LENGTH));
  memcpy(x->message + 2, &said, sizeof(said));
  ioa_network_buffer_set_size(x->in_buffer->nbh, len);
  x->message_len = len;
}

int auth_releases(const struct auth_exchange *x) {
  stun_attr_ref sar = stun_attr_get_first_by_type_str(x->message, x->message_len, STUN_ATTRIBUTE_LIFETIME);
  const uint8_t *value = sar ? stun_attr_get_value(sar) : NULL;
  static const uint8_t zero[4] = {0};
  return value && stun_attr_get_len(sar) == (int)sizeof(zero) && !memcmp(value, zero, sizeof(zero));
}

int auth_takes_token(const struct auth_exchange *x) {
  return x->a.token && (x->method == STUN_METHOD_ALLOCATE || x->method == STUN_METHOD_REFRESH);
}

int auth_add_integrity(ts_ur_super_session *ss, uint8_t *buf, size_t *len) {
  struct auth_session *st = ss ? ss->auth_session : NULL;
  uint8_t hmac[EVP_MAX_MD_SIZE] = {0};
  unsigned int hmac_len = 0;
  const uint8_t *key;
  size_t key_len;
  uint16_t said;

  if (!st || (!st->granted && !st->reply_key_len)) {
    return 0;
  }
  key = st->reply_key_len ? st->reply_key : ss->hmackey;
  key_len = st->reply_key_len ? st->reply_key_len : st->key_len;

  /* coturn forgets SOFTWARE in the length of its answer to a mobile Refresh, and garbles it */
  memcpy(&said, buf + 2, sizeof(said));
  said = nswap16(said);
  if (*len < (size_t)said + STUN_HEADER_LENGTH) {
    *len = (size_t)said + STUN_HEADER_LENGTH;
  }

  stun_attr_add_str(buf, len, STUN_ATTRIBUTE_MESSAGE_INTEGRITY, hmac, SHA1SIZEBYTES);
  if (!HMAC(EVP_sha1(), key, (int)key_len, buf, *len - 4 - SHA1SIZEBYTES, hmac, &hmac_len)) {
    return -1;
  }
  memcpy(buf + *len - SHA1SIZEBYTES, hmac, SHA1SIZEBYTES);
  if (st->reply_key_len) {
    OPENSSL_cleanse(st->reply_key, sizeof(st->reply_key));
    st->reply_key_len = 0;
  }
  return 1;
}

/* The message library's own functions have other parameters in other versions, or make a random
 * transaction id first, which costs more than all the rest. */
static void error_response(const struct auth_exchange *x, size_t *len, int code, const uint8_t *reason) {
  uint8_t *buf = ioa_network_buffer_data(x->nbh);
  uint8_t value[4 + 128] = {0};
  uint16_t type = nswap16(stun_make_error_response(x->method));
  uint32_t cookie = nswap32(STUN_MAGIC_COOKIE);
  const char *text = (const char *)(reason ? reason : get_default_reason(code));
  size_t n = strnlen(text, sizeof(value) - 4);
  value[2] = (uint8_t)(code / 100);
  value[3] = (uint8_t)(code % 100);
  memcpy(value + 4, text, n);
  stun_init_buffer_str(buf, len);
  memcpy(buf, &type, sizeof(type));
  memcpy(buf + 4, &cookie, sizeof(cookie));
  stun_tid_message_cpy(buf, x->tid);
  stun_attr_add_str(buf, len, STUN_ATTRIBUTE_ERROR_CODE, value, (int)(4 + n));
}

void auth_challenge_response(struct auth_exchange *x) {
  const struct auth_session *st = x->st;
  uint8_t *buf = ioa_network_buffer_data(x->nbh);
  size_t len = ioa_network_buffer_get_size(x->nbh);
  error_response(x, &len, *x->err_code, *x->reason);
  stun_attr_add_str(buf, &len, STUN_ATTRIBUTE_NONCE, x->from.nonce, (int)strlen((const char *)x->from.nonce));
  stun_attr_add_str(buf, &len, STUN_ATTRIBUTE_REALM, (const uint8_t *)st->realm, (int)strlen(st->realm));
  if (st->offers_tokens && st->server_name && st->server_name[0]) {
    stun_attr_add_str(buf, &len, STUN_ATTRIBUTE_THIRD_PARTY_AUTHORIZATION, (const uint8_t *)st->server_name,
                      (int)strlen(st->server_name));
  }
  ioa_network_buffer_set_size(x->nbh, len);
  *x->resp_constructed = 1;
  auth_count(AUTH_COUNT_CHALLENGED);
}

#define ATTRIBUTE_ALTERNATE_DOMAIN (0x8003) /* RFC 8489 14.16 */

void auth_alternate_response(struct auth_exchange *x, const struct coturn_auth_denial *denial) {
  uint8_t *buf = ioa_network_buffer_data(x->nbh);
  size_t len = ioa_network_buffer_get_size(x->nbh);
  ioa_addr to;
  memset(&to, 0, sizeof(to));
  memcpy(&to, &denial->alternate, sizeof(to) < sizeof(denial->alternate) ? sizeof(to) : sizeof(denial->alternate));
  error_response(x, &len, 300, (const uint8_t *)"Try Alternate");
  stun_attr_add_addr_str(buf, &len, STUN_ATTRIBUTE_ALTERNATE_SERVER, &to);
  if (denial->alternate_domain[0]) {
    stun_attr_add_str(buf, &len, ATTRIBUTE_ALTERNATE_DOMAIN, (const uint8_t *)denial->alternate_domain,
                      (int)strlen(denial->alternate_domain));
  }
  if (denial->alternate_nonce[0]) {
    stun_attr_add_str(buf, &len, STUN_ATTRIBUTE_NONCE, (const uint8_t *)denial->alternate_nonce,
                      (int)strlen(denial->alternate_nonce));
  }
  ioa_network_buffer_set_size(x->nbh, len);
  *x->resp_constructed = 1;
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

int auth_refuse(struct auth_exchange *x, int code, unsigned reason, const char *user) {
  struct auth_refusal r;
  if (code == 500 && auth_module_stopping()) {
    *x->postpone_reply = 1; /* clients give up after a 500; after silence they ask again, and find the next server */
    return 1;
  }
  memset(&r, 0, sizeof(r));
  r.client = x->from.client;
  r.realm = x->st->realm[0] ? x->st->realm : x->from.realm;
  r.user = user;
  r.method = x->method;
  r.code = code;
  r.reason = reason;
  r.session = x->from.session;
  auth_report_refusal(&r);

  *x->err_code = code;
  if (code == 438) {
    *x->reason = (const uint8_t *)"Stale nonce";
  } else if (code == 441) {
    *x->reason = (const uint8_t *)"Wrong credentials";
  }
  if (code == 401 || code == 438) {
    auth_challenge_response(x);
  } else if (code == 420) {
    unknown_token_response(x);
  }
  return 1;
}
