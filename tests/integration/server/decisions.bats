#!/usr/bin/env bats
# The module's answers apart from the verdict: names, identity, deadlines; the cost of one answer.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  turncred_up || return 0
  realm_add turn.test "mechanisms='{token,derived,rest,pushed}'" "expiry_derived='grace'" grace_seconds=77 \
    user_quota=5 max_bps=123456
  realm_add other.test "mechanisms='{token,derived}'"
  key_add turn.test k1
  key_add turn.test k2
  key_add turn.test untagged token A256GCM none 'subject_tag=false'
  key_add turn.test d1 derived
  key_add turn.test d2 derived
  key_add turn.test r1 rest sha1 none "username_format='timestamp:user-id'"
  credential_push turn.test bob 0123456789abcdef-bob
  mkdir -p "$TC_DIR/servers/host"
  cat >"$TC_DIR/servers/host/module.conf" <<CONF
database = $TC_DATABASE
kek = $TC_DIR/kek/main
CONF
  turncred_need "$TC_BUILD/tests/integration/module_host"
}
setup() { turncred_ready; }
teardown() { turncred_check; }
teardown_file() { turncred_down; }

@test "names, identity and deadline of every kind" {
  turn_step host names_identity_deadline
}

@test "reasons: the most exact reason for each fault" {
  turn_step host reasons
}

@test "a newer host that has a counter of the same name" {
  turn_step host counter_of_the_host
}

@test "a decision allocates nothing of its own once it is warm, and its time is stated" {
  turn_step host allocations_and_time
}

@test "four threads at once, while users, keys and credentials change under them" {
  turn_step host four_threads
}
