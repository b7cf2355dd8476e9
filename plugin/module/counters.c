/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "module.h"

static uint64_t plain[COUNTER_PLAIN];
static uint64_t granted[MECHANISM_COUNT];
static uint64_t denied[COTURN_AUTH_REASON_COUNT];
static uint64_t gauges[GAUGE_COUNT];

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
    [COUNTER_SESSIONS_REVOKED] = {"revoked_sessions",
                                  "Live sessions ended by a revocation or a disabled key"},
    [COUNTER_GRANTS_REVOKED] = {"revoked_grants", "Grants that lost the race against a revocation"},
    [COUNTER_SNAPSHOTS] = {"snapshots", "Snapshots taken over from the store"},
};

static const struct description gauge_descriptions[GAUGE_COUNT] = {
    [GAUGE_SESSIONS] = {"live_sessions", "Live sessions that the module let in"},
    [GAUGE_DATABASE_UP] = {"database_up", "1 while the database answers"},
    [GAUGE_SNAPSHOT_AGE] = {"snapshot_age_seconds",
                            "Seconds since the snapshot was last known to be current"},
    [GAUGE_GENERATION] = {"snapshot_generation", "Number of the snapshot in use"},
    [GAUGE_REALMS] = {"realms", "Realms in the snapshot"},
    [GAUGE_KEYS] = {"keys", "Keys in the snapshot"},
    [GAUGE_CREDENTIALS] = {"credentials", "Pushed credentials in the snapshot"},
    [GAUGE_REVOCATIONS] = {"revocations", "Revocations in the snapshot"},
    [GAUGE_REFUSED_ROWS] = {"refused_rows", "Database rows that could not be used"},
};

const char *mechanism_name(enum store_mechanism mechanism) {
  return (unsigned)mechanism < MECHANISM_COUNT && mechanism_names[mechanism]
             ? mechanism_names[mechanism]
             : "none";
}

void counter_add(enum counter counter) { __atomic_fetch_add(&plain[counter], 1, __ATOMIC_RELAXED); }

void counter_granted(enum store_mechanism mechanism) {
  __atomic_fetch_add(&granted[mechanism], 1, __ATOMIC_RELAXED);
}

void counter_denied(enum coturn_auth_reason reason) {
  __atomic_fetch_add(&denied[reason], 1, __ATOMIC_RELAXED);
}

void gauge_set(enum gauge gauge, uint64_t value) {
  __atomic_store_n(&gauges[gauge], value, __ATOMIC_RELAXED);
}

void gauge_add(enum gauge gauge, int64_t delta) {
  __atomic_fetch_add(&gauges[gauge], (uint64_t)delta, __ATOMIC_RELAXED);
}

void counters_refresh(const struct module *module) {
  struct store_status status;
  store_status(module->store, &status);
  int64_t age = status.loaded_at ? module->host->now() - status.loaded_at : 0;
  gauge_set(GAUGE_DATABASE_UP, status.connected);
  gauge_set(GAUGE_SNAPSHOT_AGE, age > 0 ? (uint64_t)age : 0);
  gauge_set(GAUGE_GENERATION, status.generation);
  gauge_set(GAUGE_REALMS, status.realms);
  gauge_set(GAUGE_KEYS, status.keys);
  gauge_set(GAUGE_CREDENTIALS, status.credentials);
  gauge_set(GAUGE_REVOCATIONS, status.revocations);
  gauge_set(GAUGE_REFUSED_ROWS, status.refused_rows);
}

static int add(const struct module *module, const struct description *what, const char *label,
               const char *label_value, const uint64_t *value, int is_gauge) {
  struct coturn_auth_counter counter = {what->name,  what->help, label,
                                        label_value, value,      is_gauge};
  return module->host->register_counter(&counter);
}

int counters_register(const struct module *module) {
  static const struct description grants = {"grants", "Grants given, by kind of credential"};
  static const struct description denials = {"denials", "Requests denied by the module, by reason"};
  int failed = 0;
  for (int i = STORE_TOKEN; i < MECHANISM_COUNT; i++)
    failed |= add(module, &grants, "mechanism", mechanism_names[i], &granted[i], 0);
  for (int i = 1; i < COTURN_AUTH_REASON_COUNT; i++)
    failed |= add(module, &denials, "reason", reason_names[i], &denied[i], 0);
  for (int i = 0; i < COUNTER_PLAIN; i++)
    failed |= add(module, &plain_descriptions[i], NULL, NULL, &plain[i], 0);
  for (int i = 0; i < GAUGE_COUNT; i++)
    failed |= add(module, &gauge_descriptions[i], NULL, NULL, &gauges[i], 1);
  return failed ? -1 : 0;
}
