/*
 * turnserver_conf.c - what a turnserver.conf and a command line of coturn's say about credentials
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The file is read as read_config_file() and parse_arg_string() of coturn's mainrelay.c read it, in all versions alike:
 * "name=value", "name value" or "name"; a quotation mark in front of a value is dropped, one at its end only then.
 */
#include "config.h"

#include "turnserver_conf.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char gap[] = " \t="; /* between an option and its value */

/* Adds a line; -1: out of memory. */
static int add_line(struct turnserver_conf *conf, const char *value, unsigned number, bool secret, bool argument) {
  struct turnserver_line *more =
      realloc(conf->lines, (conf->count + 1) * sizeof *more); /* moves pointers, not secrets */
  if (!more) {
    return -1;
  }
  conf->lines = more;
  more[conf->count] = (struct turnserver_line){strdup(value), strlen(value), number, secret, argument};
  if (!more[conf->count].value) {
    return -1;
  }
  conf->count++;
  return 0;
}

bool turnserver_conf_split(char *line, char **name, char **value) {
  *name = line + strspn(line, " \t\n");
  size_t len = strlen(*name);
  if (**name == '#') {
    return false;
  }
  while (len && isspace((unsigned char)(*name)[len - 1])) {
    (*name)[--len] = '\0';
  }
  if (!len) {
    return false;
  }
  size_t end = strcspn(*name, gap);
  *value = *name + end;
  *value += strspn(*value, gap);
  (*name)[end] = '\0';
  len = strlen(*value);
  if (**value == '"') {
    ++*value;
    --len;
    if (len && (*value)[len - 1] == '"') {
      (*value)[len - 1] = '\0';
    }
  }
  return true;
}

/* coturn's get_bool_value(): an option without a value is switched on. At other words than these coturn does not start.
 */
static bool is_on(const char *value) {
  bool off =
      *value && (strchr("0nNfF", *value) || !strcmp(value, "off") || !strcmp(value, "OFF") || !strcmp(value, "Off"));
  return !off;
}

/* Takes over an option about the database, limits, or who else writes there. */
static void take_other(struct turnserver_conf *conf, enum turnserver_meaning meaning, const char *value) {
  switch (meaning) {
  case TURNSERVER_SQLITE:
  case TURNSERVER_POSTGRES:
  case TURNSERVER_MYSQL:
  case TURNSERVER_MONGO:
  case TURNSERVER_REDIS:
    conf->database_kind = meaning;
    snprintf(conf->database, sizeof conf->database, "%s", value);
    break;
  case TURNSERVER_NO_DYNAMIC_REALMS:
    conf->no_dynamic_realms = true;
    break;
  case TURNSERVER_NO_DYNAMIC_IP_LIST:
    conf->no_dynamic_ip_list = true;
    break;
  case TURNSERVER_SECRET_KEY_FILE:
    conf->secret_key_file = *value;
    break;
  case TURNSERVER_WEB_ADMIN:
    conf->web_admin = is_on(value);
    break;
  case TURNSERVER_USER_QUOTA:
    conf->user_quota = atoi(value);
    break;
  case TURNSERVER_TOTAL_QUOTA:
    conf->total_quota = atoi(value);
    break;
  case TURNSERVER_MAX_BPS:
    conf->max_bps = (int64_t)strtoul(value, NULL, 10);
    break;
  default:
    break;
  }
}

/* Takes over an allowed-peer-ip. -1: out of memory. */
static int add_allowed_peer(struct turnserver_conf *conf, const char *value) {
  json_t *text = json_string(value);
  conf->allowed_peers = conf->allowed_peers ? conf->allowed_peers : json_array();
  /* a value that is not UTF-8 is none that coturn can read */
  return json_array_append_new(conf->allowed_peers, text ? text : json_string("?"));
}

