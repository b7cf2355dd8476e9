/*
 * load_call.h - established calls whose round trips measure the media path
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef LOAD_CALL_H
#define LOAD_CALL_H

#include "load_client.h"

struct load_calls;
/* Each makes an allocation, binds a channel to a peer socket of its own and sends a datagram of 160
 * octets every 20 ms. ready() comes once all stand or have failed. NULL: no memory or socket. */
struct load_calls *load_calls_start(struct load_net *net, unsigned count, void (*ready)(void *arg), void *arg);
/* Ends the media, waits for datagrams and requests under way, gives the allocations back, then calls over(). */
void load_calls_stop(struct load_calls *calls, void (*over)(void *arg));
void load_calls_free(struct load_calls *calls);

#endif
