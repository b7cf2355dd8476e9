/*
 * auth_pending.h - requests that the module is being asked about, or answers later; include auth_private.h
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#ifndef __AUTH_PENDING__
#define __AUTH_PENDING__

#define AUTH_PENDING_MAX (10000)
#define AUTH_PENDING_TIMEOUT (5) /* seconds */

void auth_pending_init(auth_resume_fn resume);
/* Enters a request before the module is asked. Its number, or 0 without memory. */
uint64_t auth_pending_ask(uint64_t session);
/* Removes a request that the module has answered at once. */
void auth_pending_forget(uint64_t request);
/* The module answers later. 1: the request waits, and in_buffer is taken; 0: the answer has come meanwhile and
 * is copied; -1: too many requests wait, or in_buffer is NULL. */
int auth_pending_wait(uint64_t request, turn_turnserver *server, const stun_tid *tid, ioa_net_data *in_buffer,
                      struct auth_answer *answer);
/* Removes a request whose session ends. */
void auth_pending_drop(uint64_t request, turn_turnserver *server);
int auth_complete(const struct coturn_auth_handle *handle, enum coturn_auth_verdict verdict,
                  const struct coturn_auth_grant *grant, const struct coturn_auth_denial *denial);
uint64_t auth_pending_count(void);

#endif /* __AUTH_PENDING__ */
