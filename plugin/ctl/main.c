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
#include "values.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The command line names no command: shows all commands, or those whose first word it has. */
static enum ctl_exit show_commands(struct ctl *ctl) {
  const char *topic = ctl_operand(ctl, 0);
  if (!topic) {
    ctl_help(ctl);
    return ctl->help ? CTL_OK : CTL_USAGE;
  }
  size_t len = strlen(topic);
  for (const struct ctl_command *c = ctl->commands; c->name; c++) {
    if (!strncmp(c->name, topic, len) && c->name[len] == ' ') {
      if (ctl->help) {
        ctl_help_topic(ctl, topic);
        return CTL_OK;
      }
      return ctl_fail(ctl, CTL_USAGE, "which %s command? See turncredctl %s --help", topic, topic);
    }
  }
  return ctl_fail(ctl, CTL_USAGE, "there is no command \"%s\"; see turncredctl --help", topic);
}

/* Half of an answer, or of what is to be written, is worse than none: without memory for JSON the command ends. What it
 * has begun in the database is rolled back with the connection. */
static void *allocate_or_end(size_t size) {
  static const char message[] = "turncredctl: out of memory\n";
  void *memory = malloc(size);
  if (!memory) {
    ssize_t done = write(STDERR_FILENO, message, sizeof message - 1);
    (void)done;
    _exit(CTL_INTERNAL);
  }
  return memory;
}

/* What jansson frees may hold passwords and session keys. */
static void cleanse_and_free(void *p) {
  if (p) {
    turncred_cleanse(p, malloc_usable_size(p));
  }
  free(p);
}

static enum ctl_exit run(struct ctl *ctl) {
  if (ctl_has(ctl, "version")) {
    puts("turncredctl " PACKAGE_VERSION);
    return CTL_OK;
  }
  if (!ctl->command) {
    return show_commands(ctl);
  }
  if (ctl->help) {
    ctl_help(ctl);
    return CTL_OK;
  }
  enum ctl_exit rc = ctl_need_utf8(ctl);
  return rc ? rc : ctl->command->run(ctl);
}

int main(int argc, char **argv) {
  struct ctl ctl;
  secret_harden();
  json_set_alloc_funcs(allocate_or_end, cleanse_and_free);
  signal(SIGPIPE, SIG_IGN); /* a peer that hangs up is an error like any other */
  enum ctl_exit rc = ctl_parse(&ctl, ctl_commands, ctl_global_options, argc, argv);
  if (rc) {
    return rc;
  }
  rc = run(&ctl);
  if (!rc) {
    rc = ctl_written(&ctl);
  }
  if (ctl.db) {
    pg_close(ctl.db);
  }
  free(ctl.db);
  free(ctl.database);
  free(ctl.kek);
  return rc;
}
