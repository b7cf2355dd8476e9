/*
 * help.c - --help, made from the table of commands
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "ctl.h"

#include <stdio.h>
#include <string.h>

static void put_options(const struct ctl_option *options) {
  for (; options && options->name; options++) {
    char left[64];
    snprintf(left, sizeof left, "--%s%s%s", options->name, options->value ? " " : "",
             options->value ? options->value : "");
    printf("  %-28s%s%s%s%s\n", left, strlen(left) > 27 ? "\n                              " : "", options->help,
           options->flags & CTL_REQUIRED ? " (required)" : "", options->flags & CTL_REPEAT ? " (may be repeated)" : "");
  }
}

/* Lists the commands whose first word is topic; NULL: all. */
static void put_commands(const struct ctl *ctl, const char *topic) {
  for (const struct ctl_command *c = ctl->commands; c->name; c++) {
    char left[96];
    if (topic && (strncmp(c->name, topic, strlen(topic)) || c->name[strlen(topic)] != ' ')) {
      continue;
    }
    snprintf(left, sizeof left, "%s%s%s", c->name, c->operands ? " " : "", c->operands ? c->operands : "");
    printf("  %-34s%s%s\n", left, strlen(left) > 33 ? "\n                                    " : "", c->summary);
  }
}

void ctl_help_topic(const struct ctl *ctl, const char *topic) {
  printf("usage: turncredctl %s COMMAND [OPERANDS] [OPTIONS]\n\nCommands:\n", topic);
  put_commands(ctl, topic);
}

void ctl_help(const struct ctl *ctl) {
  const struct ctl_command *command = ctl->command;
  if (!command) {
    puts("usage: turncredctl COMMAND [OPERANDS] [OPTIONS]\n\n"
         "Provisions short-lived TURN credentials for coturn and looks after them.\n\nCommands:");
    put_commands(ctl, NULL);
    puts("\nOptions of every command:");
    put_options(ctl->global_options);
    puts("\nturncredctl COMMAND --help tells more. The manual is turncredctl(1).");
    return;
  }
  printf("usage: turncredctl %s%s%s%s\n\n%s.\n", command->name, command->operands ? " " : "",
         command->operands ? command->operands : "", command->options && command->options->name ? " [OPTIONS]" : "",
         command->summary);
  if (command->details) {
    printf("\n%s\n", command->details);
  }
  if (command->options && command->options->name) {
    puts("\nOptions:");
    put_options(command->options);
  }
  puts("\nOptions of every command:");
  put_options(ctl->global_options);
}
