/*
 * peer_oracle.c - the verdicts of coturn's address code and of the module's list of denied peers, line by
 * line
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * "range MIN MAX ADDRESS"   1 if the address is in the range
 * "deny ADDRESS"            the module denies it from now on: 1
 * "peer ADDRESS"            1 if it is denied
 *
 * test_security_peers.py compiles it with ns_turn_ioaddr.c and auth_peers.c.
 */

#include "auth_private.h"

/* A module without check_peer: the list for all realms is the subject. */
struct coturn_auth_module auth_module;
struct auth_module_options auth_module_options;
void *auth_module_state;
int auth_module_enter(void) { return -1; }
void auth_module_leave(void) {}
void auth_escape(char *dst, size_t size, const char *src) { snprintf(dst, size, "%s", src); }

static unsigned long lines;

void auth_report_line(TURN_LOG_LEVEL level, const char *line) {
  (void)level;
  (void)line;
  ++lines;
}

static int read_address(const char *text, ioa_addr *addr) {
  if (!make_ioa_addr((const uint8_t *)text, 0, addr)) {
    return 0;
  }
  fprintf(stderr, "not an address: %s\n", text);
  return -1;
}

static int answer(const char *word, char text[3][64]) {
  ioa_addr addr, min, max;
  ioa_addr_range range;
  if (!strcmp(word, "range")) {
    if (read_address(text[0], &min) || read_address(text[1], &max) || read_address(text[2], &addr)) {
      return -1;
    }
    ioa_addr_range_set(&range, &min, &max);
    return ioa_addr_in_range(&range, &addr);
  }
  if (read_address(text[0], &addr)) {
    return -1;
  }
  if (!strcmp(word, "deny")) {
    return auth_deny_peer(&addr.ss) == 0;
  }
  return auth_denied_peer("", &addr);
}

int main(void) {
  char line[256], word[16] = "", text[3][64];
  unsigned long denied = 0;
  while (fgets(line, sizeof(line), stdin)) {
    int n = sscanf(line, "%15s %63s %63s %63s", word, text[0], text[1], text[2]);
    int ret = n == (strcmp(word, "range") ? 2 : 4) ? answer(word, text) : -1;
    if (ret < 0) {
      return 1;
    }
    denied += !strcmp(word, "peer") && ret;
    printf("%d\n", ret);
  }
  return lines != denied; /* one line in the log for each refusal */
}
