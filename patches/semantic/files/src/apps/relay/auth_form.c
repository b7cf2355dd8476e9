/*
 * auth_form.c - the checks of a request that come before its nonce
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_exchange.h"

int auth_check_form(struct auth_exchange *x, int challenge) {
  if (challenge < 0) {
    return auth_refuse(x, 500, COTURN_AUTH_REASON_STORE_UNAVAILABLE, "");
  }

  if (auth_takes_token(x) && !x->st->accepts_tokens) {
    return auth_refuse(x, 420, COTURN_AUTH_REASON_TOKEN_NOT_OFFERED, "");
  }

  if (!x->a.integrity || stun_attr_get_len(x->a.integrity) != SHA1SIZEBYTES) {
    if (!challenge && !auth_module_options.only) {
      return 0;
    }
    *x->err_code = 401;
    auth_challenge_response(x);
    return 1;
  }

  if (!x->a.realm || !x->a.username || !x->a.nonce) {
    return auth_refuse(x, 400, COTURN_AUTH_REASON_MALFORMED, "");
  }
  /* coturn has read a mobile Refresh to its end before it asks who sent it */
  if (x->held != x->ss && auth_has_addition(x)) {
    return auth_refuse(x, 400, COTURN_AUTH_REASON_MALFORMED, "");
  }
  if (auth_attr_string(x->a.username, x->username, sizeof(x->username)) < 0 ||
      !is_secure_string((const uint8_t *)x->username, 1)) {
    return auth_refuse(x, 400, COTURN_AUTH_REASON_BAD_USERNAME, "");
  }
  return -1;
}
