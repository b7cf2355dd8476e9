/*
 * alternate.c - where clients of a drained server are sent: addresses of siblings that live
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A thread of its own asks DNS for the names in the URIs that siblings advertise, which takes time that neither a relay
 * thread nor the store's has. It is never waited for: at the end of the server it may be asking still. A new list of
 * servers is in force at once, with the addresses that were known of its names.
 */
#include "config.h"

#include "alternate.h"
#include "fleet_quota.h"

#include "base/clock.h"
#include "base/turn_uri.h"
#include "module_settings.h"

#include <netdb.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AGAIN_SECONDS 60 /* an address that DNS has told is asked for again */
#define PLACES_MAX 256

/* One address of one URI. */
struct place {
  const struct store_server *server;
  const char *uri;
  struct sockaddr_storage addr;
  bool udp, tcp, tls;                           /* none: the name has no address */
  char domain[COTURN_AUTH_SERVER_NAME_MAX + 1]; /* "": the URI has an address */
};

/* What a list of servers has come to; immutable once it is in force. */
struct places {
  struct store_servers *servers;
  size_t count;
  struct place list[PLACES_MAX];
};

struct alternates {
  atomic_uint refs;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  bool stop;
  bool fresh;            /* the list is one that DNS was not asked for yet */
  struct places *places; /* NULL: none yet */
};

static void places_free(struct places *places) {
  if (places) {
    store_servers_release(places->servers);
    free(places);
  }
}

static void unref(struct alternates *alternates) {
  if (atomic_fetch_sub(&alternates->refs, 1) == 1) {
    places_free(alternates->places);
    pthread_cond_destroy(&alternates->wake);
    pthread_mutex_destroy(&alternates->lock);
    free(alternates);
  }
}

/* Adds what a URI of the server stands for: its address, or with dns those of its name, too. A name that DNS does not
 * tell now is left out, as one that is not asked for. */
static void add_uri(struct places *places, const struct store_server *server, const char *text, bool dns) {
  const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM},
                        literal = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST},
                        none = {.ai_next = NULL};
  struct addrinfo *found = NULL;
  struct turn_uri uri;
  if (turn_uri_split(text, &uri)) {
    return;
  }
  bool named = getaddrinfo(uri.host, uri.port, &literal, &found) != 0;
  int rc = !named ? 0 : dns ? getaddrinfo(uri.host, uri.port, &hints, &found) : EAI_AGAIN;
  if (rc == EAI_AGAIN || rc == EAI_MEMORY || rc == EAI_SYSTEM) {
    return;
  }
  for (const struct addrinfo *a = rc ? &none : found; a && places->count < PLACES_MAX; a = a->ai_next) {
    if (a->ai_addrlen <= sizeof places->list[0].addr) {
      struct place *place = &places->list[places->count++];
      *place = (struct place){.server = server, .uri = text};
      if (!rc) {
        place->udp = uri.udp;
        place->tcp = uri.tcp;
        place->tls = uri.tls;
        memcpy(&place->addr, a->ai_addr, a->ai_addrlen);
        copy_text(place->domain, sizeof place->domain, named ? uri.host : "");
      }
    }
  }
  if (!rc) {
    freeaddrinfo(found);
  }
}

/* Takes the list over. NULL: out of memory. */
static struct places *look_up(struct store_servers *servers, bool dns) {
  struct places *places = calloc(1, sizeof *places);
  if (!places) {
    store_servers_release(servers);
    return NULL;
  }
  places->servers = servers;
  for (size_t i = 0; i < store_servers_count(servers); i++) {
    const struct store_server *server = store_servers_at(servers, i);
    for (const char *const *uri = server->self ? NULL : server->uris; uri && *uri; uri++) {
      add_uri(places, server, *uri, dns);
    }
  }
  return places;
}

/* Adds the places that another list has for this URI. Returns how many. */
static size_t carry(struct places *places, const struct store_server *server, const char *uri,
                    const struct places *from) {
  size_t count = 0;
  for (size_t i = 0; from && i < from->count && places->count < PLACES_MAX; i++) {
    if (!strcmp(from->list[i].uri, uri)) {
      struct place *place = &places->list[places->count++];
      *place = from->list[i];
      place->server = server;
      place->uri = uri;
      count++;
    }
  }
  return count;
}

/* Puts the places of these servers in force, NULL: of those that are. found: what was looked up; the rest stays as it
 * was known. Takes servers over. */
