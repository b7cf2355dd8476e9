/*
 * batch.h - a request that is handled as parts
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCREDD_BATCH_H
#define TURNCREDD_BATCH_H

#include "turncredd/http/request.h"

#define BATCH_MAX 100 /* parts of a request */

/* Handles one part, whose body is a JSON object. It prepares an answer, or waits and prepares it later. */
typedef void (*batch_part)(struct request *part, json_t *body);
/* Runs part for each element of the list, which may be NULL or no list, and prepares an answer with the answers of all,
 * in their order. The request waits. Each part but the first counts against the caller's rate; the first is counted
 * already. */
void batch_run(struct request *request, const json_t *list, batch_part part);

#endif
