/*
 * fuzz_import.c - libFuzzer: a turnserver.conf, or a command line of coturn's, that turncredctl takes over
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "fuzz.h"

#include "ctl/turnserver_conf.h"

static void look(struct turnserver_conf *conf, enum ctl_exit rc) {
  char hex[33];
  MUST(rc == CTL_OK || rc == CTL_USAGE || rc == CTL_REFUSED);
  MUST(memchr(conf->realm, '\0', sizeof conf->realm) && conf->strange_count <= TURNSERVER_STRANGE_MAX);
  for (size_t i = 0; rc == CTL_OK && i < conf->count; i++) {
    struct turnserver_line *line = &conf->lines[i];
    MUST(line->len == strlen(line->value) && line->number);
    memset(hex, 'x', sizeof hex);
    if (!line->secret && !turnserver_user_key(line->value, conf->realm, hex)) {
      MUST(memchr(hex, '\0', sizeof hex)); /* the name may be empty: import_users.c refuses it for all sources */
    }
  }
  turnserver_conf_mode(conf);
  turnserver_conf_free(conf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct ctl ctl;
  struct turnserver_conf conf = {.given = false};
  const char *path = fuzz_file("turnserver.conf", data, size);
  look(&conf, turnserver_conf_read(&ctl, path, &conf));
  /* the file's own name, or the line could name any file of this machine */
  conf = (struct turnserver_conf){.given = false};
  look(&conf, turnserver_conf_command_line(&ctl, path, path, &conf));
  return 0;
}
