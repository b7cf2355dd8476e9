/*
 * auth_quota.c - quota of sessions with a grant: by its quota name, in the counters of its realm
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_session.h"

static int change_quota(char *name, char *realm, uint32_t user_quota, uint32_t total_quota,
                        int add) {
  realm_params_t *rp = get_realm(realm);
  const perf_options_t *po = &rp->options.perf_options;
  ur_string_map_value_type value = 0;
  size_t limit = user_quota ? user_quota : (size_t)po->user_quota;
  size_t total = total_quota ? total_quota : (size_t)po->total_quota;
  int ret = 0;

  ur_string_map_lock(rp->status.alloc_counters);
  ur_string_map_get(rp->status.alloc_counters, (ur_string_map_key_type)name, &value);
  if (add) {
    if ((total && (size_t)rp->status.total_current_allocs >= total) ||
        (limit && (size_t)value >= limit)) {
      ret = -1;
    } else {
      value = (ur_string_map_value_type)((size_t)value + 1);
      ur_string_map_put(rp->status.alloc_counters, (ur_string_map_key_type)name, value);
      ++(rp->status.total_current_allocs);
    }
  } else {
    if ((size_t)value > 1)
      ur_string_map_put(rp->status.alloc_counters, (ur_string_map_key_type)name,
                        (ur_string_map_value_type)((size_t)value - 1));
    else if (value)
      ur_string_map_del(rp->status.alloc_counters, (ur_string_map_key_type)name);
    if (rp->status.total_current_allocs)
      --(rp->status.total_current_allocs);
  }
  ur_string_map_unlock(rp->status.alloc_counters);
  return ret;
}

int auth_inc_quota(ts_ur_super_session *ss) {
  const struct auth_session *st = ss->auth_session;
  if (ss->quota_used)
    return 0;
  if (change_quota(st->quota_name, ss->realm_options.name, st->user_quota, st->total_quota, 1) <
      0) {
    struct auth_refusal r;
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

void auth_dec_quota(ts_ur_super_session *ss) {
  if (ss->quota_used) {
    ss->quota_used = 0;
    change_quota(ss->auth_session->quota_name, ss->realm_options.name, 0, 0, 0);
  }
}
