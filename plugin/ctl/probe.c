/*
 * probe.c - turncredctl probe: a TURN client against a server, and how far it got
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "ctl.h"

#include "probe_credential.h"
#include "turn/error_text.h"
#include "turn/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static json_t *steps_json(const struct turn_probe_report *r) {
  json_t *steps = json_array();
  for (size_t i = 0; i < r->count; i++) {
    const struct turn_probe_step *s = &r->steps[i];
    json_t *one =
        json_pack("{s:s, s:b, s:f, s:i, s:o}", "step", s->name, "ok", s->ok, "ms", (double)s->us / 1000,
                  "retransmissions", (int)s->retransmissions, "detail", json_stringn(s->detail, strlen(s->detail)));
    if (s->passed_over) {
      json_object_set_new(one, "passed_over", json_true());
    }
    if (s->code) {
      json_object_set_new(one, "code", json_integer(s->code));
    }
    json_array_append_new(steps, one);
  }
  return steps;
}

static json_t *error_json(const struct turn_probe_report *r) {
  const struct turn_error_text *text = turn_error_text(r->code);
  return r->code ? json_pack("{s:i, s:s, s:s}", "code", (int)r->code, "meaning", text->meaning, "remedy", text->remedy)
                 : json_null();
}

static enum ctl_exit print_json(const struct ctl *ctl, const struct turn_probe_report *r, bool verdict,
                                const char *protocol) {
  char transport[8];
  snprintf(transport, sizeof transport, "%s", protocol);
  for (char *c = transport; *c; c++) {
    *c |= 0x20; /* to lower case, as on the command line */
  }
  json_t *all =
      json_pack("{s:b, s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o}", "ok", verdict,
                "allocated", r->relayed[0] != 0, "server", r->server, "transport", transport, "realm", r->realm,
                "server_name", r->server_name, "relayed", r->relayed, "mapped", r->mapped, "offers_tokens",
                r->offers_tokens, "peer", r->peer, "software", r->software, "lifetime", (json_int_t)r->lifetime,
                "refreshes", (json_int_t)r->refreshes, "datagrams_sent", (json_int_t)r->sent, "datagrams_received",
                (json_int_t)r->received, "error", error_json(r), "steps", steps_json(r));
  if (r->certificate_until) {
    json_object_set_new(all, "certificate_until", json_integer(r->certificate_until));
  }
  return ctl_print_record(ctl, all, NULL);
}

static enum ctl_exit print_table(const struct ctl *ctl, const struct turn_probe_report *r) {
  json_t *list = json_array();
  static const struct ctl_column columns[] = {
      {"step", "STEP", CTL_TEXT},     {"result", "RESULT", CTL_TEXT}, {"ms", "MS", CTL_TEXT},
      {"detail", "DETAIL", CTL_TEXT}, {NULL, NULL, CTL_TEXT},
  };
  for (size_t i = 0; i < r->count; i++) {
    const struct turn_probe_step *s = &r->steps[i];
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:f, s:o}", "step", s->name, "result",
                                    s->ok            ? "ok"
                                    : s->passed_over ? "passed over"
                                                     : "FAILED",
                                    "ms", (double)s->us / 1000, "detail", json_stringn(s->detail, strlen(s->detail))));
  }
  return ctl_print_list(ctl, list, columns);
}

/* The exit code, and on standard error why the probe failed. expected: the STUN error that the user
 * expects; 0: none. */
static enum ctl_exit conclude(const struct ctl *ctl, const struct turn_probe_report *r, int64_t expected) {
  const struct turn_probe_step *last = r->count ? &r->steps[r->count - 1] : NULL;
  const struct turn_error_text *text = turn_error_text(r->code);
  if (expected) {
    if ((int64_t)r->code == expected && !r->ok) {
      return CTL_OK;
    }
    return ctl_fail(ctl, CTL_PROBE, "expected error %lld, but %s%s", (long long)expected,
                    r->ok ? "every step succeeded" : "the probe got: ", r->ok || !last ? "" : last->detail);
  }
  if (r->ok) {
    return CTL_OK;
  }
  if (r->code) {
    return ctl_fail(ctl, CTL_PROBE, "step %s failed with %u: %s\n  remedy: %s", last ? last->name : "?", r->code,
                    text->meaning, text->remedy);
  }
  return ctl_fail(ctl, CTL_PROBE, "step %s failed: %s", last ? last->name : "?", last ? last->detail : "");
}

static bool find_protocol(const char *name, enum turn_protocol *out) {
  for (enum turn_protocol p = TURN_UDP; p <= TURN_TLS; p++) {
    *out = p;
    if (!strcasecmp(turn_protocol_name(p), name)) {
      return true;
    }
  }
  return false;
}

/* Reads an option that names addresses; without the option nothing happens. */
static enum ctl_exit read_target(const struct ctl *ctl, const char *option, struct turn_target *out) {
  const char *text = ctl_get(ctl, option);
  char error[512];
  if (text && turn_target_parse(text, out, error, sizeof error)) {
    return ctl_fail(ctl, CTL_USAGE, "--%s: %s", option, error);
  }
  if (text && out->is_uri && strcmp(option, "server")) {
    return ctl_fail(ctl, CTL_USAGE, "--%s: write ADDRESS or ADDRESS:PORT", option);
  }
  return CTL_OK;
}

