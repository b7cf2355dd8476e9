#!/usr/bin/env bats
# Credentials that turncredctl issues after a revocation was lifted work; credentials from before stay invalid.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  CTL=$TC_BUILD/turncredctl
  export CTL
  turncred_need "$CTL"
  turncred_up
  export TURNCRED_KEK=$TC_DIR/kek/main TURNCRED_CONFIG=/dev/null TURNCRED_SCHEMA_DIR=$TC_TOP/plugin/schema
  ctl realm add turn.test --mechanisms token,derived,rest,pushed
  ctl key add turn.test t1
  ctl key add turn.test d1 --use derived
  ctl key add turn.test r1 --use rest
  server_start main
  synced
}
teardown() { turncred_check; }
teardown_file() { turncred_down; }

ctl() { "$CTL" "$@" --json >"$TC_DIR/out" 2>"$TC_DIR/err" || { local rc=$?; cat "$TC_DIR/err"; return $rc; }; }
# probe CREDENTIAL-FILE [OPTION...]
probe() { ctl probe --server "127.0.0.1:$(server_port main)" --credential "$@"; }

# next_second: until the clock shows another one. What the revocation before this one made necessary lengthens a
# credential by the second of its lifting, so a credential is old only from the next second on.
next_second() {
  local now=$EPOCHSECONDS
  wait_for 5 eval "((EPOCHSECONDS > $now))"
}

@test "after unrevoke of a user, a key or a realm every kind works at once, the old ones never again" {
  local how kind
  for how in 'user turn.test judy' 'kid turn.test d1' 'realm turn.test'; do
    "$CTL" credential issue turn.test judy --json >"$TC_DIR/old"
    next_second
    # shellcheck disable=SC2086
    ctl revoke $how
    probe "$TC_DIR/old" --expect-error 401
    # shellcheck disable=SC2086
    ctl unrevoke $how
    run "$CTL" credential issue turn.test judy --lifetime 10m
    [ "$status" -ne 0 ] && [[ $output == *--lifetime*lifted* ]]
    for kind in derived rest; do
      "$CTL" credential issue turn.test judy --kind $kind --json >"$TC_DIR/new"
      probe "$TC_DIR/new"
    done
    "$CTL" token issue turn.test judy --json >"$TC_DIR/new"
    probe "$TC_DIR/new"
    ctl credential push turn.test judy
    cp "$TC_DIR/out" "$TC_DIR/new"
    probe "$TC_DIR/new"
    probe "$TC_DIR/old" --expect-error 401
  done
}

@test "nothing is issued with a key that is revoked: turncredctl says so" {
  ctl key add turn.test bad
  ctl key add turn.test bad-derived --use derived
  ctl revoke kid turn.test bad
  ctl revoke kid turn.test bad-derived
  run "$CTL" token issue turn.test judy --kid bad
  [ "$status" -ne 0 ] && [[ $output == *'is revoked'*'key rotate'* ]]
  run "$CTL" credential issue turn.test judy --kid bad-derived
  [ "$status" -ne 0 ] && [[ $output == *'is revoked'*'key rotate'* ]]
}