/* Takes over one option. -1: out of memory. */
static int take(struct turnserver_conf *conf, const struct turnserver_option *option, const char *value,
                unsigned number, bool argument) {
  switch (option->meaning) {
  case TURNSERVER_REALM:
    snprintf(conf->realm, sizeof conf->realm, "%s", value);
    break;
  case TURNSERVER_SERVER_NAME:
    snprintf(conf->server_name, sizeof conf->server_name, "%s", value);
    break;
  case TURNSERVER_SEPARATOR:
    if (*value) {
      conf->separator = *value;
    }
    break;
  case TURNSERVER_SECRET:
    conf->use_auth_secret = conf->lt_cred_mech = true;
    return add_line(conf, value, number, true, argument);
  case TURNSERVER_ALLOWED_PEER:
    return add_allowed_peer(conf, value);
  case TURNSERVER_USER:
    return add_line(conf, value, number, false, argument);
  case TURNSERVER_USE_AUTH_SECRET: /* whatever its value */
    conf->use_auth_secret = conf->lt_cred_mech = true;
    break;
  case TURNSERVER_LT_CRED_MECH:
    conf->lt_cred_mech = is_on(value);
    break;
  case TURNSERVER_NO_AUTH:
    conf->no_auth = is_on(value);
    break;
  case TURNSERVER_OAUTH:
    conf->oauth = is_on(value);
    break;
  default:
    take_other(conf, option->meaning, value);
  }
  return 0;
}

static void begin(struct turnserver_conf *conf) { *conf = (struct turnserver_conf){.given = true, .separator = ':'}; }

enum ctl_exit turnserver_conf_read(const struct ctl *ctl, const char *path, struct turnserver_conf *out) {
  char line[TURNSERVER_LINE], *name, *value;
  enum ctl_exit rc = CTL_OK;
  begin(out);
  FILE *f = fopen(path, "re");
  if (!f) {
    return ctl_fail(ctl, CTL_USAGE, "--turnserver-conf %s: %s", path, strerror(errno));
  }
  for (unsigned n = 1; !rc && fgets(line, sizeof line, f); n++) {
    if (!turnserver_conf_split(line, &name, &value)) {
      continue;
    }
    const struct turnserver_option *option = turnserver_option_find(name);
    if (!option && out->strange_count < TURNSERVER_STRANGE_MAX) {
      out->strange[out->strange_count].number = n;
      snprintf(out->strange[out->strange_count].name, sizeof out->strange->name, "%s", name);
      out->strange_count++;
    } else if (option && take(out, option, value, n, false)) {
      rc = ctl_fail(ctl, CTL_INTERNAL, "out of memory");
    }
  }
  if (!rc && ferror(f)) {
    rc = ctl_fail(ctl, CTL_USAGE, "--turnserver-conf %s: %s", path, strerror(errno));
  }
  fclose(f);
  turncred_cleanse(line, sizeof line);
  return rc;
}

/* --- a command line --- */

#define ARGUMENTS_MAX 1024

struct arguments {
  char text[65536];
  char *words[ARGUMENTS_MAX + 1]; /* ends with NULL */
  int count;
};

/* Reads the arguments of the file path. */
static enum ctl_exit read_arguments(const struct ctl *ctl, const char *path, struct arguments *out) {
  FILE *f = fopen(path, "re");
  size_t len = f ? fread(out->text, 1, sizeof out->text - 1, f) : 0;
  if (!f || ferror(f)) {
    if (f) {
      fclose(f);
    }
    return ctl_fail(ctl, CTL_USAGE, "--turnserver-cmdline %s: %s", path, strerror(errno));
  }
  bool whole = feof(f);
  fclose(f);
  char end = memchr(out->text, '\0', len) ? '\0' : '\n';
  for (char *at = out->text, *stop; at < out->text + len && out->count < ARGUMENTS_MAX; at = stop + 1) {
    stop = memchr(at, end, (size_t)(out->text + len - at));
    stop = stop ? stop : out->text + len; /* where text has a NUL anyway */
    *stop = '\0';
    out->words[out->count++] = at;
  }
  return whole && out->count < ARGUMENTS_MAX
             ? CTL_OK
             : ctl_fail(ctl, CTL_USAGE, "--turnserver-cmdline %s: it is too long for a command line of coturn's", path);
}

/* What getopt is told of coturn's options; the last one is empty. */
static struct option *long_options(void) {
  struct option *all = calloc(turnserver_options_count + 1, sizeof *all);
  for (size_t i = 0; all && i < turnserver_options_count; i++) {
    all[i].name = turnserver_options[i].name;
    all[i].has_arg = turnserver_options[i].argument;
    all[i].val = 256 + (int)i;
  }
  return all;
}

/* The option that getopt has found; NULL: none that matters. */
static const struct turnserver_option *found_option(int c) {
  for (size_t i = 0; c < 256 && i < turnserver_options_count; i++) {
    if (turnserver_options[i].letter == c) {
      return &turnserver_options[i];
    }
  }
  return c >= 256 ? &turnserver_options[c - 256] : NULL;
}

