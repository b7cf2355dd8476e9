/*
 * threads.h - what each thread that answers requests has of its own
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_THREADS_H
#define TURNCREDD_THREADS_H

#include "store/store.h"

/* Called once, before there are threads. 0, or an errno value. */
int thread_keys_init(void);
/* The calling thread's reader of the store, and its workspace of libturncred. Each is made at its
 * first use and freed at the end of the thread. NULL: out of memory. */
struct store_reader *thread_reader(struct store *store);
struct turncred_ws *thread_ws(void);

#endif
