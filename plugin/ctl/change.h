/*
 * change.h - how a command ends that changes what servers know, in a transaction of its own
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CTL_CHANGE_H
#define TURNCRED_CTL_CHANGE_H

#include "sql.h"

/* Ends the transaction that ctl_begin began. If rc is CTL_OK, commits, waits as --wait says until
 * every instance has the change, and prints record; else rolls back. Releases record, which may be
 * NULL if rc is not CTL_OK. Returns rc, or what became of commit, waiting and printing. */
enum ctl_exit ctl_finish_change(struct ctl *ctl, enum ctl_exit rc, json_t *record, const struct ctl_column *columns);

#endif
