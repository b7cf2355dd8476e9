/*
 * cors.h - which origins' pages may call (WHATWG Fetch)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_CORS_H
#define TURNCREDD_CORS_H

#include "request.h"

/* False: the request comes from a page of another origin, or it is a preflight; an answer has been prepared. */
bool cors_check(struct request *request);
/* Adds the headers that tell the browser what a page of this origin may read. */
void cors_headers(const struct request *request, struct MHD_Response *response);

#endif
