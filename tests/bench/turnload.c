/*
 * turnload.c - load generator for TURN servers over UDP that verifies every answer
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "load_call.h"
#include "load_sequence.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char usage[] =
    "usage: turnload --server ADDRESS:PORT CREDENTIALS [OPTIONS]\n"
    "Runs sequences of Allocate, 401, Allocate, success, Refresh(0), success over UDP, each from "
    "a\n"
    "new address and port, and verifies MESSAGE-INTEGRITY of every success.\n"
    "\n"
    "Credentials, one of\n"
    "  --user NAME --password-file FILE   one static user; the password is the first line\n"
    "  --list FILE                        one JSON object a line: username and password, or kid,\n"
    "                                     key and access_token (base64); used in turn\n"
    "    --follow                         take lines that are added meanwhile; every other login\n"
    "                                     uses the newest\n"
    "  --mint derived|rest|token          mint one for each sequence, with\n"
    "    --key-file FILE                  the key K in raw octets\n"
    "    --kid ID --server-name NAME      token: key id, and the name that the token is bound to\n"
    "    --algorithm A --derivation D     token: A256GCM, A128GCM, A256CBC-HS512; none, "
    "hkdf-sha256\n"
    "                                     rest: sha1, sha256, sha384, sha512\n"
    "    --username-format F              user-id:timestamp (default) or timestamp:user-id\n"
    "    --user-prefix TEXT --users N     user ids TEXT0 to TEXT(N-1); default load, 1000\n"
    "    --ttl SECONDS                    default 3600\n"
    "\n"
    "Load\n"
    "  --rate N          start N sequences a second (open loop), or\n"
    "  --concurrency N   keep N under way (closed loop; default 16). With --rate: at most N, 4096\n"
    "  --count N         stop after N sequences\n"
    "  --seconds N       stop after N seconds\n"
    "  --wrong FRACTION  so many of them with a wrong key; they must be answered 401\n"
    "  --calls N         before the sequences, set up N calls that send a datagram every 20 ms "
    "through\n"
    "                    the relay to a peer and back; --count 0 --seconds N: calls only\n"
    "  --rto MS          first retransmission (default 500, RFC 8489 6.2.1)\n"
    "  --expect CODE     this STUN error is no failure; may be repeated\n"
    "\n"
    "Result\n"
    "  --json            print the result as JSON\n"
    "Exit: 0 all answers right; 1 something was lost, refused, let in or malformed that should "
    "not;\n"
    "2 the run could not be made.\n";

struct run {
  struct load_net net;
  struct load_sequences sequences;
  struct load_calls *calls;
  struct load_source_options source;
  unsigned call_count;
  bool no_sequences, stopping, json;
  struct event call_timer, lag_timer, sigint, sigterm;
  uint64_t lag_due_ns;
};

/* --- options ------------------------------------------------------------------------------ */

static void die(const char *option, const char *value, const char *remedy) {
  fprintf(stderr, "turnload: --%s %s: %s\n", option, value, remedy);
  exit(2);
}

static double number(const char *option, const char *value, double min, double max) {
  char *end, remedy[80];
  errno = 0;
  double n = strtod(value, &end);
  if (*value == '\0' || *end != '\0' || errno || !(n >= min && n <= max)) {
    snprintf(remedy, sizeof(remedy), "give a number from %g to %.12g", min, max);
    die(option, value, remedy);
  }
  return n;
}

static void parse_server(const char *value, struct sockaddr_in *out) {
  char host[INET_ADDRSTRLEN];
  const char *colon = strrchr(value, ':');
  size_t len = colon ? (size_t)(colon - value) : 0;
  if (len == 0 || len >= sizeof(host)) {
    die("server", value, "give an IPv4 address and a port, as 127.0.0.1:3478");
  }
  memcpy(host, value, len);
  host[len] = '\0';
  out->sin_family = AF_INET;
  out->sin_port = htons((uint16_t)number("server", colon + 1, 1, 65535));
  if (inet_pton(AF_INET, host, &out->sin_addr) != 1) {
    die("server", value, "give an IPv4 address and a port, as 127.0.0.1:3478");
  }
}

enum option_id {
  OPT_SERVER = 256,
  OPT_USER,
  OPT_PASSWORD_FILE,
  OPT_LIST,
  OPT_MINT,
  OPT_KEY_FILE,
  OPT_KID,
  OPT_SERVER_NAME,
  OPT_ALGORITHM,
  OPT_DERIVATION,
  OPT_USERNAME_FORMAT,
  OPT_USER_PREFIX,
  OPT_USERS,
  OPT_TTL,
  OPT_RATE,
  OPT_CONCURRENCY,
  OPT_COUNT,
  OPT_SECONDS,
  OPT_WRONG,
  OPT_CALLS,
  OPT_RTO,
  OPT_EXPECT,
  OPT_FOLLOW,
  OPT_JSON,
  OPT_HELP
};

