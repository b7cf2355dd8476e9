/*
 * usage_entry.c - records of usage as JSON
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/utf8.h"
#include "usage.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct out {
  char *text;
  size_t len, cap;
};

static void add(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct out *out, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(out->text + out->len, out->cap - out->len, format, args);
  va_end(args);
  if (n > 0) {
    out->len = out->len + (size_t)n < out->cap ? out->len + (size_t)n : out->cap - 1;
  }
}

/* A member whose value is a text: what is no UTF-8 becomes question marks. Nothing is written for "". */
static void add_text(struct out *out, const char *name, const char *text) {
  size_t len = strlen(text);
  if (!len) {
    return;
  }
  add(out, ",\"%s\":\"", name);
  while (len) {
    uint32_t code;
    size_t n = utf8_next(text, len, &code);
    if (!n) {
      add(out, "?");
      n = 1;
    } else if (code < 0x20 || code == '"' || code == '\\') {
      add(out, "\\u%04x", (unsigned)code);
    } else {
      add(out, "%.*s", (int)n, text);
    }
    text += n;
    len -= n;
  }
  add(out, "\"");
}

static void add_traffic(struct out *out, const struct coturn_auth_traffic *t) {
  add(out, ",\"c\":[%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]",
      t->received_bytes, t->sent_bytes, t->received_packets, t->sent_packets, t->peer_received_bytes,
      t->peer_sent_bytes, t->peer_received_packets, t->peer_sent_packets);
}

static void add_session(struct out *out, const struct usage *usage, const struct usage_record *r) {
  static const char *const mechanisms[] = {"", "token", "derived", "rest", "pushed"};
  static const char *const transports[] = {"", "udp", "tcp", "tls", "dtls"};
  add(out, ",\"l\":%" PRId64 ",\"n\":%" PRIu64 ",\"t\":%" PRId64, usage->life_us, r->session, r->started_us);
  add_text(out, "realm", r->realm->name);
  add_text(out, "m", mechanisms[r->mechanism]);
  add_text(out, "tr", r->transport < sizeof transports / sizeof *transports ? transports[r->transport] : "");
  add_text(out, "h", r->hash);
  add_text(out, "sub", r->user);
  add_text(out, "fp", r->fingerprint);
  add_text(out, "kid", r->kid);
  add_text(out, "ca", r->client);
  add_text(out, "ra", r->relayed);
}

size_t usage_start_entry(const struct usage *usage, const struct usage_record *r, char text[JOURNAL_ENTRY_MAX]) {
  struct out out = {text, 0, JOURNAL_ENTRY_MAX};
  add(&out, "\"e\":\"start\"");
  add_session(&out, usage, r);
  add(&out, "}");
  return out.len;
}

size_t usage_end_entry(const struct usage *usage, const struct usage_record *r, char text[JOURNAL_ENTRY_MAX]) {
  struct out out = {text, 0, JOURNAL_ENTRY_MAX};
  add(&out, "\"e\":\"end\",\"u\":%" PRId64, r->seen_us);
  add_session(&out, usage, r);
  add_text(&out, "why", r->why);
  add_traffic(&out, &r->traffic);
  add(&out, "}");
  return out.len;
}

size_t usage_begin_entry(const struct usage *usage, char text[JOURNAL_ENTRY_MAX]) {
  return (size_t)snprintf(text, JOURNAL_ENTRY_MAX, "\"e\":\"begin\",\"l\":%" PRId64 "}", usage->life_us);
}

size_t usage_report_entry(const struct usage_report *report, char *text, size_t cap) {
  struct out out = {text, 0, cap};
  add(&out, "{\"n\":%" PRIu64 ",\"t\":%" PRId64, report->session, report->seen_us);
  add_text(&out, "ca", report->client);
  add_traffic(&out, &report->traffic);
  add(&out, "}");
  return out.len;
}
