/*
 * quiesce.h - the end of a listener whose socket two threads take out of libmicrohttpd's epoll set
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * MHD_quiesce_daemon tells a worker thread first, then takes the socket out of the worker's set; where the worker has
 * been quicker, libmicrohttpd (0.9.75 and 1.0.1) ends the process. The epoll_ctl of this program says no error where a
 * descriptor is no longer in the set.
 */
#ifndef TURNCREDD_QUIESCE_H
#define TURNCREDD_QUIESCE_H

struct MHD_Daemon;

/* MHD_quiesce_daemon, with the epoll_ctl above: who calls this one has it in the program. Returns the listening socket,
 * which the caller closes when the threads are gone, or -1. */
int quiesce_daemon(struct MHD_Daemon *mhd);

#endif
