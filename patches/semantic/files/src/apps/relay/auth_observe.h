/*
 * auth_observe.h - auth-module-observe; include auth_exchange.h
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#ifndef __AUTH_OBSERVE__
#define __AUTH_OBSERVE__

/* The hook check() while coturn decides and the module is only asked. Always 1, but 0 when coturn's own check, which it
 * calls, calls the hook again. */
int auth_observe(struct auth_exchange *x);

#endif /* __AUTH_OBSERVE__ */
