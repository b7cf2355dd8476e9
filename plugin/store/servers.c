/*
 * servers.c - the TURN servers of the fleet, as they may be named to clients
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "servers.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define URIS_MAX 16

struct one {
  struct store_server server;
  const char *uris[URIS_MAX + 1];
};

struct store_servers {
  atomic_uint refs;
  PGresult *result; /* texts point into it, and into lists */
  char *lists;
  size_t count;
  struct one list[];
};

struct store_servers *store_servers_ref(struct store_servers *servers) {
  if (servers) {
    atomic_fetch_add(&servers->refs, 1);
  }
  return servers;
}

void store_servers_release(struct store_servers *servers) {
  if (!servers || atomic_fetch_sub(&servers->refs, 1) != 1) {
    return;
  }
  PQclear(servers->result);
  free(servers->lists);
  free(servers);
}

size_t store_servers_count(const struct store_servers *servers) { return servers->count; }

const struct store_server *store_servers_at(const struct store_servers *servers, size_t i) {
  return &servers->list[i].server;
}

static const struct store_server *find(const struct store_servers *servers, const char *id) {
  for (size_t i = 0; servers && i < servers->count; i++) {
    if (!strcmp(servers->list[i].server.id, id)) {
      return &servers->list[i].server;
    }
  }
  return NULL;
}

bool servers_self_draining(const struct store_servers *servers) {
  for (size_t i = 0; servers && i < servers->count; i++) {
    if (servers->list[i].server.self && servers->list[i].server.draining) {
      return true;
    }
  }
  return false;
}

/* May be named to clients, if it is heard. */
static bool is_open(const struct store_server *server) { return *server->uris && !server->draining; }

/* Silence says something about a server only while most others are heard: else it is the database, or this program. */
static void judge(struct store_servers *servers, const struct store_servers *old, int64_t silent_ms) {
  size_t open = 0, silent = 0;
  for (size_t i = 0; i < servers->count; i++) {
    const struct store_server *server = &servers->list[i].server;
    open += is_open(server);
    silent += is_open(server) && server->silent_ms >= silent_ms;
  }
  for (size_t i = 0; i < servers->count; i++) {
    struct store_server *server = &servers->list[i].server;
    const struct store_server *before = find(old, server->id);
    server->suspect = 2 * silent > open ? before && before->suspect : server->silent_ms >= silent_ms;
  }
}

/* Fills in one row; *text has room for its URIs. */
static void take_row(struct one *one, const PGresult *r, int row, const char *self, char **text) {
  char *save = NULL, *words = *text;
  size_t n = 0, len = (size_t)PQgetlength(r, row, 1) + 1;
  memcpy(words, PQgetvalue(r, row, 1), len);
  *text += len;
  for (char *word = strtok_r(words, " ", &save); word && n < URIS_MAX; word = strtok_r(NULL, " ", &save)) {
    one->uris[n++] = word;
  }
  one->server = (struct store_server){.id = PQgetvalue(r, row, 0),
                                      .uris = one->uris,
                                      .region = PQgetvalue(r, row, 2),
                                      .weight = (uint32_t)strtoul(PQgetvalue(r, row, 3), NULL, 10),
                                      .draining = *PQgetvalue(r, row, 4) == 't',
                                      .silent_ms = strtoll(PQgetvalue(r, row, 5), NULL, 10)};
  one->server.self = !strcmp(one->server.id, self);
}

int servers_load(struct store_servers **out, struct pg *db, const struct store_servers *old, const char *self,
                 int64_t silent_ms) {
  *out = NULL;
  PGresult *r = pg_query(db,
                         "SELECT id, array_to_string(uris, ' '), region, weight, draining, silent_ms"
                         " FROM turncred.servers()",
                         NULL);
  if (!r) {
    return EIO;
  }
  size_t rows = (size_t)PQntuples(r), octets = 1;
  for (size_t i = 0; i < rows; i++) {
    octets += (size_t)PQgetlength(r, (int)i, 1) + 1;
  }
  struct store_servers *servers = calloc(1, sizeof *servers + rows * sizeof servers->list[0]);
  char *text = servers ? malloc(octets) : NULL;
  if (!text) {
    free(servers);
    PQclear(r);
    return ENOMEM;
  }
  atomic_init(&servers->refs, 1);
  servers->result = r;
  servers->lists = text;
  servers->count = rows;
  for (size_t i = 0; i < rows; i++) {
    take_row(&servers->list[i], r, (int)i, self, &text);
  }
  judge(servers, old, silent_ms);
  *out = servers;
  return 0;
}

/* --- choosing --------------------------------------------------------------------------------- */

/* The lower, the sooner: heard ones of the region, heard ones, suspects. */
static int rank(const struct store_server *server, const char *region) {
  bool here = region && *region && !strcmp(server->region, region);
  return (server->suspect ? 2 : 0) + (here ? 0 : 1);
}

static bool is_among(const struct store_server *server, const struct store_server *const *list, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (list[i] == server) {
      return true;
    }
  }
  return false;
}

static const struct store_server *draw(const struct store_servers *servers, const struct store_choice *how,
                                       const struct store_server *const *chosen, size_t count) {
  const struct store_server *best = NULL;
  uint64_t total = 0;
  for (size_t i = 0; i < servers->count; i++) {
    const struct store_server *server = &servers->list[i].server;
    if (!is_open(server) || is_among(server, chosen, count) || (how->fits && !how->fits(server, how->arg))) {
      continue;
    }
    int order = best ? rank(server, how->region) - rank(best, how->region) : -1;
    if (order > 0) {
      continue;
    }
    uint32_t random = 0; /* without it the newest is taken, which is a choice, too */
    total = order < 0 ? server->weight : total + server->weight;
    RAND_bytes((uint8_t *)&random, sizeof random);
    if (order < 0 || random % total < server->weight) {
      best = server;
    }
  }
  return best;
}

size_t store_servers_choose(const struct store_servers *servers, const struct store_choice *how,
                            const struct store_server **chosen, size_t max) {
  size_t count = 0;
  while (servers && count < max && (chosen[count] = draw(servers, how, chosen, count))) {
    count++;
  }
  return count;
}