/* Reads --server, --transport, --peer-address, --local-address. A URI says the transport, too. */
static enum ctl_exit read_targets(const struct ctl *ctl, struct turn_probe_options *o) {
  const char *transport = ctl_get(ctl, "transport");
  enum ctl_exit rc = read_target(ctl, "server", &o->server);
  if (!rc) {
    rc = read_target(ctl, "peer-address", &o->peer);
  }
  if (!rc) {
    rc = read_target(ctl, "local-address", &o->local);
  }
  if (rc) {
    return rc;
  }
  o->protocol = o->server.is_uri ? o->server.protocol : TURN_UDP;
  if (transport && !find_protocol(transport, &o->protocol)) {
    return ctl_fail(ctl, CTL_USAGE, "--transport: \"%s\" is not one of udp, tcp, dtls, tls", transport);
  }
  if (o->server.is_uri && o->protocol != o->server.protocol) {
    return ctl_fail(ctl, CTL_USAGE, "--transport %s: the URI in --server says %s", transport,
                    turn_protocol_name(o->server.protocol));
  }
  return CTL_OK;
}

static enum ctl_exit read_options(const struct ctl *ctl, struct turn_probe_options *o) {
  const char *family = ctl_get(ctl, "family");
  int64_t count = 1, bytes = 100, keep = 0, refresh = 0, lifetime = 0, timeout = 0;
  if (family && strcmp(family, "4") && strcmp(family, "6")) {
    return ctl_fail(ctl, CTL_USAGE, "--family: \"%s\" is not one of 4, 6", family);
  }
  enum ctl_exit rc = read_targets(ctl, o);
  if (!rc) {
    rc = ctl_get_int(ctl, "count", 1, 1000000, &count);
  }
  if (!rc) {
    rc = ctl_get_int(ctl, "data-bytes", 4, 1400, &bytes);
  }
  if (!rc) {
    rc = ctl_get_duration(ctl, "keep", 0, 31536000, &keep);
  }
  if (!rc) {
    rc = ctl_get_duration(ctl, "refresh-every", 1, 86400, &refresh);
  }
  if (!rc) {
    rc = ctl_get_duration(ctl, "lifetime", 1, UINT32_MAX, &lifetime);
  }
  if (!rc) {
    rc = ctl_get_duration(ctl, "timeout", 1, 3600, &timeout);
  }
  if (rc) {
    return rc;
  }
  o->tls.name = ctl_get(ctl, "tls-name");
  o->tls.ca_file = ctl_get(ctl, "ca-file");
  o->tls.insecure = ctl_has(ctl, "insecure");
  o->eager = ctl_has(ctl, "eager");
  o->announce = ctl_has(ctl, "announce");
  o->origin = ctl_get(ctl, "origin");
  o->allocate_only = ctl_has(ctl, "allocate-only");
  o->family = family ? *family == '6' ? AF_INET6 : AF_INET : AF_UNSPEC;
  o->count = (uint32_t)count;
  o->data_bytes = (uint32_t)bytes;
  o->keep_seconds = (uint32_t)keep;
  o->refresh_seconds = (uint32_t)refresh;
  o->lifetime = (uint32_t)lifetime;
  o->timeout_ms = (uint32_t)timeout * 1000;
  if (o->origin && strlen(o->origin) > 255) {
    return ctl_fail(ctl, CTL_USAGE, "--origin: at most 255 octets");
  }
  if (keep && o->allocate_only) {
    return ctl_fail(ctl, CTL_USAGE, "--keep relays data and does not go with --allocate-only");
  }
  return CTL_OK;
}

enum ctl_exit cmd_probe(struct ctl *ctl) {
  struct turn_probe_options options = {0};
  struct turn_credential renew = {0};
  int64_t expected = 0;
  enum ctl_exit rc = ctl_get_int(ctl, "expect-error", 300, 699, &expected);
  if (!rc) {
    rc = read_options(ctl, &options);
  }
  if (!rc) {
    rc = probe_credential_from_options(ctl, &options.credential);
  }
  if (!rc && options.eager && !options.credential.is_token) {
    rc = ctl_fail(ctl, CTL_USAGE, "--eager needs a token; this credential is not one");
  }
  if (!rc && ctl_has(ctl, "renew")) {
    rc = probe_credential_from_json(ctl, "--renew", ctl_get(ctl, "renew"), &renew);
    options.renew = &renew;
  }
  struct turn_probe_report *report = rc ? NULL : calloc(1, sizeof *report);
  if (!rc && !report) {
    rc = ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  if (report) {
    turn_probe(&options, report);
    bool verdict = expected ? !report->ok && (int64_t)report->code == expected : report->ok;
    rc = ctl->json ? print_json(ctl, report, verdict, turn_protocol_name(options.protocol)) : print_table(ctl, report);
    if (!rc) {
      rc = conclude(ctl, report, expected);
    }
    free(report);
  }
  turn_credential_clear(&options.credential);
  turn_credential_clear(&renew);
  return rc;
}
