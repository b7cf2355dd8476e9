/*
 * error_text.h - what a STUN error code means to an operator, and what to do about it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_TURN_ERROR_TEXT_H
#define TURNCRED_TURN_ERROR_TEXT_H

struct turn_error_text {
  unsigned code;
  const char *meaning, *remedy;
};

/* Never NULL: an unknown code gets a general text. */
const struct turn_error_text *turn_error_text(unsigned code);

#endif