static const struct option options[] = {{"server", required_argument, NULL, OPT_SERVER},
                                        {"user", required_argument, NULL, OPT_USER},
                                        {"password-file", required_argument, NULL, OPT_PASSWORD_FILE},
                                        {"list", required_argument, NULL, OPT_LIST},
                                        {"mint", required_argument, NULL, OPT_MINT},
                                        {"key-file", required_argument, NULL, OPT_KEY_FILE},
                                        {"kid", required_argument, NULL, OPT_KID},
                                        {"server-name", required_argument, NULL, OPT_SERVER_NAME},
                                        {"algorithm", required_argument, NULL, OPT_ALGORITHM},
                                        {"derivation", required_argument, NULL, OPT_DERIVATION},
                                        {"username-format", required_argument, NULL, OPT_USERNAME_FORMAT},
                                        {"user-prefix", required_argument, NULL, OPT_USER_PREFIX},
                                        {"users", required_argument, NULL, OPT_USERS},
                                        {"ttl", required_argument, NULL, OPT_TTL},
                                        {"rate", required_argument, NULL, OPT_RATE},
                                        {"concurrency", required_argument, NULL, OPT_CONCURRENCY},
                                        {"count", required_argument, NULL, OPT_COUNT},
                                        {"seconds", required_argument, NULL, OPT_SECONDS},
                                        {"wrong", required_argument, NULL, OPT_WRONG},
                                        {"calls", required_argument, NULL, OPT_CALLS},
                                        {"rto", required_argument, NULL, OPT_RTO},
                                        {"expect", required_argument, NULL, OPT_EXPECT},
                                        {"follow", no_argument, NULL, OPT_FOLLOW},
                                        {"json", no_argument, NULL, OPT_JSON},
                                        {"help", no_argument, NULL, OPT_HELP},
                                        {NULL, 0, NULL, 0}};

static void set_credential_option(struct load_source_options *o, int id, const char *value) {
  switch (id) {
  case OPT_USER:
    o->user = value;
    break;
  case OPT_PASSWORD_FILE:
    o->password_file = value;
    break;
  case OPT_LIST:
    o->list = value;
    break;
  case OPT_MINT:
    o->mint = value;
    break;
  case OPT_KEY_FILE:
    o->key_file = value;
    break;
  case OPT_KID:
    o->kid = value;
    break;
  case OPT_SERVER_NAME:
    o->server_name = value;
    break;
  case OPT_ALGORITHM:
    o->alg = value;
    break;
  case OPT_DERIVATION:
    o->derivation = value;
    break;
  case OPT_USERNAME_FORMAT:
    o->username_format = value;
    break;
  case OPT_USER_PREFIX:
    o->user_prefix = value;
    break;
  case OPT_USERS:
    o->users = (uint64_t)number("users", value, 1, 1e12);
    break;
  default:
    o->ttl = (uint32_t)number("ttl", value, 1, 4e9);
  }
}

static void set_load_option(struct run *run, int id, const char *value) {
  struct load_sequences *s = &run->sequences;
  switch (id) {
  case OPT_SERVER:
    parse_server(value, &run->net.server);
    break;
  case OPT_RATE:
    s->rate = number("rate", value, 0.01, 1e6);
    break;
  case OPT_CONCURRENCY:
    s->concurrency = (unsigned)number("concurrency", value, 1, 100000);
    break;
  case OPT_COUNT:
    s->count = (uint64_t)number("count", value, 0, 1e12);
    run->no_sequences = s->count == 0;
    break;
  case OPT_SECONDS:
    s->seconds = number("seconds", value, 0.1, 1e7);
    break;
  case OPT_WRONG:
    s->wrong = number("wrong", value, 0, 1);
    break;
  case OPT_CALLS:
    run->call_count = (unsigned)number("calls", value, 0, 20000);
    break;
  case OPT_RTO:
    run->net.rto_ms = (uint32_t)number("rto", value, 10, 60000);
    break;
  default:
    run->net.expect[(int)number("expect", value, LOAD_CODE_MIN, LOAD_CODE_MAX) - LOAD_CODE_MIN] = true;
  }
}

static void parse_options(struct run *run, int argc, char **argv) {
  int id;
  while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
    if (id == OPT_HELP) {
      fputs(usage, stdout);
      exit(0);
    } else if (id == OPT_JSON) {
      run->json = true;
    } else if (id == OPT_FOLLOW) {
      run->source.follow = true;
    } else if (id >= OPT_USER && id <= OPT_TTL) {
      set_credential_option(&run->source, id, optarg);
    } else if (id >= OPT_SERVER && id <= OPT_EXPECT) {
      set_load_option(run, id, optarg);
    } else {
      exit(2); /* getopt has said why */
    }
  }
  struct load_sequences *s = &run->sequences;
  const char *problem = NULL;
  if (optind < argc) {
    problem = "arguments without an option are not understood";
  } else if (run->net.server.sin_port == 0) {
    problem = "--server is missing";
  } else if (s->count == 0 && s->seconds <= 0) {
    problem = "say how long: --count or --seconds";
  } else if (run->no_sequences && run->call_count == 0) {
    problem = "--count 0 leaves nothing to do without --calls";
  }
  if (problem) {
    fprintf(stderr, "turnload: %s; see --help\n", problem);
    exit(2);
  }
  if (s->concurrency == 0) {
    s->concurrency = s->rate > 0 ? 4096 : 16;
  }
}

