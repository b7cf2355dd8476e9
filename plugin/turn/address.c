/*
 * address.c - transport addresses: XOR-*-ADDRESS attributes (RFC 8489 14.2) and their text
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "stun.h"

#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* Masks an address, or unmasks it, with the cookie and the transaction id of a header, where one stands
 * behind the other. */
static void mask(uint8_t *address, size_t len, const uint8_t *header) {
  for (size_t i = 0; i < len; i++) {
    address[i] ^= header[4 + i];
  }
}

int stun_add_xor_address(struct stun_writer *w, unsigned type, const struct sockaddr *addr) {
  uint8_t value[20] = {0};
  if (w->err) {
    return w->err;
  }
  if (addr->sa_family == AF_INET) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
    value[1] = 1;
    wire_put16(value + 2, ntohs(in->sin_port) ^ (STUN_MAGIC >> 16));
    memcpy(value + 4, &in->sin_addr, 4);
    mask(value + 4, 4, w->buf);
    return stun_add(w, type, value, 8);
  }
  if (addr->sa_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
    value[1] = 2;
    wire_put16(value + 2, ntohs(in6->sin6_port) ^ (STUN_MAGIC >> 16));
    memcpy(value + 4, &in6->sin6_addr, 16);
    mask(value + 4, 16, w->buf);
    return stun_add(w, type, value, 20);
  }
  return w->err = EINVAL;
}

int stun_get_xor_address(const struct stun_message *msg, unsigned type, struct sockaddr_storage *addr,
                         socklen_t *addr_len) {
  struct stun_attr attr;
  int err = stun_find(msg, type, &attr);
  if (err) {
    return err;
  }
  if (attr.len < 8) {
    return EBADMSG;
  }
  uint8_t octets[16];
  uint16_t port = htons((uint16_t)(wire_get16(attr.value + 2) ^ (STUN_MAGIC >> 16)));
  memset(addr, 0, sizeof *addr);
  if (attr.value[1] == 1 && attr.len == 8) {
    struct sockaddr_in *in = (struct sockaddr_in *)addr;
    memcpy(octets, attr.value + 4, 4);
    mask(octets, 4, msg->raw);
    in->sin_family = AF_INET;
    in->sin_port = port;
    memcpy(&in->sin_addr, octets, 4);
    *addr_len = sizeof *in;
    return 0;
  }
  if (attr.value[1] == 2 && attr.len == 20) {
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)addr;
    memcpy(octets, attr.value + 4, 16);
    mask(octets, 16, msg->raw);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = port;
    memcpy(&in6->sin6_addr, octets, 16);
    *addr_len = sizeof *in6;
    return 0;
  }
  return EBADMSG;
}

char *stun_address_text(const struct sockaddr *addr, char *out, size_t cap) {
  char host[INET6_ADDRSTRLEN] = "?";
  if (addr->sa_family == AF_INET) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
    inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
    snprintf(out, cap, "%s:%u", host, ntohs(in->sin_port));
  } else if (addr->sa_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
    inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
    snprintf(out, cap, "[%s]:%u", host, ntohs(in6->sin6_port));
  } else {
    snprintf(out, cap, "?");
  }
  return out;
}

bool stun_address_equal(const struct sockaddr *a, const struct sockaddr *b) {
  if (a->sa_family != b->sa_family) {
    return false;
  }
  if (a->sa_family == AF_INET) {
    const struct sockaddr_in *x = (const struct sockaddr_in *)a;
    const struct sockaddr_in *y = (const struct sockaddr_in *)b;
    return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
  }
  if (a->sa_family == AF_INET6) {
    const struct sockaddr_in6 *x = (const struct sockaddr_in6 *)a;
    const struct sockaddr_in6 *y = (const struct sockaddr_in6 *)b;
    return x->sin6_port == y->sin6_port && !memcmp(&x->sin6_addr, &y->sin6_addr, 16);
  }
  return false;
}
