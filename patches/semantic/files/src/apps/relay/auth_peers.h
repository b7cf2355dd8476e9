/*
 * auth_peers.h - peer addresses that the module denies; include auth_private.h
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#ifndef __AUTH_PEERS__
#define __AUTH_PEERS__

int auth_deny_peer(const struct sockaddr *addr);
/* 1 if the module denies this peer to sessions of this realm; the refusal is logged. */
int auth_denied_peer(const char *realm, const ioa_addr *addr);
void auth_peers_status(coturn_auth_status_fn emit, void *arg);

#endif /* __AUTH_PEERS__ */
