/*
 * conf_dump.c - a turnserver.conf as turncredctl reads it, for conf.bats
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * conf_dump FILE: "NAME VALUE" of each line that is an option, the value in hexadecimal digits. conf_dump alone: the
 * names of all options that the import knows.
 */
#include "config.h"

#include "ctl/turnserver_conf.h"

#include <stdio.h>
#include <string.h>

static void put(const char *name, const char *value) {
  printf("%s ", name);
  for (; *value; value++) {
    printf("%02x", (unsigned char)*value);
  }
  putchar('\n');
}

int main(int argc, char **argv) {
  char line[TURNSERVER_LINE], *name, *value;
  for (size_t i = 0; argc < 2 && i < turnserver_options_count; i++) {
    puts(turnserver_options[i].name);
  }
  FILE *f = argc < 2 ? NULL : fopen(argv[1], "re");
  while (f && fgets(line, sizeof line, f)) {
    if (turnserver_conf_split(line, &name, &value) && turnserver_option_find(name)) {
      put(name, value);
    }
  }
  if (f) {
    fclose(f);
  }
  return argc < 2 || f ? 0 : 1;
}