static void put_in_force(struct alternates *alternates, struct store_servers *servers, const struct places *found) {
  struct places *made = calloc(1, sizeof *made), *old = made;
  pthread_mutex_lock(&alternates->lock);
  if (made) {
    old = alternates->places;
    made->servers = servers ? store_servers_ref(servers) : store_servers_ref(old->servers);
    for (size_t i = 0; i < store_servers_count(made->servers); i++) {
      const struct store_server *server = store_servers_at(made->servers, i);
      for (const char *const *uri = server->self ? NULL : server->uris; uri && *uri; uri++) {
        if (!carry(made, server, *uri, found)) {
          carry(made, server, *uri, old);
        }
      }
    }
    alternates->places = made;
    alternates->fresh = alternates->fresh || servers;
    pthread_cond_signal(&alternates->wake);
  }
  pthread_mutex_unlock(&alternates->lock);
  store_servers_release(servers);
  places_free(old);
}

/* Waits for a list to look up: a new one, or after a time the last one again. NULL: the module stops. */
static struct store_servers *next_list(struct alternates *alternates) {
  struct timespec until;
  int rc = 0;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += AGAIN_SECONDS;
  pthread_mutex_lock(&alternates->lock);
  while (!alternates->stop && !alternates->fresh && (rc == 0 || !alternates->places)) {
    rc = alternates->places ? pthread_cond_timedwait(&alternates->wake, &alternates->lock, &until)
                            : pthread_cond_wait(&alternates->wake, &alternates->lock);
  }
  alternates->fresh = false;
  struct store_servers *list = alternates->stop ? NULL : store_servers_ref(alternates->places->servers);
  pthread_mutex_unlock(&alternates->lock);
  return list;
}

static void *run(void *arg) {
  struct alternates *alternates = arg;
  struct store_servers *list;
  while ((list = next_list(alternates))) {
    struct places *found = look_up(list, true);
    if (found) {
      put_in_force(alternates, NULL, found);
    }
    places_free(found);
  }
  unref(alternates);
  return NULL;
}

struct alternates *alternates_start(void) {
  struct alternates *alternates = calloc(1, sizeof *alternates);
  pthread_t thread;
  sigset_t all, before;
  if (!alternates) {
    return NULL;
  }
  atomic_init(&alternates->refs, 2);
  pthread_mutex_init(&alternates->lock, NULL);
  pthread_cond_init(&alternates->wake, NULL);
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  int rc = pthread_create(&thread, NULL, run, alternates);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (rc) {
    unref(alternates);
    unref(alternates);
    return NULL;
  }
  pthread_detach(thread);
  return alternates;
}

void alternates_stop(struct alternates *alternates) {
  if (!alternates) {
    return;
  }
  pthread_mutex_lock(&alternates->lock);
  alternates->stop = true;
  pthread_cond_signal(&alternates->wake);
  pthread_mutex_unlock(&alternates->lock);
  unref(alternates);
}

void alternates_put(struct alternates *alternates, struct store_servers *servers) {
  struct places *found = look_up(store_servers_ref(servers), false);
  put_in_force(alternates, servers, found);
  places_free(found);
}

/* --- choosing --------------------------------------------------------------------------------- */

struct wanted {
  const struct places *places;
  int family;
  uint16_t transport;
};

/* AF_INET for an IPv4-mapped address. */
static int family_of(const struct sockaddr *addr) {
  const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)addr;
  if (addr && addr->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
    return AF_INET;
  }
  return addr ? addr->sa_family : AF_UNSPEC;
}

static bool place_fits(const struct place *place, const struct wanted *wanted) {
  bool stream = wanted->transport == COTURN_AUTH_TRANSPORT_TCP || wanted->transport == COTURN_AUTH_TRANSPORT_TLS;
  bool tls = wanted->transport == COTURN_AUTH_TRANSPORT_TLS || wanted->transport == COTURN_AUTH_TRANSPORT_DTLS;
  return place->addr.ss_family == wanted->family && place->tls == tls && (stream ? place->tcp : place->udp);
}

static const struct place *place_of(const struct store_server *server, const struct wanted *wanted) {
  for (size_t i = 0; i < wanted->places->count; i++) {
    const struct place *place = &wanted->places->list[i];
    if (place->server == server && place_fits(place, wanted)) {
      return place;
    }
  }
  return NULL;
}

static bool fits(const struct store_server *server, void *arg) {
  return !server->suspect && place_of(server, arg) != NULL;
}

