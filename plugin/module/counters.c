/*
 * counters.c - counters and gauges, in static storage that the host reads
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "base/clock.h"
#include "module.h"
#include "usage.h"

#include <stdatomic.h>

static _Atomic uint64_t plain[COUNTER_PLAIN];
static _Atomic uint64_t granted[MECHANISM_COUNT];
static _Atomic uint64_t denied[COTURN_AUTH_REASON_COUNT];
static _Atomic uint64_t gauges[GAUGE_COUNT];

/* The host reads them through pointers to uint64_t: the ABI has no atomic types. */
_Static_assert(sizeof(_Atomic uint64_t) == sizeof(uint64_t), "an atomic 64-bit counter is a plain number");

static const char *const reason_names[COTURN_AUTH_REASON_COUNT] = COTURN_AUTH_REASON_NAMES;
static const char *const mechanism_names[MECHANISM_COUNT] = {
    [STORE_TOKEN] = "token",
    [STORE_DERIVED] = "derived",
    [STORE_REST] = "rest",
    [STORE_PUSHED] = "pushed",
};

struct description {
  const char *name, *help;
};

static const struct description plain_descriptions[COUNTER_PLAIN] = {
    [COUNTER_DECLINED] = {"unknown_realms", "Requests for realms that are not in the database"},
    [COUNTER_CHALLENGES] = {"known_challenges", "Challenges made for known realms"},
    [COUNTER_SESSIONS_REVOKED] = {"revoked_sessions", "Live sessions ended by a revocation or a disabled key"},
    [COUNTER_GRANTS_REVOKED] = {"revoked_grants", "Grants that lost the race against a revocation"},
    [COUNTER_SNAPSHOTS] = {"snapshots", "Snapshots taken over from the store"},
    [COUNTER_PEERS_DENIED] = {"denied_peers", "Peers that the lists of a realm denied"},
    [COUNTER_USAGE_DELIVERED] = {"usage_delivered", "Starts and ends of sessions that are in the database"},
    [COUNTER_USAGE_DROPPED] = {"usage_reports_dropped", "Reports of living sessions that gave way to newer ones"},
    [COUNTER_USAGE_LOST] = {"usage_lost", "Ends of sessions that could be kept nowhere, or that the database refuses"},
};

static const struct description gauge_descriptions[GAUGE_COUNT] = {
    [GAUGE_SESSIONS] = {"live_sessions", "Live sessions that the module let in"},
    [GAUGE_ALLOCATIONS] = {"live_allocations", "Live allocations of clients that the module let in"},
    [GAUGE_DRAINING] = {"draining", "1 while an administrator drains this server: no new allocations"},
    [GAUGE_DATABASE_UP] = {"database_up", "1 while the database answers"},
    [GAUGE_SNAPSHOT_AGE] = {"snapshot_age_seconds", "Seconds since the snapshot was last known to be current"},
    [GAUGE_GENERATION] = {"snapshot_generation", "Number of the snapshot in use"},
    [GAUGE_REALMS] = {"realms", "Realms in the snapshot"},
    [GAUGE_KEYS] = {"keys", "Keys in the snapshot"},
    [GAUGE_CREDENTIALS] = {"credentials", "Pushed credentials in the snapshot"},
    [GAUGE_REVOCATIONS] = {"revocations", "Revocations in the snapshot"},
    [GAUGE_REFUSED_ROWS] = {"refused_rows", "Database rows that could not be used"},
    [GAUGE_USAGE_JOURNAL] = {"usage_journal_entries", "Starts and ends of sessions that wait for the database"},
};

void counter_add(enum counter counter) { atomic_fetch_add_explicit(&plain[counter], 1, memory_order_relaxed); }

void counter_granted(enum store_mechanism mechanism) {
  atomic_fetch_add_explicit(&granted[mechanism], 1, memory_order_relaxed);
}

void counter_denied(enum coturn_auth_reason reason) {
  atomic_fetch_add_explicit(&denied[reason], 1, memory_order_relaxed);
}

void gauge_set(enum gauge gauge, uint64_t value) { atomic_store_explicit(&gauges[gauge], value, memory_order_relaxed); }

void gauge_add(enum gauge gauge, int64_t delta) {
  atomic_fetch_add_explicit(&gauges[gauge], (uint64_t)delta, memory_order_relaxed);
}

uint64_t gauge_get(enum gauge gauge) { return atomic_load_explicit(&gauges[gauge], memory_order_relaxed); }

void counters_refresh(const struct module *module) {
  struct store_status status;
  store_status(module->store, &status);
  int64_t age = status.loaded_at ? clock_now() - status.loaded_at : 0;
  gauge_set(GAUGE_DRAINING, atomic_load(&module->draining));
  gauge_set(GAUGE_DATABASE_UP, status.connected);
  gauge_set(GAUGE_SNAPSHOT_AGE, age > 0 ? (uint64_t)age : 0);
  gauge_set(GAUGE_GENERATION, status.generation);
  gauge_set(GAUGE_REALMS, status.realms);
  gauge_set(GAUGE_KEYS, status.keys);
  gauge_set(GAUGE_CREDENTIALS, status.credentials);
  gauge_set(GAUGE_REVOCATIONS, status.revocations);
  gauge_set(GAUGE_REFUSED_ROWS, status.refused_rows);
  if (module->usage) {
    struct journal *journal = atomic_load(&module->usage->journal);
    gauge_set(GAUGE_USAGE_JOURNAL, journal ? journal_waiting(journal) : 0);
    atomic_store(&plain[COUNTER_USAGE_DELIVERED], atomic_load(&module->usage->delivered));
    atomic_store(&plain[COUNTER_USAGE_DROPPED], atomic_load(&module->usage->dropped));
    atomic_store(&plain[COUNTER_USAGE_LOST], atomic_load(&module->usage->lost));
  }
}

static int add(const struct module *module, const struct description *what, const char *label, const char *label_value,
               const _Atomic uint64_t *value, int is_gauge) {
  struct coturn_auth_counter counter = {COTURN_AUTH_HEADER(counter), what->name, what->help, label, label_value,
                                        (const uint64_t *)value,     is_gauge};
  return module->host->register_counter(&counter);
}

int counters_register(const struct module *module) {
  static const struct description grants = {"grants", "Grants given, by kind of credential"};
  static const struct description denials = {"denials", "Requests denied by the module, by reason"};
  int failed = 0;
  for (int i = STORE_TOKEN; i < MECHANISM_COUNT; i++) {
    failed |= add(module, &grants, "mechanism", mechanism_names[i], &granted[i], 0);
  }
  for (int i = 1; i < COTURN_AUTH_REASON_COUNT; i++) {
    failed |= add(module, &denials, "reason", reason_names[i], &denied[i], 0);
  }
  for (int i = 0; i < COUNTER_PLAIN; i++) {
    failed |= add(module, &plain_descriptions[i], NULL, NULL, &plain[i], 0);
  }
  for (int i = 0; i < GAUGE_COUNT; i++) {
    failed |= add(module, &gauge_descriptions[i], NULL, NULL, &gauges[i], 1);
  }
  return failed ? -1 : 0;
}
