/*
 * accept.h - what happens to a connection for which there is no descriptor
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * libmicrohttpd calls accept4, fails, and calls it again at once, for as long as a connection waits: a whole CPU for
 * each of its threads. The accept4 of this program keeps one descriptor in reserve, and closes such a connection with
 * its help.
 */
#ifndef TURNCREDD_ACCEPT_H
#define TURNCREDD_ACCEPT_H

/* Takes the descriptor in reserve. To be called once, before a listener is served. */
void accept_init(void);

#endif
