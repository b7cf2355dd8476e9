#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Several TURN servers on one database: who stops says so, and nobody waits for it.

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  realm_add turn.test "mechanisms='{derived,pushed,rest,token}'"
  key_add turn.test d1 derived
  key_add turn.test r1 rest
  key_add turn.test t1
  caller_add rest rest,token turn.test
  caller_add pcscf derived,push,revoke '*'
  server_start a
  daemon_start main 'push_wait = 3s' 'caller_rate = 0'
  synced
}
setup() { daemon_ready; }
teardown() { turncred_check; daemon_check; }
teardown_file() { daemon_down; }

step() { /usr/bin/python3 "$BATS_TEST_DIRNAME/fleet.py" "$@"; }
state() { "$TC_CTL" server list --json | jq -r --arg id "$1" '.[] | select(.id == $id) | .state'; }
state_is() { [[ $(state "$1") == "$2" ]]; }
push() { CALLER=pcscf call_json "$1" POST /v1/realms/turn.test/credentials "{\"user\": \"$2\", \"kind\": \"pushed\"}"; }

@test "with one of two servers stopped in an orderly way, 100 pushes are as fast as before, and none is answered 202" {
  server_start b
  synced
  step pushes 100 "$TC_DIR/both"
  server_stop b
  step pushes 100 "$TC_DIR/one" # at once
  step compare "$TC_DIR/both" "$TC_DIR/one" 3000 >&3
  [ "$(state b)" = stopped ]
  [ "$(state a)" = running ]
  # in force: the server that runs has it
  push 200 nina && probe a
}

@test "a server that comes back is waited for again" {
  server_start b
  wait_for 10 state_is b running
  synced
  [ "$(sql "SELECT stopped_at IS NULL FROM turncred.instance WHERE id = 'b'")" = t ]
  kill -STOP "$(<"$TC_DIR/servers/b/pid")"
  push 202 otto
  kill -CONT "$(<"$TC_DIR/servers/b/pid")"
  server_stop b
}

@test "one that was killed is waited for as long as silent_after says; server forget ends that" {
  server_start b
  synced
  kill -9 "$(<"$TC_DIR/servers/b/pid")"
  push 202 paul
  daemon_start short 'silent_after = 15s'
  # as it will be 16 s later
  sql "UPDATE turncred.instance SET last_seen = now() - interval '16 s' WHERE id = 'b'"
  DAEMON=short push 200 quentin
  push 202 rita
  [ "$(state b)" = running ]
  "$TC_CTL" server forget b --json
  push 200 sam
  rm "$TC_DIR/servers/b/pid"
}

@test "a rotation does not wait for a server or an issuer that has stopped" {
  server_start b
  daemon_start other
  synced
  server_stop b
  daemon_stop other
  [ "$(state issuer-other)" = stopped ]
  "$TC_CTL" key rotate turn.test --use derived --wait 10s --json >"$TC_DIR/rotated"
  [ "$(jq -r .complete "$TC_DIR/rotated")" = true ]
  [ "$(sql "SELECT count(*) FROM turncred.behind((SELECT max(xid) FROM turncred.change))")" = 0 ]
  "$TC_CTL" doctor --json >"$TC_DIR/doctor" || true
  jq -e '[.. | objects | select((.text? // .finding? // "") | test("\"b\" has stopped in an orderly way"))] | length > 0' \
    "$TC_DIR/doctor"
}

@test "a server that stops while the database does not answer stops all the same" {
  server_start b
  synced
  pkill_pg STOP
  local begin=$SECONDS
  server_stop b
  pkill_pg CONT
  [ $((SECONDS - begin)) -lt 9 ] # server_stop kills after 10 s
  "$TC_CTL" server forget b --json
}
# The backends of this cluster, by their pids.
pkill_pg() { kill -"$1" "$(head -n 1 "$TC_DIR/pg/data/postmaster.pid")" $(pgrep -P "$(head -n 1 "$TC_DIR/pg/data/postmaster.pid")"); }

# --- what servers advertise ---------------------------------------------------------------------

# uris [JSON-MEMBERS]: what a new client is told, one a line
uris() {
  CALLER=pcscf call_json 201 POST /v1/realms/turn.test/credentials "{\"user\": \"una\"${1-}}" || return
  [ "$(value '.iceServers[0].urls | join(" ")')" = "$(value '.uris | join(" ")')" ] || return
  value '.uris[]'
}
told() { [[ $(uris "${2-}" | paste -sd ' ') == "$1" ]]; }
# drawn COUNT [JSON-MEMBERS]: all that is told in so many answers
drawn() { local i; for ((i = 0; i < $1; i++)); do uris "${2-}" | paste -sd ' '; done | sort | uniq -c | sed 's/^ *//'; }
told_all() { [ "$("$TC_CTL" server list --json | jq '[.[] | select(.uris != [] and .state == "running")] | length')" -eq "$1" ]; }
fallback='turn:turn.test-server?transport=udp turn:turn.test-server?transport=tcp'