bool alternates_find(struct alternates *alternates, const struct coturn_auth_allocate *request, const char *region,
                     struct coturn_auth_denial *denial) {
  const struct store_server *chosen = NULL;
  pthread_mutex_lock(&alternates->lock);
  struct wanted wanted = {alternates->places, family_of(request->client_addr), request->transport};
  const struct store_choice how = {.region = region, .fits = fits, .arg = &wanted};
  if (wanted.places && store_servers_choose(wanted.places->servers, &how, &chosen, 1)) {
    const struct place *place = place_of(chosen, &wanted);
    denial->alternate = place->addr;
    if (place->tls) { /* the name that the sibling's certificate has */
      copy_text(denial->alternate_domain, sizeof denial->alternate_domain, place->domain);
    }
  }
  pthread_mutex_unlock(&alternates->lock);
  return chosen != NULL;
}

/* --- the nonce that goes with a client ------------------------------------------------------------ */

#define NONCE_SECONDS 60 /* a nonce is good for one to two of these */
#define NONCE_OCTETS 8

/* A nonce that every server of the realm makes alike, for this client address (not port: the client's NAT may choose
 * another) and this time. Its key is the salt that all servers have and no client. False: the realm has none. */
static bool nonce_of(const struct store_realm *realm, const struct sockaddr *client, int64_t period,
                     char out[COTURN_AUTH_NONCE_MAX + 1]) {
  static const uint8_t no_salt[STORE_USAGE_SALT];
  char text[160], address[64];
  uint8_t mac[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  address_text(client, address, sizeof address);
  int n = snprintf(text, sizeof text, "turncred-nonce-v1 %lld %s", (long long)period, address);
  return memcmp(realm->usage_salt, no_salt, sizeof no_salt) != 0 &&
         HMAC(EVP_sha256(), realm->usage_salt, sizeof realm->usage_salt, (const uint8_t *)text, (size_t)n, mac, &len) &&
         !turncred_hex_encode(mac, NONCE_OCTETS, out, COTURN_AUTH_NONCE_MAX + 1);
}

/* Makes the nonce of this period, or compares one with those of this period and the last. */
static bool nonce_for(struct module *module, const char *name, const struct sockaddr *client, const char *nonce,
                      char made[COTURN_AUTH_NONCE_MAX + 1]) {
  struct thread *thread = thread_get(module);
  const struct store_snapshot *snapshot = thread ? store_acquire(thread->reader) : NULL;
  if (!snapshot) {
    return false;
  }
  const struct store_realm *realm = store_realm_find(snapshot, name);
  int64_t period = clock_now() / NONCE_SECONDS;
  bool good = false;
  for (int64_t back = 0; realm && !good && back < (nonce ? 2 : 1); back++) {
    good = nonce_of(realm, client, period - back, made) &&
           (!nonce || (strlen(nonce) == strlen(made) && !CRYPTO_memcmp(nonce, made, strlen(made))));
  }
  store_release(thread->reader);
  return good;
}

int module_accept_nonce(void *state, const struct coturn_auth_nonce *request) {
  char made[COTURN_AUTH_NONCE_MAX + 1];
  return nonce_for(state, request->realm, request->client_addr, request->nonce, made);
}

/* Has the subject all of its quota on other servers? */
static bool quota_used_up(struct module *module, const struct coturn_auth_allocate *request) {
  struct thread *thread = atomic_load_explicit(&module->counts_fleet, memory_order_relaxed) ? thread_get(module) : NULL;
  const struct subject *subject = thread ? sessions_subject(module->sessions, request->session) : NULL;
  const struct store_snapshot *snapshot = subject ? store_acquire(thread->reader) : NULL;
  if (!snapshot) {
    return false;
  }
  const struct store_realm *realm = store_realm_find(snapshot, subject->realm);
  bool full = realm && realm->user_quota &&
              fleet_quota_elsewhere(module->fleet_quota, thread, realm, subject->user, subject->fingerprint) >=
                  realm->user_quota;
  store_release(thread->reader);
  return full;
}

int module_allocate(void *state, const struct coturn_auth_allocate *request, struct coturn_auth_denial *denial) {
  struct module *module = state;
  if (!atomic_load_explicit(&module->draining, memory_order_relaxed) && !(request->flags & COTURN_AUTH_REQ_DRAINING)) {
    if (!quota_used_up(module, request)) {
      return 1;
    }
    denial->reason = COTURN_AUTH_REASON_QUOTA;
    denial->error_code = 486;
    counter_denied(COTURN_AUTH_REASON_QUOTA);
    return 0;
  }
  denial->reason = COTURN_AUTH_REASON_DRAINING;
  denial->error_code = 508;
  if (alternates_find(module->alternates, request, module->config->region, denial)) {
    denial->error_code = 300;
    if (!nonce_for(module, request->realm, request->client_addr, NULL, denial->alternate_nonce)) {
      denial->alternate_nonce[0] = '\0';
    }
  }
  counter_denied(COTURN_AUTH_REASON_DRAINING);
  return 0;
}
