/*
 * import_peers.c - the peer ranges of coturn's database: those of a realm become its denied peers
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * In coturn a peer is denied if a denied range holds it and no allowed one does. So a realm's denied range, less all
 * allowed ranges that count for the realm, is the same as networks of turncred.realm.denied_peers.
 */
#include "config.h"

#include "import.h"

#include "base/ip_range.h"
#include "pg/array.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NETWORKS_MAX 1024 /* of a realm: realm_denied_peers_count */
#define SPANS_MAX 4096    /* allowed ranges that are looked at */

struct span {
  uint8_t min[16], max[16], size; /* size: octets of an address */
};

struct allowed {
  size_t count;
  bool strange; /* one cannot be read: then nothing is exact */
  struct span spans[SPANS_MAX];
};

struct networks {
  size_t count;
  struct ip_range of[NETWORKS_MAX];
};

/* --- ranges as coturn reads them --- */

/* One end of a range, *any if it is 0.0.0.0 or ::, which bounds nothing. False: no address, or an IPv4-mapped one,
 * which coturn does not take for the IPv4 address. */
static bool read_end(const char *text, size_t len, uint8_t octets[16], uint8_t *size, bool *any) {
  static const uint8_t zero[16];
  char address[IP_TEXT];
  if (len >= sizeof address) {
    return false;
  }
  memcpy(address, text, len);
  address[len] = '\0';
  *size = strchr(address, ':') ? 16 : 4;
  if (inet_pton(*size == 16 ? AF_INET6 : AF_INET, address, octets) != 1) {
    return false;
  }
  *any = !memcmp(octets, zero, *size);
  return *size == 4 || !IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)octets);
}

/* Reads "ADDRESS" or "ADDRESS-ADDRESS" into one span, or two: a lone 0.0.0.0 is every address of both families. Returns
 * their number, 0 if the range holds nothing, -1 if it cannot be read. */
static int read_range(const char *text, struct span out[2]) {
  const char *dash = strchr(text, '-');
  size_t len = dash ? (size_t)(dash - text) : strlen(text);
  bool min_any, max_any;
  uint8_t size;
  memset(out, 0, 2 * sizeof *out);
  if (!read_end(text, len, out->min, &out->size, &min_any)) {
    return -1;
  }
  memcpy(out->max, out->min, sizeof out->max);
  max_any = min_any;
  if (dash && (!read_end(dash + 1, strlen(dash + 1), out->max, &size, &max_any) || size != out->size)) {
    return -1;
  }
  if (max_any) {
    memset(out->max, 0xff, out->size);
  }
  if (min_any && max_any) {
    out[1].size = out->size == 4 ? 16 : 4;
    memset(out[1].max, 0xff, out[1].size);
    return 2;
  }
  return memcmp(out->min, out->max, out->size) > 0 ? 0 : 1;
}

/* --- a range less the allowed ones, as networks --- */

static struct span span_of(const struct ip_range *block) {
  struct span s = {.size = block->size};
  memcpy(s.min, block->octets, sizeof s.min);
  memcpy(s.max, block->octets, sizeof s.max);
  for (unsigned i = block->bits; i < block->size * 8U; i++) {
    s.max[i / 8] |= (uint8_t)(0x80U >> (i % 8));
  }
  return s;
}

static bool meets(const struct span *a, const struct span *b) {
  return a->size == b->size && memcmp(a->min, b->max, a->size) <= 0 && memcmp(b->min, a->max, a->size) <= 0;
}
/* Whether a lies inside b. */
static bool inside(const struct span *a, const struct span *b) {
  return a->size == b->size && memcmp(b->min, a->min, a->size) <= 0 && memcmp(a->max, b->max, a->size) <= 0;
}

