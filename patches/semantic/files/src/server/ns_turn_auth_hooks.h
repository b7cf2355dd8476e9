/*
 * ns_turn_auth_hooks.h - where an authentication module takes part in a TURN session
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * turn_auth_hooks is NULL unless an authentication module is loaded: every hook is then skipped
 * and the server does what it always did. The functions behind the hooks live with the loader
 * (src/apps/relay/auth_session.c), so that the server library gains no symbol it must be linked
 * with.
 */

#ifndef __TURN_AUTH_HOOKS__
#define __TURN_AUTH_HOOKS__

#include "ns_turn_server.h"
#include "ns_turn_session.h"
#include "ns_turn_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What becomes of a UDP request whose source has no session. */
enum turn_auth_listener {
  TURN_AUTH_LISTENER_COTURN, /* what coturn's own listener makes of it */
  TURN_AUTH_LISTENER_SEND,   /* the answer is there */
  TURN_AUTH_LISTENER_DROP,
  TURN_AUTH_LISTENER_SESSION /* it needs a session */
};

/* check_stun_auth() of ns_turn_server.c */
typedef int turn_auth_check(turn_turnserver *server, ts_ur_super_session *ss, stun_tid *tid, int *resp_constructed,
                            int *err_code, const uint8_t **reason, ioa_net_data *in_buffer,
                            ioa_network_buffer_handle nbh, uint16_t method, int *message_integrity, int *postpone_reply,
                            int can_resume);

struct turn_auth_hooks {
  /* Called in check_stun_auth, when the session has a nonce. 1: decided (the arguments are filled
   * in as check_stun_auth does); 0: coturn's own mechanisms go on. */
  turn_auth_check *check;

  /* 1 if a grant of the module is in force in the session. */
  int (*owns)(const ts_ur_super_session *ss);

  /* Quota of a session that the module owns. 0, or -1 when it is used up. */
  int (*inc_quota)(ts_ur_super_session *ss);
  void (*dec_quota)(ts_ur_super_session *ss);

  /* MESSAGE-INTEGRITY of a response. 0: not a session of the module. */
  int (*add_integrity)(ts_ur_super_session *ss, uint8_t *buf, size_t *len);

  /* A mobile allocation is claimed by another client address; ss has proved nothing yet. */
  void (*resume)(ts_ur_super_session *orig_ss, ts_ur_super_session *ss);

  /* 1 if the authentication of one session must not be copied to the other. */
  int (*keeps)(const ts_ur_super_session *orig_ss, const ts_ur_super_session *ss);

  /* 1 if sessions of this realm may not have this peer. */
  int (*denied_peer)(const char *realm, const ioa_addr *addr);

  /* The session holds an allocation now. */
  void (*allocated)(ts_ur_super_session *ss);

  /* The session is about to be freed. */
  void (*session_end)(ts_ur_super_session *ss);

  /* Called in the UDP listener where it challenges without a session (4.16 and later; else NULL),
   * on whatever thread it runs. */
  enum turn_auth_listener (*listener_check)(turn_turnserver *server, ioa_net_data *in_buffer, const ioa_addr *local,
                                            ioa_network_buffer_handle nbh, int fingerprint);
};

/* What the hooks use of the server. */
struct turn_auth_services {
  turn_auth_check *check;
  ts_ur_super_session *(*session)(turn_turnserver *server, turnsession_id sid);
  int (*read)(turn_turnserver *server, ts_ur_super_session *ss, ioa_net_data *in_buffer, int can_resume,
              int count_usage);
  void (*dec_quota)(ts_ur_super_session *ss);
};

extern const struct turn_auth_hooks *turn_auth_hooks;
extern const struct turn_auth_services turn_auth_services;

static inline void session_add_integrity_str(ts_ur_super_session *ss, turn_credential_type ct, uint8_t *buf,
                                             size_t *len, hmackey_t key, password_t pwd, SHATYPE shatype) {
  if (!turn_auth_hooks || !turn_auth_hooks->add_integrity(ss, buf, len)) {
    stun_attr_add_integrity_str(ct, buf, len, key, pwd, shatype);
  }
}

#ifdef __cplusplus
}
#endif

#endif /* __TURN_AUTH_HOOKS__ */
