/*
 * words.c - lists of words, and URLs, in settings
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "words.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static bool have(const char *list, const char *word, int (*compare)(const char *, const char *, size_t)) {
  size_t n = strlen(word);
  for (list += strspn(list, " \t"); *list;) {
    size_t len = strcspn(list, " \t");
    if (len == n && compare(list, word, n) == 0) {
      return true;
    }
    list += len;
    list += strspn(list, " \t");
  }
  return false;
}

bool words_have(const char *list, const char *word) { return have(list, word, strncmp); }

bool words_have_nocase(const char *list, const char *word) { return have(list, word, strncasecmp); }

bool words_are_url(const char *text) { return !strncasecmp(text, "https://", 8); }
