#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Quota across servers (realm set --quota-scope fleet): who is let in at a second server, and for how long.
# TC_TRIES=1000 measures the bound (tests/integration/README.md).

load ../lib

TC_CTL=${TURNCREDCTL:-$TC_BUILD/turncredctl}

setup_file() {
  turncred_up || return 0
  export TURNCRED_KEK=$TC_DIR/kek/main TURNCRED_CONFIG=/dev/null
  export TURNCRED_DATABASE="host=$TC_DIR/pg/run dbname=turncred user=postgres"
  realm_add turn.test "mechanisms='{token,derived,rest,pushed}'" "usage='totals'" "user_quota=1" "quota_scope='fleet'"
  key_add turn.test d1 derived
  key_add turn.test k1
  start a
  start b
  synced
}
setup() { turncred_ready; }
teardown() { turncred_check; }
teardown_file() { turncred_down; }
start() { server_start "$1" 'module:wait_at_start = 10s'; }
realm() { "$TC_CTL" realm set turn.test "$@" --json >"$TC_DIR/realm" && synced; }

@test "quota 1 on two servers: at random instants after the first, a second one gets in only at once" {
  turn_step a tries "${TC_TRIES:-60}" b | tee "$TC_DIR/tries" >&3
}

@test "quota 2: two here, or one on each, and a third nowhere; what ends makes room" {
  realm --user-quota 2
  turn_step a two_of_two b
}

@test "tokens count by their user, where the realm keeps names" {
  realm --user-quota 1 --usage user
  "$TC_CTL" token issue turn.test tom --json >"$TC_DIR/token1"
  "$TC_CTL" token issue turn.test tom --json >"$TC_DIR/token2"
  turn_step a tokens_of_one_user b
}

@test "a server that has stopped or died bars nobody; the database away: the last answer stays" {
  realm --user-quota 1 --usage totals
  turn_step b holds_call ned
  turn_step a refused_soon ned
  as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$TC_DIR/pg/data" -m fast -w stop >/dev/null
  turn_step a refused_now ned
  as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$TC_DIR/pg/data" -l "$TC_DIR/pg/postgresql.log" -w -t 60 start >/dev/null 2>&1 </dev/null 3>&- 4>&-
  synced 30
  turn_step a refused_now ned
  server_stop b
  turn_step a let_in_soon ned
  start b
  synced
  turn_step b holds_call nat
  turn_step a refused_soon nat
  kill -9 "$(<"$TC_DIR/servers/b/pid")"
  rm "$TC_DIR/servers/b/pid"
  # as a minute later
  sql "UPDATE turncred.instance SET last_seen = now() - interval '61 s' WHERE id = 'b'"
  turn_step a let_in_soon nat
}

@test "a call whose end the database has lost, by a restore or a failover, bars nobody for good" {
  start b
  synced
  turn_step b holds_call nina
  turn_step a refused_soon nina
  # as if b had delivered the end to a database of which this one is the backup: b does not know of this call
  sql "UPDATE turncred.session_live SET number = number + 1000000, last_seen = now() - interval '1 day'"
  turn_step a let_in_soon nina
}

@test "scope server: each server counts by itself; a realm that records nothing cannot have the scope fleet" {
  start b
  realm --quota-scope server
  turn_step a one_on_each b
  run "$TC_CTL" realm set turn.test --quota-scope fleet --usage off --json
  [ "$status" -eq 1 ]
  [[ $output == *'set --usage to totals, user or address'* ]]
  run "$TC_CTL" realm set turn.test --quota-scope world --json
  [ "$status" -eq 1 ]
  [[ $output == *'one of server, fleet'* ]]
}
