#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Limits of a key and of a pushed credential: allocations of a user and octets per second, beside those of the realm.

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  realm_add turn.test "mechanisms='{token,derived,rest,pushed}'" "uris='{turn:turn.test}'"
  key_add turn.test k1
  key_add turn.test d1 derived
  key_add turn.test r1 rest sha1
  caller_add pcscf derived,push,revoke,rest '*'
  caller_add portal token turn.test
  server_start main "module:snapshot_file = $TC_DIR/servers/main.snapshot"
  daemon_start main 'push_wait = 20s'
  synced
}
setup() { daemon_ready; }
teardown() {
  turncred_check
  daemon_check
  sql "UPDATE turncred.key SET max_allocations = 0, max_bps = 0 WHERE max_allocations + max_bps > 0" \
    "UPDATE turncred.realm SET user_quota = 0, max_bps = 0"
}
teardown_file() { daemon_down; }

push() { # STATUS JSON
  CALLER=pcscf call_json "$1" POST /v1/realms/turn.test/credentials "$2" && cp "$TC_DIR/answer" "$TC_DIR/pushed"
}
key_set() { "$TC_CTL" key set turn.test "$@" --json >"$TC_DIR/key"; }

@test "max_allocations of a pushed credential: one more is 486, for its user alone; another push without it has none" {
  push 200 '{"user": "ann", "kind": "pushed", "max_allocations": 2, "max_bps": 3000}'
  [ "$(value .max_allocations)" = 2 ] && [ "$(value .max_bps)" = 3000 ]
  turn_step main pushed_allocations 2
  push 200 '{"user": "bea", "kind": "pushed"}'
  [ "$(value .max_allocations)" = null ]
  turn_step main pushed_allocations 4
  push 200 '{"user": "ann", "kind": "pushed"}'
  turn_step main pushed_allocations 4
  CALLER=pcscf call_json 200 PUT /v1/realms/turn.test/credentials/cat '{"password": "0123456789abcdefghij", "max_allocations": 1}'
  jq '.username = "cat" | .password = "0123456789abcdefghij"' "$TC_DIR/answer" >"$TC_DIR/pushed"
  turn_step main pushed_allocations 1
  # for a user with two devices the user's allocations count, each against the limit of its own credential
  push 200 '{"user": "dora", "username": "dora~1", "kind": "pushed", "max_allocations": 1}'
  cp "$TC_DIR/pushed" "$TC_DIR/first"
  push 200 '{"user": "dora", "username": "dora~2", "kind": "pushed", "max_allocations": 2}'
  turn_step main two_devices
}

@test "max_bps of a pushed credential slows its sessions, and no others" {
  push 200 '{"user": "slow", "kind": "pushed", "max_bps": 3000}'
  turn_step main through_pushed 0 10
  push 200 '{"user": "fast", "kind": "pushed"}'
  turn_step main through_pushed 30 30
}

@test "limits of a key: derived, rest and token; of key and realm the stricter one; a rotation keeps them" {
  local kid
  for kid in d1 r1 k1; do key_set "$kid" --max-allocations 2; done
  [ "$(jq .max_allocations "$TC_DIR/key")" = 2 ]
  synced
  turn_step main by_kind 2
  "$TC_CTL" realm set turn.test --user-quota 1 --json >"$TC_DIR/realm"
  synced
  turn_step main by_kind 1
  "$TC_CTL" realm set turn.test --user-quota 3 --json >"$TC_DIR/realm"
  synced
  turn_step main by_kind 2
  key_set d1 --max-bps 3000
  synced
  turn_step main through_derived 0 10
  "$TC_CTL" key rotate turn.test --use derived --wait 20s --json >"$TC_DIR/rotated"
  kid=$(sql "SELECT kid FROM turncred.key WHERE use = 'derived' AND state = 'active'")
  [ "$kid" != d1 ]
  [ "$(sql "SELECT max_bps || ' ' || max_allocations FROM turncred.key WHERE kid = '$kid'")" = '3000 2' ]
  key_set "$kid" --max-bps 0 --max-allocations 0
  "$TC_CTL" key add turn.test d8 --use derived --state published --max-bps 7 --max-allocations 8 --json >"$TC_DIR/key"
  [ "$(jq -c '[.max_bps, .max_allocations]' "$TC_DIR/key")" = '[7,8]' ]
}

@test "they stand in the snapshot on disk: a server that starts while the database is away has them" {
  push 200 '{"user": "eve", "kind": "pushed", "max_allocations": 1}'
  key_set r1 --max-allocations 1
  synced
  server_stop main
  as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$TC_DIR/pg/data" -m fast -w stop >/dev/null
  server_run main "$TC_TURNSERVER"
  turn_step main pushed_allocations 1
  turn_step main rest_allocations 1
  as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$TC_DIR/pg/data" -l "$TC_DIR/pg/postgresql.log" -w -t 60 start >/dev/null 2>&1 </dev/null 3>&- 4>&-
  synced 30
}

@test "what a kind cannot carry is refused with its name, over HTTPS; values out of range too" {
  local member
  for member in max_bps max_allocations; do
    push 400 "{\"user\": \"fay\", \"$member\": 5}" || return
    has_error invalid_request "^$member: a pushed credential alone can carry it"
    push 400 "{\"user\": \"fay\", \"kind\": \"rest\", \"$member\": 5}" || return
    has_error invalid_request "^$member: a pushed credential alone can carry it"
    CALLER=pcscf call 400 GET "/?service=turn&username=fay&realm=turn.test&$member=5" || return
    has_error invalid_request "^$member: a pushed credential alone"
    call 400 POST /oauth2/token -d grant_type=client_credentials -d scope=stun -d audience=turn.test-server \
      -d "$member=5" -d client_id=portal --data-urlencode "client_secret=$(key_of portal)" || return
    has_error invalid_request "^$member: a pushed credential alone"
    push 400 "{\"user\": \"fay\", \"kind\": \"pushed\", \"$member\": 0}" || return
    has_error invalid_request "^$member: must be a whole number from 1"
    push 400 "{\"user\": \"fay\", \"kind\": \"pushed\", \"$member\": \"many\"}" || return
    has_error invalid_request "^$member: must be a whole number"
  done
  push 400 '{"user": "fay", "kind": "pushed", "max_allocations": 2147483648}'
  openapi
}

@test "turncredctl and SQL: credential push with limits, and a list that shows them" {
  "$TC_CTL" credential push turn.test gil --max-allocations 3 --max-bps 5000 --json >"$TC_DIR/pushed"
  [ "$(jq -c '[.max_bps, .max_allocations]' "$TC_DIR/pushed")" = '[5000,3]' ]
  [ "$("$TC_CTL" credential list turn.test --user gil --json | jq -c '.[0] | [.max_bps, .max_allocations]')" = '[5000,3]' ]
  turn_step main pushed_allocations 3
  run "$TC_CTL" credential push turn.test gil --max-allocations -1 --json
  [ "$status" -eq 2 ] && [[ $output == *'--max-allocations: "-1" is not a whole number'* ]]
  # an older call over the same row: the limits are gone with the credential that had them
  "$TC_CTL" credential push turn.test gil --json >"$TC_DIR/pushed"
  [ "$(sql "SELECT max_bps + max_allocations FROM turncred.credential WHERE username = 'gil'")" = 0 ]
}
