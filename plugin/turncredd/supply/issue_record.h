/*
 * issue_record.h - what was issued, as an entry of the journal and as the database takes it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_ISSUE_RECORD_H
#define TURNCREDD_ISSUE_RECORD_H

#include "base/journal.h"

/* Texts are UTF-8 and never NULL. */
struct issue_record {
  const char *realm, *kind, *kid, *fingerprint, *subject, *caller;
  int64_t expiry; /* UTC seconds */
};

/* Adds the record, with the present time, to the journal. The result is that of journal_add. */
int issue_record_add(struct journal *journal, const struct issue_record *record, journal_done_fn done, void *arg);
/* The oldest entries that have not been delivered, at most max of them, as the JSON array of turncred.journal_deliver,
 * which the caller frees. NULL: there are none, or out of memory. */
char *issue_record_batch(struct journal *journal, size_t max);

#endif
