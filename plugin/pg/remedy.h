/*
 * remedy.h - an error of PostgreSQL in one line, with what mends it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_PG_REMEDY_H
#define TURNCRED_PG_REMEDY_H

#include "pg.h"

/* Sets line, text and remedy after a failure of the connection. message: what libpq says (conn is not NULL), or a
 * sentence of this program's. */
void pg_tell_connection(struct pg *pg, const char *message);
/* The same after a failed statement, whose class is set. */
void pg_tell_statement(struct pg *pg, const char *primary, const char *hint);

#endif
