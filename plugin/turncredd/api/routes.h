/*
 * routes.h - the table of routes
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_ROUTES_H
#define TURNCREDD_ROUTES_H

#include "turncredd/http/route.h"

extern const struct route routes[]; /* ends with a NULL method */

#endif
