/*
 * doctor_servers.c - turncredctl doctor: asks TURN servers and issuers at each of their addresses
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "doctor.h"

#include "readyz.h"
#include "turn/error_text.h"
#include "turn/probe.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define CERTIFICATE_SOON (21 * 86400)
#define PROBE_TIMEOUT_MS 5000

/* What the addresses of one name have answered. */
struct answers {
  size_t right, wrong, unreached; /* unreached: this host has no way to that address */
  char where[256];                /* the right ones */
  char why[600];                  /* of each other: ADDRESS: reason */
  char last[320];                 /* the reason of the last of these */
  const char *remedy;             /* of the last wrong one */
  int64_t certificate_until;      /* the earliest; 0: none */
  const char *certificate_fault;  /* for a strict reader; NULL: none, or nobody looked */
};

static void add_word(char *list, size_t cap, const char *between, const char *word) {
  size_t len = strlen(list);
  snprintf(list + len, cap - len, "%s%s", len ? between : "", word);
}

static void note_answer(struct answers *a, const char *address, int64_t certificate_until) {
  a->right++;
  add_word(a->where, sizeof a->where, " and ", address);
  if (certificate_until && (!a->certificate_until || certificate_until < a->certificate_until)) {
    a->certificate_until = certificate_until;
  }
}

/* io: errno value, or 0. */
static void note_fault(struct answers *a, const char *address, const char *why, int io, const char *remedy) {
  bool no_way = io == ENETUNREACH || io == EADDRNOTAVAIL || io == EAFNOSUPPORT;
  bool named = !strncmp(why, address, strlen(address)); /* texts of the transport begin with it */
  char text[400];
  a->unreached += no_way;
  a->wrong += !no_way;
  a->remedy = remedy;
  snprintf(a->last, sizeof a->last, "%s", why);
  snprintf(text, sizeof text, "%s%s%.300s%s", named ? "" : address, named ? "" : ": ", why,
           no_way ? " from this host" : "");
  add_word(a->why, sizeof a->why, "; ", text);
}

static void check_certificate(struct doctor *d, const char *server, const struct answers *a) {
  int64_t until = a->certificate_until;
  int64_t left = until - time(NULL);
  char text[32];
  ctl_time_text(until, text, sizeof text);
  if (until && left < CERTIFICATE_SOON) {
    add_finding(d, "certificate", left < SOON ? FAIL : WARN, "renew the certificate and reload the server",
                "the certificate of %s ends %s", server, text);
  } else if (a->certificate_fault) {
    add_finding(d, "certificate", WARN,
                "give the authority keyUsage keyCertSign, and the certificate the authority's key identifier",
                "programs with strict checks, such as Python 3.13's, refuse the certificate of %s: %s", server,
                a->certificate_fault);
  } else if (until) {
    add_finding(d, "certificate", FINE, "", "the certificate of %s is good until %s", server, text);
  }
}

/* One finding about all addresses. over: " over UDP"; said: what the right ones have answered. */
static void conclude(struct doctor *d, const char *check, const char *server, const char *over, const struct answers *a,
                     const char *said) {
  bool several = a->right + a->wrong + a->unreached > 1;
  if (!a->right) {
    add_finding(d, check, FAIL, a->remedy ? a->remedy : "", "%s%s: %s", server, over, several ? a->why : a->last);
  } else if (a->wrong) {
    add_finding(d, check, WARN, "let it answer at every address of its name, or take the address out of DNS",
                "%s at %s %s; but %s", server, a->where, said, a->why);
  } else {
    add_finding(d, check, FINE, "", "%s%s%s %s%s%s%s", server, several ? " at " : "", several ? a->where : "", said,
                a->unreached ? " (not asked: " : "", a->unreached ? a->why : "", a->unreached ? ")" : "");
  }
  check_certificate(d, server, a);
}

/* Makes a target of one address of a name. */
static int only(const struct turn_address *address, const struct turn_target *name, const char *default_port,
                struct turn_target *out) {
  *out = *name;
  snprintf(out->port, sizeof out->port, "%s", *name->port ? name->port : default_port);
  return getnameinfo((const struct sockaddr *)&address->addr, address->len, out->host, sizeof out->host, NULL, 0,
                     NI_NUMERICHOST);
}

/* Asks one address of a server as a user that does not exist. True: it lets anybody in, which is found already. */
static bool ask_server(struct doctor *d, const char *server, struct turn_probe_options *options,
                       struct turn_probe_report *r, struct answers *answers) {
  const char *protocol = turn_protocol_name(options->protocol);
  turn_probe(options, r);
  const struct turn_probe_step *last = r->count ? &r->steps[r->count - 1] : NULL;
  if (r->ok || (last && r->outcome == TURN_OK && !strcmp(last->name, "challenge"))) {
    add_finding(d, "server", FAIL, "switch lt-cred-mech and the module on, at once",
                "%s at %s over %s lets anybody in, %s", server, r->server, protocol,
                r->ok ? "it took a user that does not exist" : "without any credential: it is an open relay");
    return true;
  }
  if (r->code == 401) {
    note_answer(answers, r->server, r->certificate_until);
  } else {
    note_fault(answers, r->server, last ? last->detail : "", r->io,
               r->code ? turn_error_text(r->code)->remedy : "see whether it runs and the port is open");
  }
  return false;
}

