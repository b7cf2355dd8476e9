/*
 * words.h - lists of words, and URLs, in settings
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_WORDS_H
#define TURNCRED_WORDS_H

#include <stdbool.h>

/* Does word stand in the list, whose words are separated by blanks? nocase: capitals do not matter. */
bool words_have(const char *list, const char *word);
bool words_have_nocase(const char *list, const char *word);
/* Is the text an https URL (and not a path)? */
bool words_are_url(const char *text);

#endif
