#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The programs of the last release (scripts/build-older) on the newest schema: alone, beside today's, and back to them.
# History: scripts/build-older

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  "$TC_TOP/scripts/build-older" >&2 || return
  OLDER=$TC_BUILD/older-$(sed -n 's/^older_revision=\([0-9a-f]*\).*/\1/p' "$TC_TOP/scripts/packaging/older.sh")
  export OLDER
  install -d -m 755 "$TC_DIR/lib-older"
  install -m 755 "$OLDER/turncred.so" "$TC_DIR/lib-older/turncred.so"
  realm_add turn.test "mechanisms='{token,derived,rest,pushed}'" "uris='{turn:turn.test}'"
  key_add turn.test k1
  key_add turn.test d1 derived
  key_add turn.test r1 rest sha1
  credential_push turn.test pia 'a-password-of-128-bits'
  caller_add pcscf derived,push,revoke '*'
  caller_add portal token turn.test
}
setup() {
  daemon_ready
  # that release's turncredd waits for servers that have stopped, as long as for silent ones
  sql 'DELETE FROM turncred.instance'
}
teardown() { turncred_check; daemon_check; }
teardown_file() { daemon_down; }

# older_server NAME [LINE...], older_daemon NAME [LINE...]: as server_start and daemon_start, but of that release
older_server() {
  local name=$1
  shift
  TC_TURNSERVER=$OLDER/coturn/bin/turnserver server_start "$name" -auth-module "auth-module=$TC_DIR/lib-older/turncred.so" \
    'module:-usage_dir' "module:snapshot_file = $TC_DIR/servers/$name/snapshot" "$@"
}
newer_server() { server_start "$1" "module:snapshot_file = $TC_DIR/servers/$1/snapshot" "${@:2}"; }
older_daemon() { TC_DAEMON=$OLDER/turncredd daemon_start "$@"; }
column() { "$TC_CTL" server list --json | jq -r --arg id "$1" ".[] | select(.id == \$id) | .$2"; }

# 0.1.0 told nobody which schema it knows, and could not be drained
is_first() { [[ $OLDER == */older-808ebf9 ]]; }
reports_as_older() { if is_first; then [ "$(column "$1" schema_known)" = null ]; else [ "$(column "$1" schema_known)" != null ]; fi; }

# here NAME...: they have reported, so that pushes and rotations wait for them
here() { wait_for 20 reported "$@"; }
reported() { [[ $(sql "SELECT count(*) FROM turncred.instance WHERE id = ANY (string_to_array('$*', ' ')) AND stopped_at IS NULL") == $# ]]; }

# every_kind DAEMON SERVER...: the daemon issues each kind, and each server takes it; one that it revokes is refused
every_kind() {
  local server pushed
  export DAEMON=$1
  shift
  CALLER=pcscf call_json 201 POST /v1/realms/turn.test/credentials '{"user": "ada"}'
  for server in "$@"; do probe "$server"; done
  CALLER='' call 200 POST /oauth2/token -d grant_type=client_credentials -d scope=stun -d audience=turn.test-server \
    -d client_id=portal --data-urlencode "client_secret=$(key_of portal)"
  for server in "$@"; do probe "$server"; done
  CALLER=pcscf call_json 200 POST /v1/realms/turn.test/credentials "{\"user\": \"pat\", \"kind\": \"pushed\"}"
  pushed=$(value .username)
  for server in "$@"; do probe "$server"; done
  cp "$TC_DIR/answer" "$TC_DIR/pushed"
  CALLER=pcscf call 200 DELETE "/v1/realms/turn.test/credentials/$pushed"
  for server in "$@"; do
    run "$TC_CTL" probe --server "127.0.0.1:$(server_port "$server")" --credential "$TC_DIR/pushed" --json
    [ "$status" -ne 0 ] && [[ $output == *401* ]]
  done
}

@test "the last release's server and turncredd on the newest schema: every kind, pushes everywhere, revocation" {
  older_server a
  older_daemon main 'push_wait = 20s'
  synced
  turn_step a all_get_in
  every_kind main a
  # what it reports is what it knows, and nobody takes it for a new one
  reports_as_older a
  [ "$(column a state)" = running ]
}

@test "beside today's server and turncredd: what one issues the other takes; keys rotate; live sessions end" {
  older_server a
  older_daemon main 'push_wait = 20s'
  newer_server b
  daemon_start today 'push_wait = 20s'
  here a b issuer-main issuer-today
  synced
  turn_step a all_get_in
  turn_step b all_get_in
  every_kind main a b
  every_kind today a b
  "$TC_CTL" key rotate turn.test --use derived --wait 20s --json >"$TC_DIR/rotated"
  [ "$(jq -r .complete "$TC_DIR/rotated")" = true ]
  every_kind main a b
  every_kind today a b
  turn_step a ended_on_both a b "$TC_CTL"
  is_first || return 0
  # what it cannot do is refused by name
  run "$TC_CTL" server drain a --json
  [ "$status" -eq 1 ]
  [[ $output == *'server "a" is too old to be drained'* ]]
  run "$TC_CTL" credential push turn.test lim --max-allocations 1 --json
  [ "$status" -eq 1 ]
  [[ $output == *'a limit of credential "lim" is too new for server "a" (turncred 0.1.0, schema 3 or older)'* ]]
  CALLER=pcscf DAEMON=today call_json 400 POST /v1/realms/turn.test/credentials '{"user": "lim", "kind": "pushed", "max_bps": 9}'
  has_error invalid_request 'too new for server'
}

@test "the way there and the way back under one name, with the snapshot and the state that each has left" {
  older_server a
  older_daemon main 'push_wait = 20s'
  synced
  every_kind main a
  server_stop a
  daemon_stop main
  newer_server a
  daemon_start main 'push_wait = 20s'
  synced
  [ "$(column a state)" = running ] && [ "$(column a schema_known)" != null ]
  every_kind main a
  server_stop a
  daemon_stop main
  [ "$(column a state)" = stopped ]
  older_server a
  older_daemon main 'push_wait = 20s'
  synced
  reports_as_older a
  [ "$(column a state)" = running ]
  turn_step a all_get_in
  every_kind main a
}

@test "the last release's turncredctl on the newest schema: it lists and issues" {
  older_server a
  synced
  "$OLDER/turncredctl" realm list --json --database "host=$TC_DIR/pg/run dbname=turncred user=postgres" | jq -e '.[0].name == "turn.test"'
  "$OLDER/turncredctl" key list turn.test --json --database "host=$TC_DIR/pg/run dbname=turncred user=postgres" | jq -e 'length >= 3'
  "$OLDER/turncredctl" credential issue turn.test olga --json --database "host=$TC_DIR/pg/run dbname=turncred user=postgres" >"$TC_DIR/answer"
  probe a
}
