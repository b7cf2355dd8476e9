/*
 * conf_oracle.c - a turnserver.conf as coturn reads it: the functions of its mainrelay.c, and what they need
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * conf.py takes long_options, parse_arg_string() and read_config_file() out of a tree of coturn's, into extracted.h.
 * The program prints what conf_dump prints.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct myoption {
  const char *name;
  int has_arg, *flag, val;
};
static struct {
  bool do_not_use_config_file;
} turn_params;
static const char Usage[] = "", *file;
static bool use_new_log_timestamp_format;

#define DEFAULT_CONFIG_FILE "turnserver.conf"
#define TURN_SERVER_VERSION ""
#define TURN_LOG_FUNC(...)
#define STRCPY(to, from) (strncpy((to), (from), sizeof(to) - 1), (to)[sizeof(to) - 1] = '\0')
/* sarg is read_config_file()'s: the option's name, once the line is taken apart */
#define set_option(c, value) record(sarg, value)
#define find_config_file(...) strdup(file)
/* the first pass is about the log: the same options come again in the second */
#define set_logfile(value) (void)(value)
#define set_no_stdout_log(value) (void)(value)
#define set_log_to_syslog(value) (void)(value)
#define set_simple_log(value) (void)(value)
#define set_log_min_level(value) (void)(value)
#define set_turn_log_timestamp_format(value) (void)(value)
#define set_syslog_facility(value) (void)(value)
#define get_bool_value(value) ((value) != NULL)

static void record(const char *name, const char *value) {
  printf("%s ", name);
  for (; *value; value++) {
    printf("%02x", (unsigned char)*value);
  }
  putchar('\n');
}

#include "extracted.h"

int main(int argc, char **argv) {
  file = argv[argc - 1];
  for (int pass = 0; pass < 3; pass++) {
    read_config_file(1, argv, pass);
  }
  return 0;
}
