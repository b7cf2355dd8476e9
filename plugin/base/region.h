/*
 * region.h - names of regions, in which TURN servers are
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_REGION_H
#define TURNCRED_REGION_H

#include <stdbool.h>

#define REGION_RULE "letters, digits, dots, hyphens and underscores, 63 at most"

/* "" is the name of no region, and right. instance_region_form in the database does the same. */
bool region_is_name(const char *text);

#endif
