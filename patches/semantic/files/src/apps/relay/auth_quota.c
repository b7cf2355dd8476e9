/*
 * auth_quota.c - quota of sessions with a grant: by its quota name, in the counters of its realm
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * What was charged is written down and is what is released: names and realms of a session change.
 */

#include "auth_exchange.h"

/* 4.6.3 and 4.7.0 count for drain mode where they keep the quota of their own users */
static void count_for_drain(int step) {
#ifdef QUOTA_COUNTS_ALLOCATIONS
  global_allocation_count += (size_t)step;
#else
  UNUSED_ARG(step);
#endif
}

/* 0, or -1 if the limits of the grant, or else of its realm, are reached; without a grant there are
 * none. */
static int add(const struct auth_charge *charge, const struct auth_session *grant) {
  realm_params_t *rp = get_realm(charge->realm);
  const perf_options_t *po = &rp->options.perf_options;
  ur_string_map_value_type value = 0;
  size_t limit = 0, total = 0;
  int ret = -1;

  if (grant) {
    limit = grant->user_quota ? grant->user_quota : (size_t)po->user_quota;
    total = grant->total_quota ? grant->total_quota : (size_t)po->total_quota;
  }
  ur_string_map_lock(rp->status.alloc_counters);
  ur_string_map_get(rp->status.alloc_counters, (ur_string_map_key_type)charge->name, &value);
  if ((!total || (size_t)rp->status.total_current_allocs < total) && (!limit || (size_t)value < limit)) {
    value = (ur_string_map_value_type)((size_t)value + 1);
    ur_string_map_put(rp->status.alloc_counters, (ur_string_map_key_type)charge->name, value);
    ++(rp->status.total_current_allocs);
    ret = 0;
  }
  ur_string_map_unlock(rp->status.alloc_counters);
  if (!ret) {
    count_for_drain(1);
  }
  return ret;
}

static void take_off(const struct auth_charge *charge) {
  realm_params_t *rp = get_realm(charge->realm);
  ur_string_map_value_type value = 0;

  ur_string_map_lock(rp->status.alloc_counters);
  ur_string_map_get(rp->status.alloc_counters, (ur_string_map_key_type)charge->name, &value);
  if ((size_t)value > 1) {
    ur_string_map_put(rp->status.alloc_counters, (ur_string_map_key_type)charge->name,
                      (ur_string_map_value_type)((size_t)value - 1));
  } else if (value) {
    ur_string_map_del(rp->status.alloc_counters, (ur_string_map_key_type)charge->name);
  }
  if (rp->status.total_current_allocs) {
    --(rp->status.total_current_allocs);
  }
  ur_string_map_unlock(rp->status.alloc_counters);
  count_for_drain(-1);
}

static void forget(struct auth_charge *charge) {
  free(charge->name);
  free(charge->realm);
  memset(charge, 0, sizeof(*charge));
}

int auth_inc_quota(ts_ur_super_session *ss) {
  struct auth_session *st = ss->auth_session;
  if (ss->quota_used) {
    return 0;
  }
  st->charge.name = strdup(st->quota_name);
  st->charge.realm = strdup(st->accounting_realm);
  if (!st->charge.name || !st->charge.realm || add(&st->charge, st) < 0) {
    struct auth_refusal r;
    forget(&st->charge);
    memset(&r, 0, sizeof(r));
    r.client = ss->client_socket ? get_remote_addr_from_ioa_socket(ss->client_socket) : NULL;
    r.realm = st->realm;
    r.user = (const char *)ss->username;
    r.method = STUN_METHOD_ALLOCATE;
    r.code = 486;
    r.reason = COTURN_AUTH_REASON_QUOTA;
    r.session = ss->id;
    auth_report_refusal(&r);
    return -1;
  }
  ss->quota_used = 1;
  return 0;
}

void auth_release_quota(ts_ur_super_session *ss) {
  struct auth_session *st = ss->auth_session;
  if (!st->charge.name) {
    return;
  }
  take_off(&st->charge);
  forget(&st->charge);
  ss->quota_used = 0;
}

void auth_dec_quota(ts_ur_super_session *ss) {
  allocation *a = get_allocation_ss(ss);
  /* up to 4.16 coturn asks for it when a mobile client goes, whose allocation stays */
  if (ss->is_mobile && (get_relay_socket(a, AF_INET) || get_relay_socket(a, AF_INET6))) {
    return;
  }
  auth_release_quota(ss);
}

void auth_release_bps(ts_ur_super_session *ss) {
  const turn_turnserver *server = (const turn_turnserver *)ss->server;
  if (ss->bps && server->allocate_bps_func) {
    server->allocate_bps_func(ss->bps, 0);
  }
  ss->bps = 0;
}

int auth_is_charged(const ts_ur_super_session *ss, const char *name, const char *realm) {
  const struct auth_charge *charge = &ss->auth_session->charge;
  return charge->name && !strcmp(charge->name, name) && !strcmp(charge->realm, realm);
}

int auth_move_charge(ts_ur_super_session *ss) {
  struct auth_session *st = ss->auth_session;
  struct auth_charge old = st->charge;

  if (old.name) {
    take_off(&old);
  }
  memset(&st->charge, 0, sizeof(st->charge));
  ss->quota_used = 0;
  if (auth_inc_quota(ss) == 0) {
    forget(&old);
    return 0;
  }
  if (old.name) {
    add(&old, NULL);
    st->charge = old;
    ss->quota_used = 1;
  }
  return -1;
}
