/*
 * issue_record.h - what was issued, as an entry of the journal and as the database takes it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_ISSUE_RECORD_H
#define TURNCREDD_ISSUE_RECORD_H

#include "base/journal.h"

/* Texts are UTF-8 and never NULL. provider: the issuer whose access token names the subject; "": none does. */
struct issue_record {
  const char *realm, *kind, *kid, *fingerprint, *subject, *caller, *provider;
  int64_t expiry; /* UTC seconds */
};

/* The record, with the present time, as an entry of the journal, which the caller frees. NULL: out of memory. */
char *issue_record_text(const struct issue_record *record);
/* The oldest entries that have not been delivered, at most max of them, as the JSON array of turncred.journal_deliver,
 * which the caller frees; *count: how many there are. NULL: there are none, or out of memory. */
char *issue_record_batch(struct journal *journal, size_t max, size_t *count);

#endif