/* Checks that the server challenges an Allocate of a user that does not exist, and refuses it. */
static void check_server(struct doctor *d, const char *server, enum turn_protocol protocol, const char *ca_file) {
  struct turn_probe_options options = {
      .protocol = protocol, .tls = {.ca_file = ca_file}, .allocate_only = true, .timeout_ms = PROBE_TIMEOUT_MS};
  struct turn_probe_report *report = calloc(1, sizeof *report);
  struct answers answers = {0};
  struct turn_target name;
  struct turn_addresses found;
  char text[512], said[800] = "";
  if (!report || turn_target_parse(server, &name, text, sizeof text)) {
    free(report);
    return;
  }
  if (name.is_uri) {
    options.protocol = name.protocol;
  }
  bool stream = turn_protocol_is_stream(options.protocol);
  const char *port = options.protocol == TURN_TLS || options.protocol == TURN_DTLS ? "5349" : "3478";
  snprintf(options.credential.username, sizeof options.credential.username, "turncredctl-doctor");
  snprintf(options.credential.password, sizeof options.credential.password, "none");
  options.tls.name = name.host;
  if (turn_target_resolve(&name, port, AF_UNSPEC, stream ? SOCK_STREAM : SOCK_DGRAM, &found, text, sizeof text)) {
    add_finding(d, "server", FAIL, "see whether the name is right and DNS knows it", "%s: %s", server, text);
    free(report);
    return;
  }
  bool open = false;
  for (size_t i = 0; i < found.count; i++) {
    if (!only(&found.list[i], &name, port, &options.server)) {
      open |= ask_server(d, server, &options, report, &answers);
    }
    if (report->code == 401) {
      snprintf(said, sizeof said, "answers over %s for realm \"%s\"%s%s, and refuses users without a credential",
               turn_protocol_name(options.protocol), report->realm,
               report->offers_tokens ? " and offers tokens for " : "", report->server_name);
    }
  }
  if (!open) {
    snprintf(text, sizeof text, " over %s", turn_protocol_name(options.protocol));
    conclude(d, "server", server, text, &answers, said);
  }
  free(report);
}

static void check_issuer(struct doctor *d, const char *server, const char *ca_file) {
  struct answers answers = {0};
  struct turn_target name;
  struct turn_addresses found;
  char text[512];
  if (turn_target_parse(server, &name, text, sizeof text)) {
    return;
  }
  if (turn_target_resolve(&name, "443", AF_UNSPEC, SOCK_STREAM, &found, text, sizeof text)) {
    add_finding(d, "issuer", FAIL, "see whether the name is right and DNS knows it", "%s: %s", server, text);
    return;
  }
  for (size_t i = 0; i < found.count; i++) {
    struct readyz r = {0};
    char address[64];
    stun_address_text((struct sockaddr *)&found.list[i].addr, address, sizeof address);
    int err = readyz(&found.list[i], name.host, ca_file, PROBE_TIMEOUT_MS, &r, text, sizeof text);
    answers.certificate_fault = r.certificate_fault ? r.certificate_fault : answers.certificate_fault;
    if (!err && r.status == 200) {
      note_answer(&answers, address, r.certificate_until);
      continue;
    }
    if (!err) {
      snprintf(text, sizeof text, "it answers %d to GET /readyz", r.status);
      answers.certificate_until = r.certificate_until;
    }
    note_fault(&answers, address, text, err,
               err ? "see whether turncredd runs and the port is open" : "see its log, which says what it lacks");
  }
  conclude(d, "issuer", server, "", &answers, "is ready");
}

/* Reads every use of an option; tls: it means TLS. */
static enum ctl_exit check_option(const struct ctl *ctl, const char *option, const char *scheme, bool tls) {
  const char *server;
  char text[512];
  for (size_t i = 0; (server = ctl_get_nth(ctl, option, i)); i++) {
    struct turn_target target;
    if (turn_target_parse(server, &target, text, sizeof text)) {
      return ctl_fail(ctl, CTL_USAGE, "--%s: %s", option, text);
    }
    bool https = !strncasecmp(server, "https:", 6);
    bool secure = target.protocol == TURN_TLS || target.protocol == TURN_DTLS;
    if (target.is_uri && (https != !strcmp(scheme, "https") || (tls && !secure))) {
      return ctl_fail(ctl, CTL_USAGE, "--%s %s: write HOST, HOST:PORT or a URI of %s:", option, server, scheme);
    }
  }
  return CTL_OK;
}

enum ctl_exit doctor_check_options(const struct ctl *ctl) {
  enum ctl_exit rc = check_option(ctl, "server", "turn", false);
  if (!rc) {
    rc = check_option(ctl, "tls-server", "turns", true);
  }
  return rc ? rc : check_option(ctl, "issuer", "https", false);
}

void doctor_check_servers(const struct ctl *ctl, struct doctor *d) {
  const char *server, *ca_file = ctl_get(ctl, "ca-file");
  for (size_t i = 0; (server = ctl_get_nth(ctl, "server", i)); i++) {
    check_server(d, server, TURN_UDP, ca_file);
  }
  for (size_t i = 0; (server = ctl_get_nth(ctl, "tls-server", i)); i++) {
    check_server(d, server, TURN_TLS, ca_file);
  }
  for (size_t i = 0; (server = ctl_get_nth(ctl, "issuer", i)); i++) {
    check_issuer(d, server, ca_file);
  }
}
