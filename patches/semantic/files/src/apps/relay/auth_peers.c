/*
 * auth_peers.c - peer addresses that the module denies, to all or to a realm
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_private.h"

#define DENIED_PEERS_MAX (64)
#define FORMS_MAX (4)

static ioa_addr denied_peers[DENIED_PEERS_MAX]; /* the one that was named last is the last */
static size_t denied_peers_number = 0;
static pthread_mutex_t denied_peers_mutex = PTHREAD_MUTEX_INITIALIZER;

/* IPv6 addresses that stand for an IPv4 host. coturn's own checks know some of them in some
 * versions; the module's list holds in all. */
static const struct {
  uint8_t octets[12];
  uint16_t counts; /* which of the octets count: bit 0 for the first */
  uint8_t at;      /* where the IPv4 address is */
  uint8_t mask;    /* XORed with it */
} ipv4_forms[] = {
    {{[10] = 0xff, [11] = 0xff}, 0xfff, 12, 0},                         /* IPv4-mapped */
    {{0}, 0xfff, 12, 0},                                                /* IPv4-compatible */
    {{[8] = 0xff, [9] = 0xff}, 0xfff, 12, 0},                           /* IPv4-translated */
    {{0x00, 0x64, 0xff, 0x9b}, 0xfff, 12, 0},                           /* NAT64 */
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 0xf3f, 12, 0},               /* NAT64 for local use */
    {{0x20, 0x02}, 0x003, 2, 0},                                        /* 6to4 */
    {{0x20, 0x01}, 0x00f, 12, 0xff},                                    /* Teredo */
    {{[8] = 0x00, [9] = 0x00, [10] = 0x5e, [11] = 0xfe}, 0xf00, 12, 0}, /* ISATAP */
    {{[8] = 0x02, [9] = 0x00, [10] = 0x5e, [11] = 0xfe}, 0xf00, 12, 0}, /* ISATAP, global */
};

static int has_form(const uint8_t *u, size_t form) {
  size_t i;
  for (i = 0; i < sizeof(ipv4_forms[form].octets); ++i) {
    if ((ipv4_forms[form].counts >> i & 1) && u[i] != ipv4_forms[form].octets[i]) {
      return 0;
    }
  }
  return 1;
}

/* addr itself and the IPv4 addresses that it stands for; how many. */
static size_t forms_of(const ioa_addr *addr, ioa_addr forms[FORMS_MAX]) {
  const uint8_t *u = (const uint8_t *)&addr->s6.sin6_addr;
  size_t f, i, n = 0;
  addr_cpy(&forms[n++], addr);
  if (addr->ss.sa_family != AF_INET6 || IN6_IS_ADDR_UNSPECIFIED(&addr->s6.sin6_addr) ||
      IN6_IS_ADDR_LOOPBACK(&addr->s6.sin6_addr)) {
    return n;
  }
  for (f = 0; f < sizeof(ipv4_forms) / sizeof(ipv4_forms[0]) && n < FORMS_MAX; ++f) {
    uint8_t v4[4];
    if (!has_form(u, f)) {
      continue;
    }
    for (i = 0; i < sizeof(v4); ++i) {
      v4[i] = u[ipv4_forms[f].at + i] ^ ipv4_forms[f].mask;
    }
    memset(&forms[n], 0, sizeof(forms[n]));
    forms[n].s4.sin_family = AF_INET;
    memcpy(&forms[n++].s4.sin_addr, v4, sizeof(v4));
  }
  return n;
}

/* Its place in the list, or denied_peers_number; under the mutex. */
static size_t find_denied(const ioa_addr *addr) {
  size_t i;
  for (i = 0; i < denied_peers_number && !addr_eq_no_port(&denied_peers[i], addr); ++i)
    ;
  return i;
}

static int is_denied(const ioa_addr *addr) {
  int ret;
  pthread_mutex_lock(&denied_peers_mutex);
  ret = find_denied(addr) < denied_peers_number;
  pthread_mutex_unlock(&denied_peers_mutex);
  return ret;
}

/* What the module says of one form of the address. */
static int refuses(const char *realm, const ioa_addr *addr) {
  struct coturn_auth_peer peer = {COTURN_AUTH_HEADER(struct coturn_auth_peer), realm ? realm : "",
                                  (const struct sockaddr *)addr};
  int ok;
  if (!auth_module.check_peer || auth_module_options.observe) {
    return 0;
  }
  if (auth_module_enter()) {
    return 1; /* the server is about to end */
  }
  ok = auth_module.check_peer(auth_module_state, &peer);
  auth_module_leave();
  return ok != 1;
}

int auth_denied_peer(const char *realm, const ioa_addr *addr) {
  ioa_addr forms[FORMS_MAX];
  size_t i, n = forms_of(addr, forms);
  /* a mapped address is its IPv4 address, and nothing else */
  size_t first = n > 1 && IN6_IS_ADDR_V4MAPPED(&addr->s6.sin6_addr) ? 1 : 0;
  char saddr[129], name[129], line[400];
  for (i = 0; i < n && !is_denied(&forms[i]); ++i)
    ;
  if (i == n) {
    for (i = first; i < n && !refuses(realm, &forms[i]); ++i)
      ;
  }
  if (i == n) {
    return 0;
  }
  addr_to_string_no_port(addr, (uint8_t *)saddr);
  auth_escape(name, sizeof(name), realm ? realm : "");
  snprintf(line, sizeof(line), "A peer IP %s denied by the authentication module, realm=\"%s\"", saddr, name);
  auth_report_line(TURN_LOG_LEVEL_ERROR, line);
  return 1;
}

/* Makes it the last of the list; if that is full, the first gives way. Under the mutex. */
static void add_denied(const ioa_addr *addr) {
  size_t i = find_denied(addr);
  if (i == denied_peers_number && i < DENIED_PEERS_MAX) {
    ++denied_peers_number;
  } else {
    i = i == denied_peers_number ? 0 : i;
    memmove(&denied_peers[i], &denied_peers[i + 1], (denied_peers_number - 1 - i) * sizeof(*denied_peers));
  }
  addr_cpy(&denied_peers[denied_peers_number - 1], addr);
}

int auth_deny_peer(const struct sockaddr *addr) {
  ioa_addr a, forms[FORMS_MAX];
  size_t i, n;
  memset(&a, 0, sizeof(a));
  if (!addr) {
    return -1;
  }
  if (addr->sa_family == AF_INET) {
    memcpy(&a.s4, addr, sizeof(a.s4));
  } else if (addr->sa_family == AF_INET6) {
    memcpy(&a.s6, addr, sizeof(a.s6));
  } else {
    return -1;
  }
  n = forms_of(&a, forms);
  pthread_mutex_lock(&denied_peers_mutex);
  for (i = 0; i < n; ++i) {
    add_denied(&forms[i]);
  }
  pthread_mutex_unlock(&denied_peers_mutex);
  return 0;
}

void auth_peers_status(coturn_auth_status_fn emit, void *arg) {
  ioa_addr peers[DENIED_PEERS_MAX];
  size_t i, n;
  pthread_mutex_lock(&denied_peers_mutex);
  n = denied_peers_number;
  memcpy(peers, denied_peers, n * sizeof(*peers));
  pthread_mutex_unlock(&denied_peers_mutex);
  for (i = 0; i < n; ++i) {
    char saddr[129];
    addr_to_string_no_port(&peers[i], (uint8_t *)saddr);
    emit("denied peer", saddr, arg);
  }
}
