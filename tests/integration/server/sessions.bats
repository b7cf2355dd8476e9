#!/usr/bin/env bats
# Rules of a session that is under way: deadlines, renewal, identity, revocation.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  turncred_up || return 0
  realm_add turn.test "mechanisms='{token,derived,pushed}'"
  key_add turn.test k1
  key_add turn.test k2
  key_add turn.test untagged token A256GCM none 'subject_tag=false'
  key_add turn.test d1 derived
  realm_add grace.test "mechanisms='{token,derived}'" "expiry_token='grace'" "expiry_derived='strict'" grace_seconds=3
  key_add grace.test g1
  key_add grace.test gd derived
  server_start main
  server_start grace -realm realm=grace.test
}
setup() { turncred_ready; }
teardown() { turncred_check; }
teardown_file() { turncred_down; }

@test "strict: lifetimes are capped by what is left, and the allocation ends at the deadline" {
  turn_step main strict_token
}

@test "grace: so many seconds later" {
  turn grace <<'PY'
c = client(token("g1", lifetime=3, age=4, realm="grace.test"))  # deadline in 4 s, grace 3 s
r = turnclient.need("allocate", c.allocate(600))
assert 5 <= r.number("LIFETIME") <= 7, r.number("LIFETIME")
PY
}

@test "allocate: a call outlives its credential; a new allocation does not" {
  turn_step main allocate
}

@test "strict for derived: the same, by realm" {
  turn_step grace strict_derived
}

@test "renewal: a new token of the same subject moves the deadline, and the old key is over" {
  turn_step main renewal_of_the_same_subject
}

@test "renewal: another subject gets 441 after its request has authenticated, and changes nothing" {
  turn_step main renewal_of_another_subject
}

@test "renewal: tokens without a subject tag renew by their kid" {
  turn main <<'PY'
c = client(token("untagged"))
turnclient.need("allocate", c.allocate())
turnclient.need("renew", c.renew(token("untagged")))
assert c.refresh(600, credential=token("k1"), token=True).code == 441
PY
}

@test "one spoofed packet does not poison a session (it does on stock coturn)" {
  turn_step main spoofed_packet
  turncred_need "$TC_STOCK"
  server_start_plain "$TC_STOCK" stock user=alice:secret
  turn_step stock spoofed_packet_at_stock
}

@test "quota counts the user id without its time, and a token's subject" {
  realm_add quota.test "mechanisms='{token,derived}'" user_quota=2
  key_add quota.test q1 token
  key_add quota.test qd derived
  server_start quota -realm realm=quota.test
  turn_step quota quota
}

# --- revocation ---------------------------------------------------------------------------------

@test "revoking a user ends its live allocations within a second, and nobody else's" {
  turn_step main revoked_user
  log_has main 'reason=revoked'
}

@test "lifting a revocation does not revive what was issued before" {
  turn_step main lifted_revocation
}

@test "revoking a token, and a user with all its tokens through issue_log" {
  turn_step main revoked_tokens
}

@test "revoking a pushed credential's user" {
  credential_push turn.test kim 0123456789abcdef-kim
  synced
  turn_step main revoked_pushed
  sleep 1.1
  credential_push turn.test kim 0123456789abcdef-new
  synced
  turn main <<'PY'
expect(0, password("kim", "0123456789abcdef-new"))
PY
}

@test "disabling a key and revoking a kid end the sessions that it let in" {
  key_add turn.test k3
  key_add turn.test d3 derived
  key_add turn.test k4
  synced
  turn_step main disabled_and_revoked_keys
}

@test "revoking a realm ends everything in it, and nothing elsewhere" {
  realm_add doomed.test "mechanisms='{token,derived}'"
  key_add doomed.test x1
  key_add doomed.test xd derived
  server_start doomed -realm realm=doomed.test
  turn_step doomed revoked_realm
  turn main <<'PY'
expect(0, derived("bob"))
PY
}

@test "a grant that races a revocation loses: no allocation survives, however close" {
  turn_step main race
}

@test "the module's list of live sessions ends empty" {
  local port
  port=$(free_port)
  server_start counted "module:prometheus = 127.0.0.1:$port"
  turn_step counted live_sessions "$port"
}
