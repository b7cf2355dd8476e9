/*
 * main.c - turncredctl: parses the command line and runs one command
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/secret.h"
#include "core/turncred.h"
#include "ctl.h"
#include "pg/pg.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No such command: name those that begin like it. */
static enum ctl_exit no_command(struct ctl *ctl) {
  const char *topic = ctl_operand(ctl, 0);
  if (!topic) {
    ctl_help(NULL);
    return ctl->help ? CTL_OK : CTL_USAGE;
  }
  size_t len = strlen(topic);
  for (const struct ctl_command *c = ctl_commands; c->name; c++) {
    if (!strncmp(c->name, topic, len) && c->name[len] == ' ') {
      if (ctl->help) {
        printf("usage: turncredctl %s COMMAND [OPERANDS] [OPTIONS]\n\nCommands:\n", topic);
        ctl_help_topic(topic);
        return CTL_OK;
      }
      return ctl_fail(ctl, CTL_USAGE, "which %s command? See turncredctl %s --help", topic, topic);
    }
  }
  return ctl_fail(ctl, CTL_USAGE, "there is no command \"%s\"; see turncredctl --help", topic);
}

/* What jansson frees may hold passwords and session keys. */
static void cleanse_and_free(void *p) {
  if (p)
    turncred_cleanse(p, malloc_usable_size(p));
  free(p);
}

int main(int argc, char **argv) {
  struct ctl ctl;
  secret_harden();
  json_set_alloc_funcs(malloc, cleanse_and_free);
  signal(SIGPIPE, SIG_IGN); /* a peer that hangs up is an error like any other */
  enum ctl_exit rc = ctl_parse(&ctl, argc, argv);
  if (rc)
    return rc;
  if (ctl_has(&ctl, "version")) {
    puts("turncredctl " PACKAGE_VERSION);
    return CTL_OK;
  }
  if (!ctl.command)
    return no_command(&ctl);
  if (ctl.help) {
    ctl_help(ctl.command);
    return CTL_OK;
  }
  rc = ctl.command->run(&ctl);
  if (ctl.db)
    pg_close(ctl.db);
  free(ctl.db);
  free(ctl.database);
  free(ctl.kek);
  return rc;
}
