/*
 * user_name.h - which names of users are taken, in every kind of credential
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_USER_NAME_H
#define TURNCRED_USER_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* Checks the name of a user who is to get a credential: 1 to max octets of UTF-8, without control characters (C0, DEL,
 * C1), line and paragraph separators, and controls that turn the direction of text (they falsify what an operator
 * reads). wire: the name will be a part of a USERNAME, of which coturn refuses blanks, quotes, backslashes, and names
 * with both "union" and "select". Verifiers do not ask this function: they take what coturn takes.
 * turncred.user_name_refused() in the database does the same. 0, or -1 with the reason in err. */
int user_name_check(const char *name, size_t max, bool wire, char *err, size_t cap);

#endif