/* Adds what of block lies in denied and in no allowed span. False: there is no room for so many networks. */
static bool cut(const struct span *denied, const struct allowed *allowed, const struct ip_range *block,
                struct networks *out) {
  struct span s = span_of(block);
  bool whole = inside(&s, denied);
  if (!meets(&s, denied)) {
    return true;
  }
  for (size_t i = 0; i < allowed->count; i++) {
    if (inside(&s, &allowed->spans[i])) {
      return true;
    }
    whole &= !meets(&s, &allowed->spans[i]);
  }
  if (whole) {
    if (out->count == NETWORKS_MAX) {
      return false;
    }
    out->of[out->count++] = *block;
    return true;
  }
  struct ip_range half = *block;
  half.bits++;
  bool ok = cut(denied, allowed, &half, out);
  half.octets[block->bits / 8] |= (uint8_t)(0x80U >> (block->bits % 8));
  return ok && cut(denied, allowed, &half, out);
}

/* --- rows --- */

struct peers {
  json_t *rows;           /* [realm, range] of all allowed ranges of the database */
  bool unread;            /* one of them is not known */
  struct allowed allowed; /* those that count for one realm */
  struct networks networks;
};
/* the rows' callbacks have no other argument; one import runs in a process */
static struct peers *peers;

static void allow(const char *range) {
  struct allowed *a = &peers->allowed;
  int n = a->count + 2 > SPANS_MAX ? -1 : read_range(range, &a->spans[a->count]);
  a->strange |= n < 0;
  a->count += n > 0 ? (size_t)n : 0;
}

/* Collects the allowed ranges that count for the realm: its own, those of all realms, and those of turnserver.conf. */
static void load_allowed(const struct import *im, const char *realm) {
  size_t i;
  json_t *one;
  peers->allowed.count = 0;
  peers->allowed.strange = peers->unread;
  json_array_foreach(im->conf.allowed_peers, i, one) { allow(json_string_value(one)); }
  json_array_foreach(peers->rows, i, one) {
    const char *of = json_string_value(json_array_get(one, 0));
    if (!*of || !strcmp(of, realm)) {
      allow(json_string_value(json_array_get(one, 1)));
    }
  }
}

static void stays(struct import *im, const struct import_row *row, const char *why) {
  import_note(im, row, "note",
              "%s: coturn goes on to read its database for this, with auth-module-only at each start; a line %s=%s in "
              "turnserver.conf holds for all realms",
              why, row->kind, row->name);
}

/* Whether the realm here has all these networks among its denied ones. */
static bool has_all(const json_t *denied, const struct networks *networks) {
  for (size_t n = 0; n < networks->count; n++) {
    char text[IP_RANGE_TEXT];
    size_t i;
    json_t *one;
    bool found = false;
    ip_range_text(&networks->of[n], text);
    json_array_foreach(denied, i, one) { found |= !strcmp(json_string_value(one), text); }
    if (!found) {
      return false;
    }
  }
  return true;
}

static enum ctl_exit write_networks(struct ctl *ctl, struct import *im, const struct import_row *row,
                                    const struct networks *networks) {
  struct pg_params p = {0};
  struct pg_array array = {0};
  struct import_attempt attempt;
  char text[IP_RANGE_TEXT], list[400] = "";
  bool refused = false;
  size_t len = 0;
  for (size_t i = 0; i < networks->count; i++) {
    ip_range_text(&networks->of[i], text);
    pg_array_text(&array, text);
    if (len + sizeof text + 8 < sizeof list) {
      len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", i ? "," : "", text);
    } else if (strcmp(list + len - 3, "...") != 0) {
      len += (size_t)snprintf(list + len, sizeof list - len, ",...");
    }
  }
  const char *literal = pg_array_end(&array);
  enum ctl_exit rc = literal ? import_attempt(ctl, &attempt) : ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  if (!rc) {
    pg_text(&p, row->realm);
    pg_text(&p, literal);
    rc = ctl_run(ctl, "UPDATE turncred.realm SET denied_peers = denied_peers || $2::text[] WHERE name = $1", &p, NULL);
    rc = import_attempted(ctl, &attempt, rc, &refused);
  }
  pg_array_clear(&array);
  if (!rc && refused) {
    stays(im, row, attempt.said.text);
  } else if (!rc) {
    import_note(im, row, "set", "denied_peers: %s", list);
  }
  return rc;
}