static enum ctl_exit take_arguments(const struct ctl *ctl, struct arguments *a, struct turnserver_conf *out) {
  struct option *all = long_options();
  enum ctl_exit rc = all ? CTL_OK : ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  optind = 0;
  opterr = 0;
  for (int c; !rc && (c = getopt_long(a->count, a->words, turnserver_short_options, all, NULL)) != -1;) {
    const struct turnserver_option *option = found_option(c);
    if (option && take(out, option, optarg ? optarg : "", (unsigned)optind - 1, true)) {
      rc = ctl_fail(ctl, CTL_INTERNAL, "out of memory");
    }
  }
  free(all);
  return rc;
}

enum ctl_exit turnserver_conf_command_line(const struct ctl *ctl, const char *path, const char *conf_path,
                                           struct turnserver_conf *out) {
  struct arguments *a = calloc(1, sizeof *a);
  if (!a) {
    return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  enum ctl_exit rc = read_arguments(ctl, path, a);
  bool none = false;
  const char *named = NULL;
  /* coturn finds these two as words of their own only */
  for (int i = 1; i < a->count; i++) {
    none |= !strcmp(a->words[i], "-n");
    named = !strcmp(a->words[i], "-c") && i + 1 < a->count ? a->words[i + 1] : named;
  }
  begin(out);
  const char *file = conf_path ? conf_path : none ? NULL : named ? named : "/etc/turnserver.conf";
  if (!rc && file) {
    rc = turnserver_conf_read(ctl, file, out);
  }
  if (!rc) {
    rc = take_arguments(ctl, a, out);
  }
  turncred_cleanse(a, sizeof *a);
  free(a);
  return rc;
}

void turnserver_conf_free(struct turnserver_conf *conf) {
  for (size_t i = 0; i < conf->count; i++) {
    turncred_cleanse(conf->lines[i].value, conf->lines[i].len);
    free(conf->lines[i].value);
  }
  free(conf->lines);
  json_decref(conf->allowed_peers);
  turncred_cleanse(conf->database, sizeof conf->database);
  *conf = (struct turnserver_conf){.realm = ""};
}

/* --- users --- */

/* coturn's SASLprep(), on octets; false: coturn refuses the name. */
static bool prepare_name(char *name) {
  char *out = name;
  for (const unsigned char *in = (const unsigned char *)name; *in; in++) {
    if (*in == 0x7F || *in < 0x1F || (*in >= 0x80 && *in <= 0x9F)) {
      return false;
    }
    if (*in != 0xAD) {
      *out++ = (char)(*in == 0xA0 ? ' ' : *in);
    }
  }
  *out = '\0';
  return true;
}

/* The password of a value "name:password"; NULL: the value has another form. */
static const char *password_of(const char *value) {
  const char *colon = strchr(value, ':');
  return colon && colon != value && colon[1] ? colon + 1 + strspn(colon + 1, " \t\n") : NULL;
}

bool turnserver_user_has_key(const char *value) {
  const char *password = password_of(value);
  return password && !strncmp(password, "0x", 2);
}

enum turnserver_mode turnserver_conf_mode(const struct turnserver_conf *conf) {
  bool users = false;
  for (size_t i = 0; i < conf->count; i++) {
    users |= !conf->lines[i].secret && !conf->use_auth_secret && password_of(conf->lines[i].value);
  }
  if (conf->no_auth || (!conf->lt_cred_mech && !users)) {
    return TURNSERVER_TAKES_ANYBODY;
  }
  return conf->use_auth_secret ? TURNSERVER_TAKES_SECRETS : TURNSERVER_TAKES_USERS;
}

const char *turnserver_user_key(char *value, const char *realm, char hex[33]) {
  uint8_t key[TURNCRED_LONG_TERM_MD5];
  const char *password = password_of(value);
  if (!password) {
    return "the value is not name:password";
  }
  *strchr(value, ':') = '\0';
  if (!prepare_name(value)) {
    return "coturn refuses the name: it has control characters, or octets from 0x7F to 0x9F";
  }
  if (!strncmp(password, "0x", 2)) {
    snprintf(hex, 33, "%.32s", password + 2);
    return NULL;
  }
  if (turncred_long_term_md5(NULL, value, strlen(value), realm, password, key)) {
    return "the key cannot be made: name, realm or password is too long";
  }
  for (size_t i = 0; i < sizeof key; i++) {
    snprintf(hex + 2 * i, 3, "%02x", key[i]);
  }
  turncred_cleanse(key, sizeof key);
  return NULL;
}
