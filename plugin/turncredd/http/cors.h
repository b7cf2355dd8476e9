/*
 * cors.h - pages of which origins may call (WHATWG Fetch)
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_CORS_H
#define TURNCREDD_CORS_H

#include "request.h"

/* A foreign origin, or a preflight: an answer has been prepared, and it is false. */
bool cors_check(struct request *request);
/* Adds what the page's browser wants to see. */
void cors_headers(const struct request *request, struct MHD_Response *response);

#endif