/* A realm's denied range, less what is allowed. */
static enum ctl_exit carry_over(struct ctl *ctl, struct import *im, const struct import_row *row, const json_t *entry) {
  struct span spans[2];
  int count = read_range(row->name, spans);
  bool room = true;
  enum ctl_exit rc = CTL_OK;
  load_allowed(im, row->realm);
  if (count < 0 || peers->allowed.strange) {
    stays(im, row,
          count < 0 ? "not taken over, for it is no range of addresses of one family"
                    : "not taken over, for an allowed-peer-ip that counts here is no range of one family");
    return CTL_OK;
  }
  peers->networks.count = 0;
  for (int i = 0; i < count && room; i++) {
    struct ip_range all = {.size = spans[i].size};
    room = cut(&spans[i], &peers->allowed, &all, &peers->networks);
  }
  if (!room) {
    stays(im, row, "not taken over, for a realm has 1024 networks at the most");
  } else if (!peers->networks.count) {
    import_note(im, row, "same", "%s", count ? "allowed ranges take all of it out" : "it holds no address");
  } else if (has_all(json_object_get(entry, "denied_peers"), &peers->networks)) {
    import_note(im, row, "same", "%s", "denied_peers");
  } else {
    rc = write_networks(ctl, im, row, &peers->networks);
  }
  return rc;
}

static enum ctl_exit import_denied(struct ctl *ctl, struct import *im, const char *const *values, int64_t n) {
  (void)n;
  bool read = !im->conf.given || !im->conf.no_dynamic_ip_list;
  const struct import_row row = {"denied-peer-ip", values[0], values[1], read ? IMPORT_USED : IMPORT_UNUSED};
  const json_t *entry = *row.realm ? json_object_get(im->realms, row.realm) : NULL;
  if (!*row.realm) {
    stays(im, &row, "not taken over, for it is for all realms");
  } else if (!entry) {
    stays(im, &row, "not taken over, for the realm does not exist here");
  } else if (!im->conf.given) {
    stays(im, &row, "not taken over without --turnserver-conf, which may allow some of it");
  } else if (!read) {
    stays(im, &row, "not taken over, for no-dynamic-ip-list has coturn not read it");
  } else {
    return carry_over(ctl, im, &row, entry);
  }
  return CTL_OK;
}

static enum ctl_exit note_allowed(struct ctl *ctl, struct import *im, const char *const *values, int64_t n) {
  (void)ctl, (void)n;
  bool read = !im->conf.given || !im->conf.no_dynamic_ip_list;
  json_t *pair = json_pack("[s, s]", values[0], values[1]); /* NULL: not UTF-8 */
  peers->unread |= json_array_append_new(peers->rows, pair) != 0;
  const struct import_row row = {"allowed-peer-ip", values[0], values[1], read ? IMPORT_USED : IMPORT_UNUSED};
  stays(im, &row, "an exception from denied ranges, which is left out of denied_peers");
  return CTL_OK;
}

enum ctl_exit import_peers(struct ctl *ctl, struct import *im) {
  int64_t lost = im->lost;
  peers = calloc(1, sizeof *peers);
  if (peers) {
    peers->rows = json_array();
  }
  enum ctl_exit rc = peers && peers->rows ? source_read(ctl, im, SOURCE_ALLOWED, note_allowed)
                                          : ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  if (!rc) {
    peers->unread |= im->lost > lost; /* the table cannot be read */
    rc = source_read(ctl, im, SOURCE_DENIED, import_denied);
  }
  if (peers) {
    json_decref(peers->rows);
  }
  free(peers);
  peers = NULL;
  return rc;
}
