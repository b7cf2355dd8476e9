/*
 * ip_range.c - networks of IP addresses, ADDRESS or ADDRESS/PREFIX
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "ip_range.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The prefix length in decimal, without leading zeros; -1: none. */
static int prefix_length(const char *text) {
  char *end;
  if (*text < '0' || *text > '9' || strlen(text) > 3 || (*text == '0' && text[1])) {
    return -1;
  }
  long bits = strtol(text, &end, 10);
  return *end ? -1 : (int)bits;
}

/* Clears the bits behind the prefix. True: one was set. */
static bool clear_rest(struct ip_range *range) {
  bool any = false;
  for (unsigned i = range->bits; i < range->size * 8U; i++) {
    uint8_t bit = (uint8_t)(0x80U >> (i % 8));
    any |= range->octets[i / 8] & bit;
    range->octets[i / 8] &= (uint8_t)~bit;
  }
  return any;
}

/* Splits the address from the prefix length. *bits is -1 if there is none. */
static int split(const char *text, char address[IP_TEXT], int *bits, char *err, size_t cap) {
  const char *slash = strchr(text, '/');
  size_t n = slash ? (size_t)(slash - text) : strlen(text);
  *bits = slash ? prefix_length(slash + 1) : -1;
  if (slash && *bits < 0) {
    snprintf(err, cap, "the prefix length behind / is a number of bits, such as 192.0.2.0/24");
    return -1;
  }
  if (strchr(text, '-') && strchr(text, '-') != text) {
    snprintf(err, cap, "write a range as networks, such as 192.0.2.0/24,198.51.100.7");
    return -1;
  }
  if (n >= IP_TEXT) {
    snprintf(err, cap, "not an IPv4 or IPv6 address");
    return -1;
  }
  memcpy(address, text, n);
  address[n] = '\0';
  return 0;
}

int ip_range_read(const char *text, struct ip_range *out, char *err, size_t cap) {
  char written[IP_TEXT], address[IP_TEXT];
  int bits;
  memset(out, 0, sizeof *out);
  if (split(text, written, &bits, err, cap) || ip_canonical(written, address, err, cap)) {
    return -1;
  }
  bool v6 = strchr(address, ':') != NULL, mapped = !v6 && strchr(written, ':');
  out->size = v6 ? 16 : 4;
  bits = bits < 0 ? out->size * 8 : mapped ? bits - 96 : bits;
  if (inet_pton(v6 ? AF_INET6 : AF_INET, address, out->octets) != 1 || bits < 0 || bits > out->size * 8) {
    snprintf(err, cap, "the prefix length is %s", mapped ? "96 to 128" : v6 ? "0 to 128" : "0 to 32");
    return -1;
  }
  out->bits = (uint8_t)bits;
  if (clear_rest(out)) {
    char network[IP_RANGE_TEXT];
    ip_range_text(out, network);
    snprintf(err, cap, "bits are set behind the prefix: the network is %s, the address %s", network, address);
    return -1;
  }
  return 0;
}

void ip_range_text(const struct ip_range *range, char out[IP_RANGE_TEXT]) {
  if (!inet_ntop(range->size == 16 ? AF_INET6 : AF_INET, range->octets, out, IP_RANGE_TEXT)) {
    *out = '\0';
  }
  if (range->bits < range->size * 8) {
    size_t n = strlen(out);
    snprintf(out + n, IP_RANGE_TEXT - n, "/%u", (unsigned)range->bits);
  }
}

int ip_range_canonical(const char *text, char *out, char *err, size_t cap) {
  struct ip_range range;
  int rc = ip_range_read(text, &range, err, cap);
  if (!rc) {
    ip_range_text(&range, out);
  }
  return rc;
}

bool ip_range_holds(const struct ip_range *range, const uint8_t *octets, size_t size) {
  struct ip_range one = {.size = (uint8_t)size, .bits = range->bits};
  if (size != range->size) {
    return false;
  }
  memcpy(one.octets, octets, size);
  clear_rest(&one);
  return memcmp(one.octets, range->octets, size) == 0;
}
