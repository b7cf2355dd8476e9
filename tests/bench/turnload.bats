#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Long: it tries the load generator, not the product
# The load generator against a real, unpatched coturn: it counts what happens, and it fails when
# something is wrong. A generator that accepts everything would make every benchmark look good.
bats_require_minimum_version 1.5.0

setup_file() {
  local top
  top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  # shellcheck source=../../scripts/lib.sh
  . "$top/scripts/lib.sh"
  export SERVER=${TURNSERVER_STOCK:-${top_builddir:-$top/build}/coturn-stock/bin/turnserver}
  export LOAD=${top_builddir:-$top/build}/tests/bench/turnload
  export TOP=$top
  [[ -x $LOAD && -x $SERVER ]] || return 0
  export PORT DIR=$BATS_FILE_TMPDIR
  PORT=$(free_port)
  touch "$DIR/servers"
  echo 'correct-horse' >"$DIR/right"
  echo 'wrong-horse' >"$DIR/false"
  serve "$PORT" lt-cred-mech user=bench:correct-horse
  wait_for 20 load --count 1 --rto 20
}

# serve PORT LINE...: turnserver with these lines in its configuration
serve() {
  local port=$1 dir=$DIR/$1
  shift
  mkdir "$dir"
  printf '%s\n' listening-port="$port" listening-ip=127.0.0.1 relay-ip=127.0.0.2 relay-threads=1 \
    realm=bench.example allow-loopback-peers no-tls no-dtls no-cli simple-log log-file="$dir/log" \
    pidfile="$dir/pid" userdb="$dir/turndb" "$@" >"$dir/turnserver.conf"
  "$SERVER" -c "$dir/turnserver.conf" >"$dir/output" 2>&1 3>&- &
  echo $! >>"$DIR/servers"
}

teardown_file() {
  local pid
  [[ ! -f ${DIR-}/servers ]] || while read -r pid; do kill "$pid"; done <"$DIR/servers"
}

setup() {
  [[ -x $LOAD && -x $SERVER ]] || skip "needs $LOAD and $SERVER"
}

load_with() {
  local password=$1
  shift
  "$LOAD" --server "127.0.0.1:$PORT" --user bench --password-file "$DIR/$password" "$@"
}
load() { load_with right "$@"; }

