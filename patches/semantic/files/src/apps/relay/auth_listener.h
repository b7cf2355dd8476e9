/*
 * auth_listener.h - answers to requests without a session; include auth_exchange.h
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#ifndef __AUTH_LISTENER__
#define __AUTH_LISTENER__

/* The hook listener_check(). */
enum turn_auth_listener auth_listener_check(turn_turnserver *server, ioa_net_data *in_buffer, const ioa_addr *local,
                                            ioa_network_buffer_handle nbh, int fingerprint);

#endif /* __AUTH_LISTENER__ */
