#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# A drained server: new clients are sent to a sibling that lives, and get in there; calls go on.

load ../lib

TC_CTL=${TURNCREDCTL:-$TC_BUILD/turncredctl}

setup_file() {
  turncred_up || return 0
  export TURNCRED_KEK=$TC_DIR/kek/main TURNCRED_CONFIG=/dev/null
  export TURNCRED_DATABASE="host=$TC_DIR/pg/run dbname=turncred user=postgres"
  realm_add turn.test "mechanisms='{token,derived,rest,pushed}'" "usage='user'"
  key_add turn.test k1
  key_add turn.test d1 derived
  key_add turn.test r1 rest sha1
  credential_push turn.test pia 'a-password-of-128-bits'
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$TC_DIR/key.pem" -out "$TC_DIR/cert.pem" 2>/dev/null
  start a
  start b
  synced
}
setup() { turncred_ready; }
teardown() { turncred_check; }
teardown_file() { turncred_down; }

# start NAME [LINE...]: over TLS, too, at the port in servers/NAME/tls; it advertises all its ports
start() {
  local name=$1 dir=$TC_DIR/servers/$1
  shift
  mkdir -p "$dir"
  [[ -f $dir/tls ]] || { free_port >"$dir/tls"; free_port >"$dir/chosen"; }
  server_start "$name" -no-tls "cert=$TC_DIR/cert.pem" "pkey=$TC_DIR/key.pem" \
    "tls-listening-port=$(<"$dir/tls")" \
    "module:uris = turn:127.0.0.1:$(<"$dir/chosen") turns:localhost:$(<"$dir/tls")?transport=tcp" "$@"
}
server_folder() { # as in lib.bash, but that the port is chosen already
  local dir=$TC_DIR/servers/$1
  mkdir -p "$dir"
  if [[ -f $dir/chosen ]]; then cp "$dir/chosen" "$dir/port"; else free_port >"$dir/port"; fi
  printf '%s' "${BATS_TEST_NAME-}" >"$dir/test"
  : >"$dir/log" && : >"$dir/output"
}
drain() { "$TC_CTL" server drain "$1" --json; }
undrain() { "$TC_CTL" server undrain "$1" --json; }
column() { "$TC_CTL" server list --json | jq -r --arg id "$1" ".[] | select(.id == \$id) | .$2"; }
column_is() { [[ $(column "$1" "$2") == "$3" ]]; }

@test "a drained server answers each kind of credential 300, with integrity, and the sibling lets it in" {
  turn_step a all_get_in
  drain a
  turn_step a all_are_sent_to b
  turn_step a browsers_follow_to b
  # no credential, a wrong one: the challenge, as ever
  turn_step a still_challenges
  log_has a 'this server is drained'
  [ "$(column a state)" = draining ]
  undrain a
  turn_step a all_get_in
}

@test "over TLS it tells the name of the sibling's certificate, and over TCP the port" {
  drain a
  turn_step a sent_over tcp b port ''
  turn_step a sent_over tls b tls localhost
  undrain a
}

@test "calls go on at a drained server, and server list and metrics tell how many are left" {
  turn_step a call_outlives_drain "$TC_CTL"
  wait_for 10 column_is a sessions 0
  undrain a
}

@test "no sibling that fits: 508, with integrity; one that is drained, stopped, or of the other family is none" {
  drain a
  drain b
  turn_step a nowhere_to_go
  undrain b
  turn_step a all_are_sent_to b
  server_stop b
  turn_step a nowhere_to_go
  server_start c "module:uris = turn:[::1]:3478 turns:127.0.0.1:5349"
  wait_for 10 column_is c state running
  turn_step a nowhere_to_go
  undrain a
  server_stop c
  "$TC_CTL" server forget c --json
}

@test "a drain is obeyed within a second, and stays over a restart; sessions that are cut short by the stop are drained" {
  start b # the test above has stopped it
  synced
  turn_step a drained_within 1000 "$TC_CTL"
  server_stop a
  start a
  synced
  turn_step a all_are_sent_to b
  undrain a
  turn_step a cut_short "$TC_CTL"
  server_stop a
  wait_for 10 why_is drained
  start a
  undrain a
}
why_is() { [ "$(sql "SELECT why FROM turncred.session_log WHERE subject = 'cutshort'")" = "$1" ]; }

@test "DNS that hangs: a sibling that is drained is named no longer, one that is back is, and a known name stays" {
  start b # the test above has stopped it, and a
  free_port >"$TC_DIR/c-tls"
  server_start c "module:uris = turns:slow.test:$(<"$TC_DIR/c-tls")?transport=tcp"
  cp "$TC_DIR/c-tls" "$TC_DIR/servers/c/tls"
  TC_WRAPPER="env LD_PRELOAD=$TC_BUILD/tests/integration/.libs/slowdns.so SLOW_DNS=$TC_DIR/dns-hangs" start e
  synced
  drain e
  turn_step e all_are_sent_to b
  : >"$TC_DIR/dns-hangs"
  drain b
  turn_step e nowhere_to_go
  turn_step e sent_over tls c tls slow.test
  undrain b
  turn_step e all_are_sent_to b
  rm "$TC_DIR/dns-hangs"
  server_stop c
  server_stop e
  "$TC_CTL" server forget c --json
  "$TC_CTL" server forget e --json
}

@test "users that coturn itself lets in are no concern of the module" {
  server_start d -auth-module-only 'user=bob:not-a-secret' realm=coturn.test
  drain d
  turn_step d coturns_own
  "$TC_CTL" server forget d --json
}