# member NAME: of the JSON in $output
member() { /usr/bin/python3 -c 'import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1].split("."):
    value = value[name]
print(json.dumps(value))' "$1" <<<"$output"; }

@test "every login is verified, wrong passwords are refused, calls get their datagrams back" {
  run -0 --separate-stderr load --count 400 --wrong 0.25 --calls 3 --json
  [[ $(member completed) == 300 ]]
  [[ $(member refused) == 100 ]]
  [[ $(member unexpected) == '{}' ]]
  [[ $(member lost) == 0 ]]
  [[ $(member calls.established) == 3 ]]
  (($(member calls.received) > 0))
  [[ $(member calls.received) == "$(member calls.rtt_us.count)" ]]
}

@test "open loop: no faster than the rate says" {
  run -0 --separate-stderr load --rate 100 --count 51 --json
  [[ $(member completed) == 51 ]]
  awk -v seconds="$(member seconds)" 'BEGIN { exit !(seconds >= 0.5) }'
}

@test "a password that the server refuses is counted by step and code, and fails the run" {
  run -1 --separate-stderr load_with false --count 5 --json
  [[ $(member unexpected) == '{"allocate 401": 5}' ]]
  [[ $(member ok) == false ]]
  run -0 --separate-stderr load_with false --count 5 --expect 401 --json
  [[ $(member expected) == '{"allocate 401": 5}' ]]
}

@test "a server that asks for no credential fails the run" {
  # shellcheck source=../../scripts/lib.sh
  . "$TOP/scripts/lib.sh"
  PORT=$(free_port)
  serve "$PORT" no-auth
  wait_for 20 answers
  run -1 --separate-stderr load --count 5 --json
  [[ $(member accepted_wrong) == 5 ]]
  [[ $(member ok) == false ]]
}
# Anything at all
answers() { load --count 1 --rto 10 --json | grep -q '"lost": 0'; }

@test "a list of credentials is used in turn" {
  {
    echo '{"username": "bench", "password": "correct-horse"}'
    echo '{"username": "bench", "password": "wrong-horse"}'
  } >"$DIR/list"
  run -1 --separate-stderr "$LOAD" --server "127.0.0.1:$PORT" --list "$DIR/list" --count 10 --json
  [[ $(member completed) == 5 ]]
  [[ $(member unexpected) == '{"allocate 401": 5}' ]]
}

@test "a list that grows: lines are taken while it runs, and when the last right login was sent is told" {
  echo '{"username": "bench", "password": "correct-horse"}' >"$DIR/growing"
  "$LOAD" --server "127.0.0.1:$PORT" --list "$DIR/growing" --follow --rate 50 --seconds 4 --expect 401 --json >"$DIR/followed" 3>&- &
  local load=$! begun=$EPOCHREALTIME
  sleep 1
  printf '{"username": "bench", ' >>"$DIR/growing" # half a line is none
  sleep 0.5
  local added=$EPOCHREALTIME
  printf '"password": "wrong-horse"}\n' >>"$DIR/growing"
  wait "$load"
  output=$(<"$DIR/followed")
  # every other login uses the newest credential, the others take turns: from then on three in four are wrong
  (($(member completed) > 60 && $(member completed) < 150))
  (($(member 'expected.allocate 401') > 50))
  awk -v begun="$begun" -v added="$added" -v first="$(member first_refusal_at)" -v last="$(member last_login_at)" \
    'BEGIN { exit !(added <= first && first < added + 1 && first < last && last < begun + 8) }'
}

@test "the server's part of a round trip is told apart from the generator's" {
  run -0 --separate-stderr load --count 0 --seconds 2 --calls 2 --json
  [[ $(member calls.relay_us.count) == "$(member calls.rtt_us.count)" ]]
  (($(member calls.relay_us.p50) > 0 && $(member calls.relay_us.p50) < $(member calls.rtt_us.p50)))
  # the value shows a server that stands still for 0.3 s, but not a generator that does
  local server
  server=$(head -n 1 "$DIR/servers")
  load --count 0 --seconds 2 --calls 1 --json >"$DIR/server-stands" 3>&- &
  local load=$!
  sleep 0.8 && kill -STOP "$server" && sleep 0.3 && kill -CONT "$server"
  wait "$load"
  output=$(<"$DIR/server-stands")
  echo "relay $(member calls.relay_us)"
  (($(member calls.relay_us.max) > 200000))
  "$LOAD" --server "127.0.0.1:$PORT" --user bench --password-file "$DIR/right" --count 0 --seconds 2 --calls 1 \
    --json >"$DIR/generator-stands" 3>&- &
  load=$!
  sleep 0.8 && kill -STOP "$load" && sleep 0.3 && kill -CONT "$load"
  wait "$load"
  output=$(<"$DIR/generator-stands")
  echo "own lag $(member loop_lag_us), relay $(member calls.relay_us)"
  (($(member loop_lag_us) > 200000 && $(member calls.relay_us.max) < 200000))
}

@test "credentials are minted from a key: rest, which unpatched coturn knows" {
  # shellcheck source=../../scripts/lib.sh
  . "$TOP/scripts/lib.sh"
  PORT=$(free_port)
  serve "$PORT" use-auth-secret static-auth-secret=some-shared-secret
  printf %s some-shared-secret >"$DIR/key"
  mint=("$LOAD" --server "127.0.0.1:$PORT" --mint rest --key-file "$DIR/key" --rto 20)
  wait_for 20 "${mint[@]}" --username-format timestamp:user-id --count 1
  run -0 --separate-stderr "${mint[@]}" --username-format timestamp:user-id --count 50 --wrong 0.5 --json
  [[ $(member completed) == 25 ]]
  [[ $(member refused) == 25 ]]
}

@test "a success whose MESSAGE-INTEGRITY is wrong is no answer" {
  coproc /usr/bin/python3 "$BATS_TEST_DIRNAME/damage.py" "$PORT"
  read -r PORT <&"${COPROC[0]}"
  run -1 --separate-stderr load --count 2 --rto 10 --json
  [[ $(member completed) == 0 ]]
  [[ $(member lost) == 2 ]]
  (($(member bad_integrity) >= 2))
}

@test "no server: requests are repeated seven times, then lost" {
  # shellcheck source=../../scripts/lib.sh
  . "$TOP/scripts/lib.sh"
  PORT=$(free_port) run -1 --separate-stderr load --count 2 --rto 10 --json
  [[ $(member lost) == 2 ]]
  [[ $(member retransmits) == 12 ]]
}

@test "options that make no sense are refused with their name" {
  run -2 load --count 0
  run -2 load --count x
  [[ $output == *--count* ]]
  run -2 "$LOAD" --server "127.0.0.1:$PORT" --list "$DIR/nothing" --count 1
  [[ $output == *nothing* ]]
  run -2 "$LOAD" --server "127.0.0.1:$PORT" --mint token --key-file "$DIR/right" --count 1
  [[ $output == *--kid* ]]
}

@test "compare: right answers of every kind from unpatched and patched coturn" {
  [[ -x ${TURNSERVER-} ]] || skip "needs TURNSERVER, a patched one"
  run -0 "$BATS_TEST_DIRNAME/compare" --short
}

@test "spoofed: right answers to sources that have shown nothing, from unpatched and patched coturn" {
  [[ -x ${TURNSERVER-} ]] || skip "needs TURNSERVER, a patched one"
  run -0 "$BATS_TEST_DIRNAME/spoofed" --short
  [[ $output =~ forged\ +3\ \|\ module ]]
}

@test "media: datagrams arrive unchanged through unpatched and patched coturn" {
  [[ -x ${TURNSERVER-} ]] || skip "needs TURNSERVER, a patched one"
  run -0 "$BATS_TEST_DIRNAME/media" --short
  [[ $output == *ChannelData* && $output == *Send* ]]
}

@test "flat: right answers with sessions, keys, realms, accepted keys, revocations, threads" {
  [[ -x ${TURNSERVER-} ]] || skip "needs TURNSERVER, a patched one"
  run -0 "$BATS_TEST_DIRNAME/flat" --short --out "$BATS_TEST_TMPDIR/flat"
  [ "$(wc -l <"$BATS_TEST_TMPDIR/flat.csv")" -eq 7 ]
  grep -q '<polyline' "$BATS_TEST_TMPDIR/flat.svg"
}

@test "usage: sessions are recorded as their clients have counted, alive and ended" {
  [[ -x ${TURNSERVER-} ]] || skip "needs TURNSERVER, a patched one"
  run -0 "$BATS_TEST_DIRNAME/usage" --short
  [[ $output =~ session\ list\ of\ 50:\ [0-9] ]]
}

@test "instructions: right answers under callgrind" {
  [[ -x ${TURNSERVER-} ]] || skip "needs TURNSERVER, a patched one"
  command -v callgrind_control >/dev/null || skip "needs valgrind"
  run -0 "$BATS_TEST_DIRNAME/instructions" --short
  [[ $output =~ cryptography\ +[1-9] ]]
}

@test "timing: classes that a client must not tell apart get the same answer" {
  [[ -x ${TURNSERVER-} && -x ${top_builddir:-$TOP/build}/tests/integration/module_host ]] || skip "needs TURNSERVER, a patched one, and module_host"
  run -0 "$BATS_TEST_DIRNAME/timing" --short
  [[ $output == *'answer, us | pushed: known or unknown user'* ]]
}