/* --- the course of a run ------------------------------------------------------------------ */

static void on_over(void *arg) {
  struct run *run = arg;
  event_base_loopbreak(run->net.base);
}

static void end_calls(void *arg) {
  struct run *run = arg;
  if (run->calls) {
    load_calls_stop(run->calls, on_over);
  } else {
    on_over(run);
  }
}

static void on_call_time(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  end_calls(arg);
}

static void start_sequences(void *arg) {
  struct run *run = arg;
  if (!run->no_sequences && !run->stopping) {
    load_sequences_start(&run->sequences);
    return;
  }
  double seconds = run->stopping ? 0 : run->sequences.seconds;
  struct timeval tv = {.tv_sec = (time_t)seconds, .tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};
  evtimer_add(&run->call_timer, &tv);
}

static void on_signal(evutil_socket_t fd, short what, void *arg) {
  struct run *run = arg;
  struct timeval now = {0};
  (void)fd, (void)what;
  if (run->stopping) {
    return;
  }
  run->stopping = true;
  if (run->sequences.begun_ns) {
    load_sequences_stop(&run->sequences);
  } else if (evtimer_pending(&run->call_timer, NULL)) {
    evtimer_add(&run->call_timer, &now);
  }
}

#define LAG_PERIOD_NS 10000000u

/* The longest time that the generator itself adds to a measured time. */
static void on_lag(evutil_socket_t fd, short what, void *arg) {
  struct run *run = arg;
  uint64_t now = load_now_ns();
  (void)fd, (void)what;
  if (now > run->lag_due_ns && now - run->lag_due_ns > run->net.stats.loop_lag_ns) {
    run->net.stats.loop_lag_ns = now - run->lag_due_ns;
  }
  run->lag_due_ns = now + LAG_PERIOD_NS;
  evtimer_add(&run->lag_timer, &(struct timeval){.tv_usec = LAG_PERIOD_NS / 1000});
}

static void raise_file_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
  }
}

static int run_all(struct run *run) {
  struct event_config *config = event_config_new();
  if (config) {
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER); /* round trips below 1 ms */
  }
  run->net.base = config ? event_base_new_with_config(config) : NULL;
  if (config) {
    event_config_free(config);
  }
  if (!run->net.base) {
    fputs("turnload: libevent cannot start\n", stderr);
    return 2;
  }
  struct event_base *base = run->net.base;
  event_assign(&run->call_timer, base, -1, 0, on_call_time, run);
  event_assign(&run->lag_timer, base, -1, 0, on_lag, run);
  event_assign(&run->sigint, base, SIGINT, EV_SIGNAL | EV_PERSIST, on_signal, run);
  event_assign(&run->sigterm, base, SIGTERM, EV_SIGNAL | EV_PERSIST, on_signal, run);
  event_add(&run->sigint, NULL);
  event_add(&run->sigterm, NULL);
  run->lag_due_ns = load_now_ns();
  on_lag(-1, 0, run);
  if (run->call_count == 0) {
    start_sequences(run);
  } else if (!(run->calls = load_calls_start(&run->net, run->call_count, start_sequences, run))) {
    fputs("turnload: no memory or sockets for the calls; see ulimit -n\n", stderr);
    return 2;
  }
  event_base_dispatch(base);
  return load_stats_ok(&run->net.stats) ? 0 : 1;
}

int main(int argc, char **argv) {
  static struct run run;
  char err[512];
  run.net = (struct load_net){.rto_ms = 500, .max_sends = 7, .last_wait = 16};
  run.source = (struct load_source_options){.users = 1000, .ttl = 3600};
  parse_options(&run, argc, argv);
  raise_file_limit();
  run.net.creds = load_source_new(&run.source, err, sizeof(err));
  if (!run.net.creds) {
    fprintf(stderr, "turnload: %s\n", err);
    return 2;
  }
  RAND_bytes((unsigned char *)&run.net.source, sizeof(run.net.source));
  run.net.source >>= 16; /* room to count */
  run.sequences.net = &run.net;
  run.sequences.finished = end_calls;
  run.sequences.arg = &run;
  int result = run_all(&run);
  if (result != 2) {
    load_stats_print(&run.net.stats, run.json);
  }
  load_calls_free(run.calls);
  if (run.net.base) {
    event_base_free(run.net.base);
  }
  load_source_free(run.net.creds);
  load_stats_clear(&run.net.stats);
  return result;
}
