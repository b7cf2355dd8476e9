/*
 * probe.c - does everything that a TURN client can do, step by step, and reports on each step
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "probe.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHANNEL 0x4001
#define DATA_TRIES 4         /* a datagram is sent so often: UDP may lose one on a healthy way, too */
#define DATA_WAIT_MS 1000    /* for each try */
#define KEEP_DATA_MS 1000    /* between datagrams while the allocation is held */
#define ADDRESS_WAIT_MS 5000 /* for each address of a name but the last */
#define PORT_TRIES 3         /* other ports, where the first one was another client's a moment ago (437) */

struct probe {
  const struct turn_probe_options *options;
  struct turn_probe_report *report;
  struct turn_client client;
  struct turn_address remote; /* of the server */
  int peer_fd;
  struct sockaddr_storage peer, relayed;
  struct sockaddr_storage answer_to; /* the address from which the peer gets relayed datagrams */
  socklen_t peer_len;
  int64_t started; /* of the step in progress, us */
  uint32_t sequence;
};

static bool step(struct probe *p, const char *name, bool ok, const struct turn_answer *answer, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Adds a step to the report; returns ok. */
static bool step(struct probe *p, const char *name, bool ok, const struct turn_answer *answer, const char *format,
                 ...) {
  struct turn_probe_report *r = p->report;
  if (r->count < TURN_PROBE_STEPS) {
    struct turn_probe_step *s = &r->steps[r->count++];
    va_list args;
    memset(s, 0, sizeof *s);
    snprintf(s->name, sizeof s->name, "%s", name);
    s->ok = ok;
    s->us = clock_us() - p->started;
    s->code = answer ? answer->code : 0;
    s->retransmissions = answer ? answer->retransmissions : 0;
    va_start(args, format);
    vsnprintf(s->detail, sizeof s->detail, format, args);
    va_end(args);
  }
  if (!ok && answer) {
    r->code = answer->code;
    r->outcome = answer->outcome;
    r->io = answer->io;
  } else if (!ok) {
    r->outcome = TURN_IO;
  }
  p->started = clock_us();
  return ok;
}

/* Adds a step that failed, with a text that explains the answer. */
static bool failed(struct probe *p, const char *name, const struct turn_answer *a) {
  switch (a->outcome) {
  case TURN_STUN_ERROR:
    return step(p, name, false, a, "%u %s%s%s", a->code, a->reason, a->unknown[0] ? ": " : "", a->unknown);
  case TURN_TIMEOUT:
    return step(p, name, false, a,
                "no answer (%u retransmissions): nothing listens there, a firewall drops the "
                "packets, or the server drops them silently",
                a->retransmissions);
  case TURN_IO:
    return step(p, name, false, a, "%s", strerror(a->io));
  case TURN_INTEGRITY:
    return step(p, name, false, a,
                "%s: the server takes another key for its HMAC (stock coturn uses 16 of a token's 20 "
                "octets), or the packet was altered on its way",
                a->reason);
  case TURN_BAD_ANSWER:
  case TURN_OK:
    break;
  }
  return step(p, name, false, a, "unusable answer: %s", a->reason);
}

/* The last step has failed, but something else is tried. */
static void pass_over(struct probe *p) {
  struct turn_probe_report *r = p->report;
  r->steps[r->count - 1].passed_over = true;
  r->code = 0;
  r->outcome = TURN_OK;
  r->io = 0;
}

/* Connects to p->remote, in place of the transport that the client has. */
static bool open_transport(struct probe *p) {
  const struct turn_probe_options *o = p->options;
  struct turn_tls_options tls = o->tls;
  struct turn_addresses local = {0};
  struct turn_transport before = p->client.transport;
  int type = turn_protocol_is_stream(o->protocol) ? SOCK_STREAM : SOCK_DGRAM;
  char text[256], cipher[128] = "";
  stun_address_text((struct sockaddr *)&p->remote.addr, p->report->server, sizeof p->report->server);
  if (*o->local.host &&
      turn_target_resolve(&o->local, "0", p->remote.addr.ss_family, type, &local, text, sizeof text)) {
    return step(p, "connect", false, NULL, "%s from --local-address %s", p->report->server, text);
  }
  if (!tls.name) {
    tls.name = o->server.host;
  }
  int err = turn_transport_open(&p->client.transport, o->protocol, (struct sockaddr *)&p->remote.addr, p->remote.len,
                                local.count ? (struct sockaddr *)&local.list[0].addr : NULL, local.list[0].len, &tls,
                                clock_ms() + p->client.timeout_ms, text, sizeof text);
  turn_transport_close(&before); /* only now: its port is not to be had again */
  if (err) {
    step(p, "connect", false, NULL, "%s over %s: %s", p->report->server, turn_protocol_name(o->protocol), text);
    p->report->io = err;
    return false;
  }
  stun_address_text((struct sockaddr *)&p->client.transport.local, p->report->local, sizeof p->report->local);
  if (p->client.transport.tls) {
    turn_tls_describe(p->client.transport.tls, cipher, sizeof cipher);
    p->report->certificate_until = turn_tls_not_after(p->client.transport.tls);
  }
  return step(p, "connect", true, NULL, "%s to %s over %s%s%s", p->report->local, p->report->server,
              turn_protocol_name(o->protocol), *cipher ? ": " : "", cipher);
}

static void keep_challenge(struct probe *p) {
  struct turn_probe_report *r = p->report;
  memcpy(r->realm, p->client.realm, sizeof r->realm);
  memcpy(r->server_name, p->client.server_name, sizeof r->server_name);
  memcpy(r->software, p->client.software, sizeof r->software);
  r->offers_tokens = p->client.offers_tokens;
}

static bool challenge(struct probe *p) {
  struct turn_answer a;
  turn_challenge(&p->client, p->options->eager, p->options->announce, &a);
  keep_challenge(p);
  if (a.outcome == TURN_OK) {
    return step(p, "challenge", false, &a,
                "the server allocates without any credential: it is an open relay; switch "
                "lt-cred-mech on at once");
  }
  if (a.outcome != TURN_STUN_ERROR || a.code != 401) {
    return failed(p, "challenge", &a);
  }
  return step(p, "challenge", true, &a, "401, realm \"%s\"%s%s%s", p->client.realm,
              p->client.offers_tokens ? ", tokens for \"" : ", no tokens offered",
              p->client.offers_tokens ? p->client.server_name : "", p->client.offers_tokens ? "\"" : "");
}

/* Finds an address of the server that challenges. */
static bool reach(struct probe *p) {
  const struct turn_probe_options *o = p->options;
  struct turn_probe_report *r = p->report;
  bool secure = o->protocol == TURN_TLS || o->protocol == TURN_DTLS;
  uint32_t wait = p->client.timeout_ms;
  struct turn_addresses found;
  char text[256], all[sizeof r->steps[0].detail] = "";
  if (turn_target_resolve(&o->server, secure ? "5349" : "3478", AF_UNSPEC,
                          turn_protocol_is_stream(o->protocol) ? SOCK_STREAM : SOCK_DGRAM, &found, text, sizeof text)) {
    return step(p, "connect", false, NULL, "%s", text);
  }
  for (size_t i = 0; i < found.count; i++) {
    bool last = i + 1 == found.count;
    p->remote = found.list[i];
    p->client.timeout_ms = last || wait < ADDRESS_WAIT_MS ? wait : ADDRESS_WAIT_MS;
    bool connected = open_transport(p);
    bool ok = connected && challenge(p);
    p->client.timeout_ms = wait;
    if (ok || r->outcome == TURN_OK || found.count == 1) { /* challenged, or an open relay */
      return ok;
    }
    const struct turn_probe_step *s = &r->steps[r->count - 1];
    size_t len = strlen(all);
    snprintf(all + len, sizeof all - len, "%s%s%s%s", len ? "; " : "", connected ? r->server : "",
             connected ? ": " : "", s->detail);
    if (!last) {
      pass_over(p);
    }
  }
  snprintf(r->steps[r->count - 1].detail, sizeof r->steps[0].detail, "none of its %zu addresses answers: %.450s",
           found.count, all);
  return false;
}

/* The family to ask for: the one of --peer-address, if it has no IPv4. */
static int wanted_family(const struct turn_probe_options *o) {
  struct turn_addresses found;
  char text[256];
  if (o->family == AF_UNSPEC && *o->peer.host && !o->allocate_only &&
      turn_target_resolve(&o->peer, "0", AF_INET, SOCK_DGRAM, &found, text, sizeof text) &&
      !turn_target_resolve(&o->peer, "0", AF_INET6, SOCK_DGRAM, &found, text, sizeof text)) {
    return AF_INET6;
  }
  return o->family;
}

static bool allocate(struct probe *p) {
  struct turn_probe_report *r = p->report;
  struct turn_allocation allocation;
  struct turn_answer a;
  turn_allocate(&p->client, p->options->lifetime, wanted_family(p->options), &allocation, &a);
  if (a.outcome) {
    return failed(p, "allocate", &a);
  }
  p->relayed = allocation.relayed;
  r->lifetime = allocation.lifetime;
  stun_address_text((struct sockaddr *)&allocation.relayed, r->relayed, sizeof r->relayed);
  stun_address_text((struct sockaddr *)&allocation.mapped, r->mapped, sizeof r->mapped);
  return step(p, "allocate", true, &a, "relayed %s, mapped %s, %u s", r->relayed, r->mapped, r->lifetime);
}

static const char *family_name(int family) { return family == AF_INET6 ? "IPv6" : "IPv4"; }

/* The address of this host from which the relayed address is reached. 0 or an errno value. */
static int address_towards(const struct sockaddr_storage *to, struct sockaddr_storage *out, socklen_t *out_len) {
  socklen_t len = to->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  int fd = socket(to->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  *out_len = sizeof *out;
  int err = fd < 0 || connect(fd, (const struct sockaddr *)to, len) || getsockname(fd, (struct sockaddr *)out, out_len)
                ? errno
                : 0;
  if (fd >= 0) {
    close(fd);
  }
  return err;
}

/* Chooses the peer's address: its family is that of the relayed address, whichever way leads to the server. */
static bool choose_peer(struct probe *p) {
  const struct turn_probe_options *o = p->options;
  const char *family = family_name(p->relayed.ss_family);
  struct turn_addresses found;
  char text[256];
  if (*o->peer.host) {
    if (turn_target_resolve(&o->peer, "0", p->relayed.ss_family, SOCK_DGRAM, &found, text, sizeof text)) {
      return step(p, "peer", false, NULL, "--peer-address %s; the relayed address is %s: --family asks for the other",
                  text, family);
    }
    p->peer = found.list[0].addr;
    p->peer_len = found.list[0].len;
    return true;
  }
  p->peer = p->client.transport.local;
  p->peer_len = p->client.transport.local_len;
  int err = p->peer.ss_family == p->relayed.ss_family ? 0 : address_towards(&p->relayed, &p->peer, &p->peer_len);
  if (err) {
    return step(p, "peer", false, NULL,
                "this host reaches no relayed address of %s: %s; --family asks for the other family, --peer-address "
                "names a peer",
                family, strerror(err));
  }
  if (p->peer.ss_family == AF_INET) {
    ((struct sockaddr_in *)&p->peer)->sin_port = 0;
  } else {
    ((struct sockaddr_in6 *)&p->peer)->sin6_port = 0;
  }
  return true;
}

static bool open_peer(struct probe *p) {
  if (!choose_peer(p)) {
    return false;
  }
  p->peer_fd = socket(p->peer.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (p->peer_fd < 0 || bind(p->peer_fd, (struct sockaddr *)&p->peer, p->peer_len) ||
      getsockname(p->peer_fd, (struct sockaddr *)&p->peer, &p->peer_len)) {
    return step(p, "peer", false, NULL, "cannot open a UDP socket for the peer: %s", strerror(errno));
  }
  stun_address_text((struct sockaddr *)&p->peer, p->report->peer, sizeof p->report->peer);
  return step(p, "peer", true, NULL, "the UDP socket %s of the probe", p->report->peer);
}

/* Fills data with octets that no other datagram of this probe has. */
static void fill(struct probe *p, uint8_t *data) {
  uint32_t n = ++p->sequence;
  for (uint32_t i = 0; i < p->options->data_bytes; i++) {
    data[i] = i < 4 ? (uint8_t)(n >> (8 * i)) : (uint8_t)(n * 31 + i);
  }
}

/* Waits until the peer socket gets these octets. They come from the relayed address or, behind a NAT
 * (external-ip), from another one, to which the peer then answers. 0 or an errno value. */
static int peer_gets(struct probe *p, const uint8_t *data, int64_t deadline) {
  uint8_t got[STUN_MESSAGE_MAX];
  for (;;) {
    int64_t left = deadline - clock_ms();
    struct pollfd pfd = {.fd = p->peer_fd, .events = POLLIN};
    int n = poll(&pfd, 1, left > 0 ? (int)left : 0);
    if (n < 0 && errno != EINTR) {
      return errno;
    }
    if (n <= 0) {
      if (clock_ms() >= deadline) {
        return ETIMEDOUT;
      }
      continue;
    }
    struct sockaddr_storage from;
    socklen_t from_len = sizeof from;
    ssize_t len = recvfrom(p->peer_fd, got, sizeof got, 0, (struct sockaddr *)&from, &from_len);
    if (len != (ssize_t)p->options->data_bytes || memcmp(got, data, (size_t)len) != 0) {
      continue;
    }
    p->answer_to = from;
    if (!stun_address_equal((struct sockaddr *)&from, (struct sockaddr *)&p->relayed)) {
      stun_address_text((struct sockaddr *)&from, p->report->seen_as, sizeof p->report->seen_as);
    }
    return 0;
  }
}

static int client_gets(struct probe *p, uint16_t channel, const uint8_t *data, int64_t deadline) {
  for (;;) {
    int err = 0;
    struct turn_data *got = turn_receive(&p->client, deadline, &err);
    if (!got) {
      return err;
    }
    bool right = got->channel == channel && got->len == p->options->data_bytes &&
                 !memcmp(got->octets, data, got->len) &&
                 (channel || stun_address_equal((struct sockaddr *)&got->peer, (struct sockaddr *)&p->peer));
    free(got);
    if (right) {
      return 0;
    }
  }
}

/* Sends a datagram to the peer and one back. channel 0: in indications. 0, or an errno value; *back:
 * the datagram that was lost is the one on the way back. */
static int round_trip(struct probe *p, uint16_t channel, bool *back) {
  uint8_t data[STUN_MESSAGE_MAX];
  int err = ETIMEDOUT;
  *back = false;
  for (int i = 0; i < DATA_TRIES && err == ETIMEDOUT; i++) {
    fill(p, data);
    err = channel ? turn_channel_send(&p->client, channel, data, p->options->data_bytes)
                  : turn_send(&p->client, (struct sockaddr *)&p->peer, data, p->options->data_bytes);
    if (!err) {
      err = peer_gets(p, data, clock_ms() + DATA_WAIT_MS);
    }
    p->report->sent++;
  }
  if (err) {
    return err;
  }
  p->report->received++;
  *back = true;
  err = ETIMEDOUT;
  for (int i = 0; i < DATA_TRIES && err == ETIMEDOUT; i++) {
    fill(p, data);
    socklen_t len = p->answer_to.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (sendto(p->peer_fd, data, p->options->data_bytes, 0, (struct sockaddr *)&p->answer_to, len) < 0) {
      return errno;
    }
    err = client_gets(p, channel, data, clock_ms() + DATA_WAIT_MS);
    p->report->sent++;
  }
  if (!err) {
    p->report->received++;
  }
  return err;
}

static bool relay(struct probe *p, const char *name, uint16_t channel) {
  for (uint32_t i = 0; i < p->options->count; i++) {
    bool back = false;
    int err = round_trip(p, channel, &back);
    if (err) {
      return step(p, name, false, NULL, "datagram %u %s: %s", i + 1,
                  back ? "from the peer through the relay to the client" : "through the relay to the peer",
                  err == ETIMEDOUT ? "did not arrive; look at firewalls between relay and peer "
                                     "and at relay-ip and external-ip"
                                   : strerror(err));
    }
  }
  return step(p, name, true, NULL, "%u datagrams of %u octets to the peer and %u back%s%s", p->options->count,
              p->options->data_bytes, p->options->count, *p->report->seen_as ? "; the peer sees them come from " : "",
              p->report->seen_as);
}

static bool permission(struct probe *p) {
  struct turn_answer a;
  turn_create_permission(&p->client, (struct sockaddr *)&p->peer, &a);
  return a.outcome ? failed(p, "permission", &a) : step(p, "permission", true, &a, "for %s", p->report->peer);
}

static bool channel(struct probe *p) {
  struct turn_answer a;
  turn_channel_bind(&p->client, CHANNEL, (struct sockaddr *)&p->peer, &a);
  return a.outcome ? failed(p, "channel-bind", &a)
                   : step(p, "channel-bind", true, &a, "0x%04X for %s", CHANNEL, p->report->peer);
}

static bool refresh(struct probe *p, const char *name) {
  struct turn_answer a;
  uint32_t granted = 0;
  turn_refresh(&p->client, p->options->lifetime, p->options->lifetime != 0, &granted, &a);
  return a.outcome ? failed(p, name, &a) : step(p, name, true, &a, "%u s", granted);
}

/* Holds the allocation: sends a datagram each way every second, a Refresh in time, and every 4 minutes
 * the requests that keep permission and channel alive (RFC 8656 9 and 12). */
static bool keep(struct probe *p) {
  const struct turn_probe_options *o = p->options;
  int64_t begin = clock_ms(), end = begin + (int64_t)o->keep_seconds * 1000;
  int64_t permission_at = begin + 240000, refresh_at = begin;
  uint64_t sent = p->report->sent, received = p->report->received;
  uint32_t granted = p->report->lifetime;
  for (bool first = true; clock_ms() < end; first = false) {
    int64_t now = clock_ms();
    struct turn_answer a;
    bool back;
    if (!first && now >= refresh_at) {
      turn_refresh(&p->client, o->lifetime, o->lifetime != 0, &granted, &a);
      if (a.outcome) {
        return failed(p, "keep", &a);
      }
      p->report->refreshes++;
    }
    if (first || now >= refresh_at) {
      int64_t wait = o->refresh_seconds ? o->refresh_seconds * 1000LL : granted * 500LL;
      refresh_at = now + (wait < 1000 ? 1000 : wait);
    }
    if (now >= permission_at) {
      turn_create_permission(&p->client, (struct sockaddr *)&p->peer, &a);
      if (!a.outcome) {
        turn_channel_bind(&p->client, CHANNEL, (struct sockaddr *)&p->peer, &a);
      }
      if (a.outcome) {
        return failed(p, "keep", &a);
      }
      permission_at = now + 240000;
    }
    int err = round_trip(p, CHANNEL, &back);
    if (err && err != ETIMEDOUT) {
      return step(p, "keep", false, NULL, "after %.1f s: %s", (double)(now - begin) / 1000, strerror(err));
    }
    if (err) {
      /* the answer to a Refresh says why: 437 if the allocation is gone */
      turn_refresh(&p->client, o->lifetime, o->lifetime != 0, &granted, &a);
      if (a.outcome) {
        return failed(p, "keep", &a);
      }
      return step(p, "keep", false, NULL, "after %.1f s data no longer comes through", (double)(now - begin) / 1000);
    }
    int64_t next = now + KEEP_DATA_MS < end ? now + KEEP_DATA_MS : end;
    int64_t left = next - clock_ms();
    if (left > 0) {
      poll(NULL, 0, (int)left);
    }
  }
  return step(p, "keep", true, NULL, "%u s, %u refreshes, %llu of %llu datagrams arrived", o->keep_seconds,
              p->report->refreshes, (unsigned long long)(p->report->received - received),
              (unsigned long long)(p->report->sent - sent));
}

static bool release(struct probe *p) {
  struct turn_answer a;
  uint32_t granted = 0;
  turn_refresh(&p->client, 0, true, &granted, &a);
  if (a.outcome) {
    return failed(p, "release", &a);
  }
  return step(p, "release", granted == 0, &a, granted ? "the server kept the allocation for %u s" : "lifetime %u",
              granted);
}

static bool walk(struct probe *p) {
  const struct turn_probe_options *o = p->options;
  bool ok = reach(p) && allocate(p);
  for (int i = 0; !ok && i < PORT_TRIES && p->report->code == 437 && !*o->local.port; i++) {
    pass_over(p);
    /* at the address that has answered: the others would fill the report once more */
    ok = open_transport(p) && challenge(p) && allocate(p);
  }
  if (!ok) {
    return false;
  }
  if (!o->allocate_only) {
    ok = open_peer(p) && permission(p) && relay(p, "indications", 0) && channel(p) &&
         relay(p, "channel-data", CHANNEL) && refresh(p, "refresh");
  }
  if (ok && o->renew) {
    turn_client_credential(&p->client, o->renew);
    ok = refresh(p, "renew") && (o->allocate_only || relay(p, "after-renewal", CHANNEL));
  }
  if (ok && o->keep_seconds) {
    ok = keep(p);
  }
  if (ok) {
    return release(p);
  }
  /* end the allocation; the step that failed stays the verdict, whatever the server answers */
  struct turn_answer a;
  p->client.timeout_ms = 1000;
  turn_refresh(&p->client, 0, true, NULL, &a);
  return false;
}

/* Makes UTF-8 of a text that a server has sent, or that was cut in the middle of a character: other octets become '?'.
 */
static void make_utf8(char *text) {
  size_t len = strlen(text), n;
  uint32_t code;
  for (; len; text += n, len -= n) {
    if (!(n = utf8_next(text, len, &code))) {
      *text = '?';
      n = 1;
    }
  }
}

static void make_report_utf8(struct turn_probe_report *report) {
  make_utf8(report->realm);
  make_utf8(report->server_name);
  make_utf8(report->software);
  for (size_t i = 0; i < report->count; i++) {
    make_utf8(report->steps[i].detail);
  }
}

void turn_probe(const struct turn_probe_options *options, struct turn_probe_report *report) {
  struct probe p = {.options = options, .report = report, .peer_fd = -1};
  memset(report, 0, sizeof *report);
  p.started = clock_us();
  if (turn_client_init(&p.client, options->timeout_ms)) {
    step(&p, "connect", false, NULL, "out of memory");
    return;
  }
  p.client.origin = options->origin;
  turn_client_credential(&p.client, &options->credential);
  report->ok = walk(&p);
  keep_challenge(&p);
  make_report_utf8(report);
  if (p.peer_fd >= 0) {
    close(p.peer_fd);
  }
  turn_client_close(&p.client);
}
