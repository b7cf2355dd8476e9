/*
 * values.h - addresses, names and lists of values on the command line, in their one spelling
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CTL_VALUES_H
#define TURNCRED_CTL_VALUES_H

#include "base/ip.h"
#include "ctl.h"

#define CTL_VALUE 1024 /* octets of a value, with the NUL */

/* The address in an option, in its one spelling; "": the option is not given, or empty. CTL_USAGE for anything else. */
enum ctl_exit ctl_get_address(const struct ctl *ctl, const char *name, char out[IP_TEXT]);
/* Takes the name of a user who is to get a credential (base/user_name.h). what: how the message calls the name. */
enum ctl_exit ctl_check_user(const struct ctl *ctl, const char *what, const char *name, size_t max, bool wire);
/* One value of --uri, --origin, --listen-address, --allowed-peers or --denied-peers in its one spelling; values of
 * other options as they are. */
enum ctl_exit ctl_canonical(const struct ctl *ctl, const char *option, const char *text, char out[CTL_VALUE]);
/* CTL_USAGE unless every operand and value that names no file is UTF-8. */
enum ctl_exit ctl_need_utf8(const struct ctl *ctl);

#endif