@test "servers that advertise their URIs: two at most, the region first, by weighted chance; TLS and port 443" {
  told "$fallback"
  server_start b 'module:uris = turn:b.example:3478?transport=udp TURNS:B.example:443?transport=tcp' 'module:region = eu'
  wait_for 10 told 'turn:b.example:3478?transport=udp turns:b.example:443?transport=tcp'
  server_start c 'module:uris = turn:c.example' 'module:region = us' 'module:weight = 300'
  server_start d 'module:uris = turn:d.example' 'module:region = us' 'module:weight = 100'
  wait_for 10 told_all 3
  within_look
  # without a region: two of three in each order; the heavy one is first about three times in five
  drawn 60 | tee "$TC_DIR/drawn"
  [ "$(awk '{ n += $1 } END { print n }' "$TC_DIR/drawn")" -eq 60 ]
  awk '$2 == "turn:c.example" { n += $1 } END { exit !(n > 18 && n < 54) }' "$TC_DIR/drawn" # 5 sigma
  run ! grep -E '(example.*){4}' "$TC_DIR/drawn" # two servers, of which b has two URIs
  # of a region first, then any
  drawn 10 ', "region": "eu"' | tee "$TC_DIR/eu"
  run ! grep -v '^[0-9]* turn:b.example:3478?transport=udp turns:b.example:443?transport=tcp turn:[cd].example$' "$TC_DIR/eu"
  drawn 10 ', "region": "us"' | tee "$TC_DIR/us"
  run ! grep b.example "$TC_DIR/us"
  # turncredd's own region, where the request names none
  daemon_start europe 'region = eu'
  [ "$(DAEMON=europe uris | head -n 1)" = 'turn:b.example:3478?transport=udp' ]
  CALLER=pcscf call_json 400 POST /v1/realms/turn.test/credentials '{"user": "una", "region": "e u"}'
  has_error invalid_request '^region:'
}

@test "every way to ask gets the same: pushed, REST, tokens" {
  server_start b 'module:uris = turn:b.example' 'module:region = eu'
  wait_for 10 told turn:b.example
  CALLER=pcscf call_json 200 POST /v1/realms/turn.test/credentials '{"user": "vera", "kind": "pushed"}'
  [ "$(value '.uris | join(" ")')" = turn:b.example ]
  [ "$(value '.iceServers[0].urls | join(" ")')" = turn:b.example ]
  CALLER=rest call 200 GET '/?service=turn&username=wim&realm=turn.test&region=eu'
  [ "$(value '.uris | join(" ")')" = turn:b.example ]
  CALLER=rest call 400 GET '/?service=turn&username=wim&realm=turn.test&region=e%20u'
  # an empty region is none
  CALLER=pcscf call_json 201 POST /v1/realms/turn.test/credentials '{"user": "vera", "region": ""}'
  CALLER=pcscf call_json 200 PUT /v1/realms/turn.test/credentials/vera '{"password": "0123456789abcdefghij", "region": ""}'
  CALLER=rest call 200 GET '/?service=turn&username=wim&realm=turn.test&region='
  CALLER=rest call 200 POST / -d 'service=turn&username=wim&realm=turn.test&region='
  call 200 POST /oauth2/token -d grant_type=client_credentials -d scope=stun -d audience=turn.test-server -d region= \
    -d client_id=rest --data-urlencode "client_secret=$(key_of rest)"
  call 200 POST /oauth2/token -d grant_type=client_credentials -d scope=stun -d audience=turn.test-server -d region=eu \
    -d client_id=rest --data-urlencode "client_secret=$(key_of rest)"
  [ "$(value '.uris | join(" ")')" = turn:b.example ]
}

@test "goodbye and drain take a server out within a second; a restart brings it back; the realm's list is the fallback" {
  server_start b 'module:uris = turn:b.example'
  server_start c 'module:uris = turn:c.example'
  wait_for 10 told_all 2
  within_look
  "$TC_CTL" server drain c --json
  told turn:b.example
  [ "$(state c)" = draining ]
  server_stop b
  wait_for 1 told "$fallback"
  "$TC_CTL" server undrain c --json
  told turn:c.example
  server_start b 'module:uris = turn:b.example'
  wait_for 10 drawn_has b
}

@test "silence puts a server last, and only while most others are heard; the database away changes nothing" {
  local name
  for name in b c d; do server_start "$name" "module:uris = turn:$name.example"; done
  wait_for 10 told_all 3
  kill -STOP "$(<"$TC_DIR/servers/c/pid")"
  silent c
  wait_for 15 never c
  # the database away: the list stays as it was
  pg_away
  never c
  drawn_has b
  pg_back
  # two of three are silent: each stays what it was
  kill -STOP "$(<"$TC_DIR/servers/d/pid")"
  silent c d
  within_look
  never c
  drawn_has d
  kill -CONT "$(<"$TC_DIR/servers/c/pid")" "$(<"$TC_DIR/servers/d/pid")"
  wait_for 30 drawn_has c
}
# silent NAME...: as two minutes later; and issuers look at servers at once
silent() {
  sql "UPDATE turncred.instance SET last_seen = now() - interval '2 minutes' WHERE id = ANY (string_to_array('$*', ' '))" \
    "INSERT INTO turncred.change (kind, name) VALUES ('server', 'd')" 'NOTIFY turncred'
}
never() { run ! drawn_has "$1"; }
drawn_has() { drawn 12 | grep "$1.example"; }
# the issuer has looked since
within_look() { wait_for 10 looked "$(sql 'SELECT max(xid) FROM turncred.change')"; }
looked() { [ "$(sql "SELECT progress > '$1' FROM turncred.instance WHERE id = 'issuer-main'")" = t ]; }
pg_away() { as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$TC_DIR/pg/data" -m fast -w stop >/dev/null; }
pg_back() {
  as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$TC_DIR/pg/data" -l "$TC_DIR/pg/postgresql.log" -w -t 60 start >/dev/null 2>&1 </dev/null 3>&- 4>&-
  daemon_log_has main 'database: connected again' 30
}

@test "what is no TURN URI or no region keeps a server from starting, with the field" {
  local line
  for line in 'uris = turn:ok.example http://bad.example' 'region = e u'; do
    run server_start bad "module:$line"
    [ "$status" -ne 0 ]
    grep -Eq "module.conf: (uris: \"http://bad.example\"|region: letters)" "$TC_DIR/servers/bad/log" "$TC_DIR/servers/bad/output"
  done
}
