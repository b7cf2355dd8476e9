#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# turncredd's life: settings, start, reload, drain, watchdog, slow clients, limits, TURN REST, and what
# becomes of issues when the database is away or the daemon is killed.

load ../lib
load daemon
load ../slow

setup_file() {
  daemon_up || return 0
  realm_add turn.test "mechanisms='{token,derived,rest,pushed}'"
  realm_add two.test "mechanisms='{derived}'"
  key_add turn.test t1
  key_add turn.test d1 derived
  key_add turn.test r1 rest sha1
  key_add two.test d2 derived
  caller_add all derived,rest,push,token,exchange,revoke,metrics '*'
  caller_add one rest,derived turn.test
  caller_add synapse rest turn.test
  server_start main
  daemon_start main
  synced
  wait_for 5 tagged
}
tagged() { [ "$(sql "SELECT count(*) FROM turncred.key WHERE use = 'tag'")" = 1 ]; }
setup() { daemon_ready; }
teardown() { turncred_check; daemon_check; }
teardown_file() { daemon_down; }

monitor() { curl -s --max-time 5 "http://127.0.0.1:$(<"$TC_DIR/daemons/${DAEMON:-main}/monitor")$1"; }
undelivered() { [ "$(monitor /readyz | jq .undelivered)" "${@:-=}" "${2:-0}" ]; }
delivered() { [ "$(monitor /readyz | jq .undelivered)" = 0 ]; }
issue() { CALLER=all call_json 201 POST /v1/realms/turn.test/credentials "{\"user\": \"$1\"}"; }
issued() { sql "SELECT count(*) FROM turncred.issue_log WHERE subject LIKE '$1'"; }

@test "libmicrohttpd finds the accept4 and the epoll_ctl of the program" {
  local symbols
  symbols=$(nm -D --defined-only "$TC_DAEMON" | awk '{ print $3 }')
  grep -qx accept4 <<<"$symbols"
  grep -qx epoll_ctl <<<"$symbols"
}

@test "options and settings: help, version, check, and what is wrong is named" {
  "$TC_DAEMON" --help | grep -q SIGHUP
  "$TC_DAEMON" --version | grep -qE '^turncredd [0-9]'
  local conf=$TC_DIR/try.conf dir=$TC_DIR/daemons/main
  "$TC_DAEMON" --config "$dir/conf" --check
  try() { # TEXT SED-SCRIPT: refused with TEXT
    sed "$2" "$dir/conf" >"$conf"
    run "$TC_DAEMON" --config "$conf" --check
    [ "$status" -eq 2 ] && [[ $output == *"$1"* ]] || { echo "$output" && return 1; }
  }
  try 'unknown setting "htps": did you mean "https"' 's/^https /htps /'
  # what is no setting's name may be a connection string with its password
  try ':1: this line does not begin with' '1s|.*|database: postgresql://op:hidden@db/turncred?connect_timeout=5|'
  [[ $output != *hidden* ]]
  try 'https is missing' '/^https /d'
  try 'database is given twice' '1p'
  try 'https is "localhost:1"' 's/^https .*/https = localhost:1/'
  try 'monitor is "0.0.0.0:9000": say a loopback' 's/^monitor .*/monitor = 0.0.0.0:9000/'
  try 'journal_full is "maybe": say stop|continue' '$ajournal_full = maybe'
  try 'threads is "0": say a whole number from 1 to 64' '$athreads = 0'
  try 'only asymmetric' '$a[issuer x]\nurl = https://x\naudience = a\njwks = /x\nrealms = x\nalgorithms = RS256 HS256'
  try '[issuer x]: audience is missing' '$a[issuer x]\nurl = https://x'
  try '[issuer x]: realms is missing' '$a[issuer x]\nurl = https://x\naudience = a\njwks = /x'
  try 'types has JWT: require_claim must be given too' \
    '$a[issuer x]\nurl = https://x\naudience = a\njwks = /x\nrealms = x\ntypes = at+jwt jwt'
  try '"scope" is not NAME=VALUE' '$a[issuer x]\nurl = https://x\naudience = a\njwks = /x\nrealms = x\nrequire_claim = scope'
  try 'another section has this url' \
    '$a[issuer x]\nurl = https://x\naudience = a\njwks = /x\nrealms = x\n[issuer y]\nurl = https://x\naudience = b\njwks = /x\nrealms = y'
  try 'there is a section of this name already' \
    '$a[issuer x]\nurl = https://x\naudience = a\njwks = /x\nrealms = x\n[issuer x]\nurl = https://y'
  try 'a section begins with [issuer NAME]' '$a[isuer x]'
  try 'a name has letters' '$a[issuer x y]'
  try 'belongs in front of the first section' '$a[issuer x]\nthreads = 2'
  try 'did you mean "realms"' '$a[issuer x]\nrealm = x'
  try 'jwt_issuer is no setting any more: issuers have sections' '$ajwt_issuer = https://x'
  try 'public_exchange is no setting any more: issuers have sections' '$apublic_exchange = yes'
  try 'turncredd.conf(5)' '$azzzzzzzzzzzz = 1'
  run "$TC_DAEMON" --wrong
  [ "$status" -eq 2 ]
  # every setting is documented, and nothing else is
  diff <(sed -n 's/^    {"\([a-z_]*\)", SETTING.*/\1/p' "$TC_TOP/plugin/turncredd/daemon_settings.c" "$TC_TOP/plugin/turncredd/issuer_settings.c" "$TC_TOP/plugin/store/store_settings.h" | sort) \
    <(sed -n 's/^\.BI "\([a-z_]*\) =.*/\1/p' "$TC_TOP/plugin/turncredd/turncredd.conf.5" | sort)
}

@test "what cannot be used stops a start with a sentence: certificate, state_dir in use, address in use" {
  local dir=$TC_DIR/daemons/bad
  mkdir -p "$dir/state" && free_port >"$dir/port" && free_port >"$dir/monitor" && : >"$dir/test"
  daemon_conf bad >"$dir/conf"
  refused() {
    run timeout 20 "$TC_DAEMON" --config "$dir/try"
    [ "$status" -ne 0 ] && [ "$status" -ne 124 ] && [[ $output == *"$1"* ]] || { echo "$output" && return 1; }
  }
  sed "s#^tls_key .*#tls_key = $TC_DIR/tls/client.key#" "$dir/conf" >"$dir/try" && refused 'is not the key of the first certificate in tls_certificate'
  sed "s#^tls_key .*#tls_key = $TC_DIR/tls/nothing#" "$dir/conf" >"$dir/try" && refused 'tls_key '
  sed "s#^state_dir .*#state_dir = $TC_DIR/daemons/main/state#" "$dir/conf" >"$dir/try" && refused 'another process uses it'
  sed "s#^state_dir .*#state_dir = $TC_DIR/nowhere#" "$dir/conf" >"$dir/try" && refused 'state_dir'
  sed "s#^https .*#https = 127.0.0.1:$(<"$TC_DIR/daemons/main/port")#" "$dir/conf" >"$dir/try" && refused 'https: cannot listen'
  rm -r "$dir"
}

@test "health, readiness and metrics" {
  call 200 GET /healthz && [ "$(value .status)" = ok ]
  call 200 GET /readyz && [ "$(value .status)" = ready ]
  call 401 GET /metrics
  CALLER=synapse call 403 GET /metrics && has_error insufficient_scope metrics
  CALLER=all call 200 GET /metrics
  grep -q '^turncredd_issued_total{kind="derived"} [0-9]' "$TC_DIR/answer"
  issue metrics-user
  monitor /metrics >"$TC_DIR/metrics"
  # promtool's grammar, as far as we use it
  run ! grep -vE '^(# (HELP|TYPE) turncredd_[a-z_]+ .+|turncredd_[a-z_]+(\{[a-z]+="[a-z0-9]+"\})? -?[0-9]+(\.[0-9]+)?)$' "$TC_DIR/metrics"
  [ "$(monitor /v1/realms/turn.test/credentials | jq -r .error)" != null ]
  monitor '/?service=turn&username=x' | jq -e '.error == "not_found"'
}

@test "TURN REST: GET and POST, as Synapse, Janus and Nextcloud style clients call it" {
  printf 'url = "%s"\n' "$(url "/?service=turn&username=alice&key=$(key_of synapse)")" >"$TC_DIR/rest"
  rest() { curl -s --cacert "$TC_DIR/tls/ca.pem" -o "$TC_DIR/answer" -w '%{http_code}' "$@"; }
  [ "$(rest -K "$TC_DIR/rest")" = 200 ]
  [ "$(value 'keys | sort | join(" ")')" = 'password ttl uris username' ]
  [[ $(value .username) =~ ^alice:[0-9]+$ ]]
  [ "$(value .ttl)" = 3600 ]
  [ "$(value '.uris | join(" ")')" = 'turn:turn.test-server?transport=udp turn:turn.test-server?transport=tcp' ]
  # base64(HMAC-SHA1(K, USERNAME)), by another implementation
  [ "$(value .password)" = "$(printf %s "$(value .username)" | openssl dgst -sha1 -mac HMAC -macopt "hexkey:$(xxd -p -c 99 "$TC_DIR/keys/turn.test/r1")" -binary | base64)" ]
  jq '. + {realm: "turn.test"}' "$TC_DIR/answer" >"$TC_DIR/a2" && mv "$TC_DIR/a2" "$TC_DIR/answer"
  probe main
  printf 'data = "service=turn&username=bob&key=%s"\n' "$(key_of synapse)" >"$TC_DIR/rest"
  [ "$(rest -K "$TC_DIR/rest" "$(url /)")" = 200 ]
  printf 'url = "%s"\nrequest = POST\n' "$(url "/?service=turn&key=$(key_of synapse)")" >"$TC_DIR/rest"
  [ "$(rest -K "$TC_DIR/rest")" = 200 ]
  CALLER=synapse call 200 GET '/?service=turn&username=alice'
  CALLER=all call 400 GET '/?service=turn&username=alice' && has_error invalid_request realm
  CALLER=all call 200 GET '/?service=turn&username=alice&realm=two.test'
  call 401 GET '/?service=turn&username=alice'
  call 401 GET '/?service=turn&username=alice&key=wrong' && has_error invalid_token
  CALLER=synapse call 400 GET '/?service=stun&username=alice' && has_error invalid_request service
  CALLER=synapse call 403 GET '/?service=turn&username=alice&realm=two.test'
}

@test "rates of callers and subjects, the cap on tokens of one subject" {
  daemon_start limits 'caller_rate = 2' 'subject_rate = 3' 'subject_tokens = 2' 'token_reserve = 4'
  export DAEMON=limits CALLER=all
  local n
  # the pauses are the caller's rate: longer ones do as well
  for n in 1 2 3; do
    call_json 201 POST /v1/realms/turn.test/credentials '{"user": "fast"}'
    sleep 0.6
  done
  call_json 429 POST /v1/realms/turn.test/credentials '{"user": "fast"}' && has_error too_many_requests user
  [ "$(header Retry-After)" -ge 1 ]
  [ "$(burst 12 | grep -c '^429$')" -gt 0 ]
  DAEMON=limits monitor /metrics | grep -E '^turncredd_limited_total [1-9]'
  sleep 1.2
  CALLER= ; printf 'user = "all:%s"\n' "$(key_of all)" >"$TC_DIR/basic"
  for n in 1 2; do
    call 200 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=many'
    sleep 0.6
  done
  call 429 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=many'
  has_error too_many_requests tokens
}

@test "where memory is short a subject holds no token that it has not got" {
  head -c 24 /dev/zero >"$TC_DIR/failing"
  TC_DAEMON_ENV="LD_PRELOAD=$TC_BUILD/tests/integration/.libs/failalloc.so FAIL_CONTROL=$TC_DIR/failing" \
    daemon_start short 'subject_tokens = 1' 'subject_rate = 0' 'caller_rate = 0'
  /usr/bin/python3 "$BATS_TEST_DIRNAME/life.py" tokens_without_memory "$(<"$TC_DIR/daemons/short/port")" "$TC_DIR/callers/all" "$TC_DIR/failing"
}

# burst N: so many requests on one connection, each for another user; their status codes
burst() {
  local n
  for ((n = 1; n <= $1; n++)); do
    ((n == 1)) || echo next
    printf '%s\n' "url = \"$(url /v1/realms/turn.test/credentials)\"" "cacert = \"$TC_DIR/tls/ca.pem\"" \
      "header = \"Authorization: Bearer $(key_of all)\"" 'header = "Content-Type: application/json"' \
      "data-binary = \"{\\\"user\\\": \\\"burst$n\\\"}\"" 'output = "/dev/null"' 'write-out = "%{http_code}\n"' 'silent'
  done >"$TC_DIR/burst"
  curl --max-time 30 -K "$TC_DIR/burst"
}

@test "tokens are reserved in blocks, and a key that is used up says so" {
  sql "UPDATE turncred.key SET tokens_reserved = 4294967296 - 6 WHERE kid = 't1'"
  daemon_start reserve 'token_reserve = 4'
  printf 'user = "all:%s"\n' "$(key_of all)" >"$TC_DIR/basic"
  local n ok=0
  for n in {1..8}; do
    DAEMON=reserve call 200 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=r' >/dev/null && ok=$((ok + 1))
  done
  echo "$ok"
  [ "$ok" = 4 ] # 4 of the 6 that are left make a block
  DAEMON=reserve call 503 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=r'
  daemon_log_has reserve 'no more tokens can be reserved'
  [ "$(sql "SELECT tokens_reserved FROM turncred.key WHERE kid = 't1'")" = $((4294967296 - 2)) ]
  sql "UPDATE turncred.key SET tokens_reserved = 100000 WHERE kid = 't1'"
}

@test "a token that is asked for while a start reserves the first ones waits for them" {
  local ask holder
  psql -Xq -c BEGIN -c "SELECT 1 FROM turncred.key WHERE kid = 't1' FOR UPDATE" -c 'SELECT pg_sleep(60)' >/dev/null 2>&1 3>&- 4>&- &
  holder=$!
  wait_for 5 holds
  daemon_start early
  printf 'user = "all:%s"\n' "$(key_of all)" >"$TC_DIR/basic"
  DAEMON=early call 200 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=r' -v >"$TC_DIR/early" 2>"$TC_DIR/early.sent" &
  ask=$!
  wait_for 5 asked
  # it has no answer for as long as nothing is reserved (a second at most)
  run timeout 0.4 tail --pid="$ask" -f /dev/null
  [ "$status" -eq 124 ] || { cat "$TC_DIR/early" && false; }
  sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND pid <> pg_backend_pid()" >/dev/null
  wait "$ask" || { cat "$TC_DIR/early" && false; }
  wait "$holder" || true
  daemon_stop early
}
holds() { [[ $(sql "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'") == 1 ]]; }
# turncredd waits for the row of the key, and has the request
asked() { grep -qs '^> POST' "$TC_DIR/early.sent" && [[ $(sql "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%tokens_reserve%'") == 1 ]]; }

@test "a key that is rotated away under load: no request for a token is refused" {
  rm -f "$TC_DIR/rotated"
  daemon_start rotating 'caller_rate = 0' 'subject_tokens = 0'
  /usr/bin/python3 "$BATS_TEST_DIRNAME/life.py" ask_for_tokens "$(<"$TC_DIR/daemons/rotating/port")" "$TC_DIR/callers/all" "$TC_DIR/rotated" \
    >"$TC_DIR/rotating" 3>&- 4>&- &
  local load=$! n
  sql "DELETE FROM turncred.instance WHERE id NOT IN ('main', 'issuer-main', 'issuer-rotating')"
  for n in 1 2 3; do
    "$TC_CTL" --database "host=$TC_DIR/pg/run dbname=turncred user=postgres" key rotate turn.test --kid "rotated$n"
    wait_for 5 signs_with "rotated$n"
  done
  touch "$TC_DIR/rotated"
  wait $load
  cat "$TC_DIR/rotating"
  jq -e 'keys - ["t1", "rotated1", "rotated2", "rotated3"] == []' "$TC_DIR/rotating"
  daemon_stop rotating
  sql "DELETE FROM turncred.key WHERE kid ~ '^rotated'" "UPDATE turncred.key SET state = 'active', sign_until = NULL, accept_until = NULL WHERE kid = 't1'"
  synced
}
signs_with() { [[ $(sql "SELECT tokens_reserved > 0 FROM turncred.key WHERE kid = '$1'") == t ]]; }

@test "slow clients are cut off, others wait for nothing" {
  daemon_start slow 'request_timeout = 2s' 'idle_timeout = 1s' # time enough for a handshake on a busy machine
  /usr/bin/python3 "$BATS_TEST_DIRNAME/life.py" slow_clients "$(<"$TC_DIR/daemons/slow/port")"
  DAEMON=slow call 200 GET /healthz
  daemon_start patient 'first_request_timeout = 60s'
  /usr/bin/python3 "$BATS_TEST_DIRNAME/life.py" silent_crowd "$(<"$TC_DIR/daemons/patient/port")"
  daemon_alive slow
}

@test "idle connections that ask again while turncredd stops: answered, refused or not taken, and it ends in order" {
  daemon_start stops 'caller_rate = 0'
  daemon_stop stops
  /usr/bin/python3 "$BATS_TEST_DIRNAME/life.py" stops "$TC_DAEMON" "$TC_DIR/daemons/stops" "$TC_DIR/callers/all"
}

@test "a reload changes certificate and settings and drops no request" {
  export CALLER=all
  (
    for n in {1..150}; do
      call_json 201 POST /v1/realms/turn.test/credentials "{\"user\": \"reload$n\"}" || exit 1
    done
  ) >"$TC_DIR/load" 2>&1 3>&- 4>&- &
  local load=$! before after
  before=$(serial)
  cp "$TC_DIR/tls/server.pem" "$TC_DIR/tls/old.pem" && cp "$TC_DIR/tls/server.key" "$TC_DIR/tls/old.key"
  (cd "$TC_DIR/tls" && certificate server ca /CN=127.0.0.1)
  for _ in 1 2 3 4 5; do kill -HUP "$(daemon_pid main)" && sleep 0.2; done
  wait $load || { cat "$TC_DIR/load"; false; }
  after=$(serial)
  [ "$before" != "$after" ]
  echo 'not a certificate' >"$TC_DIR/tls/server.pem"
  kill -HUP "$(daemon_pid main)"
  daemon_log_has main 'settings in force stay'
  [ "$(serial)" = "$after" ]
  cp "$TC_DIR/tls/old.pem" "$TC_DIR/tls/server.pem" && cp "$TC_DIR/tls/old.key" "$TC_DIR/tls/server.key"
  sed -i 's/^poll_interval .*/poll_interval = 2s/' "$TC_DIR/daemons/main/conf"
  kill -HUP "$(daemon_pid main)"
  daemon_log_has main 'poll_interval: the new value takes effect at a restart'
  sed -i 's/^poll_interval .*/poll_interval = 1s/' "$TC_DIR/daemons/main/conf"
  wait_for 5 same_serial "$before"
}
serial() { openssl s_client -connect "127.0.0.1:$(<"$TC_DIR/daemons/main/port")" </dev/null 2>/dev/null | openssl x509 -noout -serial; }
same_serial() { [ "$(serial)" = "$1" ]; }

@test "TLS 1.1 is refused, 1.2 and 1.3 are not" {
  call 200 GET /healthz --tlsv1.2 --tls-max 1.2
  call 200 GET /healthz --tlsv1.3
  ! openssl s_client -tls1_1 -cipher 'DEFAULT@SECLEVEL=0' -connect "127.0.0.1:$(<"$TC_DIR/daemons/main/port")" </dev/null >/dev/null 2>&1
}

@test "SIGTERM: turncredd finishes its answers, then ends, and tells systemd" {
  local sock=$TC_DIR/notify pid
  /usr/bin/python3 "$BATS_TEST_DIRNAME/life.py" systemd "$sock" >"$TC_DIR/notified" 3>&- 4>&- &
  local listener=$!
  wait_for 5 test -S "$sock"
  TC_DAEMON_ENV="NOTIFY_SOCKET=$sock WATCHDOG_USEC=400000" daemon_start drain 'push_wait = 2s'
  wait_for 5 grep -q READY=1 "$TC_DIR/notified"
  wait_for 5 grep -q WATCHDOG=1 "$TC_DIR/notified"
  kill -HUP "$(daemon_pid drain)"
  wait_for 5 grep -q 'RELOADING=1 MONOTONIC_USEC=' "$TC_DIR/notified"
  sql "INSERT INTO turncred.instance (id, kind, progress) VALUES ('asleep', 'server', '1')"
  (DAEMON=drain CALLER=all call_json 202 POST /v1/realms/turn.test/credentials '{"user": "last", "kind": "pushed"}' >"$TC_DIR/last" 2>&1; echo $? >"$TC_DIR/last.rc") 3>&- 4>&- &
  wait_for 5 pushed_last
  pid=$(daemon_pid drain)
  kill "$pid"
  wait_for 10 server_gone "$pid"
  wait_for 5 test -s "$TC_DIR/last.rc"
  cat "$TC_DIR/last"
  [ "$(<"$TC_DIR/last.rc")" = 0 ]
  sql "DELETE FROM turncred.instance WHERE id = 'asleep'"
  wait $listener
  grep -q STOPPING=1 "$TC_DIR/notified"
}
pushed_last() { [ "$(sql "SELECT count(*) FROM turncred.credential WHERE username = 'last'")" = 1 ]; }

@test "under load that does not end: callers come and go, and tokens are reserved on time" {
  command -v wrk >/dev/null || skip "wrk is missing"
  caller_add bench token turn.test
  daemon_start busy 'caller_rate = 0' 'subject_tokens = 0' 'token_reserve = 4000' 'journal_entries = 1000000'
  export DAEMON=busy
  wait_for 10 token_again_bench
  KIND=token CALLER_KEY=$(key_of bench) wrk -t1 -c8 -d120 --timeout 30s -s "$TC_TOP/tests/bench/issue.lua" "$(url /)" >"$TC_DIR/wrk" 2>&1 3>&- 4>&- &
  local load=$!
  wait_for 60 issued_tokens 6000
  caller_add passing derived turn.test
  wait_for 5 passing 201
  "$TC_CTL" caller remove passing --json
  wait_for 5 passing 401
  wait_for 60 issued_tokens 12000
  kill -INT $load
  wait $load
  cat "$TC_DIR/wrk"
  grep -E '^RESULT ([0-9]+ ){5}0 0$' "$TC_DIR/wrk"
  "$TC_CTL" caller remove bench --json
}
@test "reloads under load on connections that stay: no request is dropped" {
  command -v wrk >/dev/null || skip "wrk is missing"
  caller_add bench derived turn.test
  daemon_start reloaded 'caller_rate = 0' 'journal_entries = 1000000'
  export DAEMON=reloaded
  KIND=derived CALLER_KEY=$(key_of bench) wrk -t1 -c16 -d120 --timeout 30s -s "$TC_TOP/tests/bench/issue.lua" "$(url /)" >"$TC_DIR/wrk" 2>&1 3>&- 4>&- &
  local load=$! n
  wait_for 30 issued_derived 200
  for n in {1..10}; do
    : >"$TC_DIR/daemons/reloaded/log"
    kill -HUP "$(daemon_pid reloaded)"
    daemon_log_has reloaded 'have been read again' 10
    daemon_log_has reloaded 'last connection with the old certificate has ended' 20
  done
  kill -INT $load
  wait $load
  cat "$TC_DIR/wrk"
  grep -E '^RESULT ([0-9]+ ){5}0 0$' "$TC_DIR/wrk"
  "$TC_CTL" caller remove bench --json
}
issued_derived() { [ "$(monitor /metrics | sed -n 's/^turncredd_issued_total{kind="derived"} //p')" -ge "$1" ]; }
passing() { CALLER=passing call_json "$1" POST /v1/realms/turn.test/credentials '{"user": "x"}' >/dev/null; }
issued_tokens() { [ "$(monitor /metrics | sed -n 's/^turncredd_issued_total{kind="token"} //p')" -ge "$1" ]; }
token_again_bench() {
  printf 'user = "bench:%s"\n' "$(key_of bench)" >"$TC_DIR/basic"
  call 200 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=again' >/dev/null
}

@test "a stopped database stops no issuing; pushes say 503; all is in issue_log afterwards, once" {
  wait_for 5 delivered
  local n
  printf 'user = "all:%s"\n' "$(key_of all)" >"$TC_DIR/basic"
  pg_stop "$TC_DIR/pg"
  for n in {1..20}; do issue "away$n"; done
  for n in {1..5}; do call 200 POST /oauth2/token -K "$TC_DIR/basic" -d "grant_type=client_credentials&audience=turn.test-server&subject=awaytoken$n"; done
  CALLER=all call_json 503 POST /v1/realms/turn.test/credentials '{"user": "away", "kind": "pushed"}'
  has_error temporarily_unavailable
  [ -n "$(header Retry-After)" ]
  wait_for 5 undeliverable
  [ "$(value .undelivered)" = 25 ]
  # a restart of the daemon in between: what waits is not lost
  pg_restart
  wait_for 15 delivered
  [ "$(issued 'away%')" = 25 ]
  [ "$(sql "SELECT count(DISTINCT subject) FROM turncred.issue_log WHERE subject LIKE 'away%'")" = 25 ]
  wait_for 10 push_again
}
undeliverable() { call 200 GET /readyz >/dev/null && [ "$(value .journal)" = false ]; }
push_again() { CALLER=all call_json 200 POST /v1/realms/turn.test/credentials '{"user": "away", "kind": "pushed"}' >/dev/null; }

@test "killed, and started again while the database is away: it issues from what it kept, all is in issue_log later" {
  local n dir=$TC_DIR/daemons/kept
  daemon_start kept "snapshot_file = $TC_DIR/daemons/kept/state/snapshot" 'token_reserve = 64' 'poll_interval = 200ms'
  export DAEMON=kept
  wait_for 10 kept_all
  printf 'user = "all:%s"\n' "$(key_of all)" >"$TC_DIR/basic"
  issue kept0
  daemon_kill kept
  pg_stop "$TC_DIR/pg"
  # the kept files show no user and no key
  run ! grep -qE 'synapse|turn\.test|[0-9a-f]{64}' "$dir/state/callers" "$dir/state/reserve" "$dir/state/snapshot"
  for n in 1 2 3; do
    daemon_run kept
    call 200 GET /readyz
    [ "$(value .database)" = false ]
    issue "kept$n" && probe main
    call 200 POST /oauth2/token -K "$TC_DIR/basic" -d "grant_type=client_credentials&audience=turn.test-server&subject=kepttoken$n" && probe main
    CALLER=synapse call 200 GET "/?service=turn&username=keptrest$n"
    [ "$(value '.uris | length')" = 2 ]
    CALLER= call_json 401 POST /v1/realms/turn.test/credentials '{"user": "x"}' -H 'Authorization: Bearer wrong'
    CALLER=synapse call_json 403 POST /v1/realms/turn.test/credentials '{"user": "x"}'
    CALLER=all call_json 503 PUT /v1/realms/turn.test/credentials/x '{"password": "Vb3q-7Lm0p_Xw9Zk2RtY5u"}'
    daemon_kill kept
  done
  # 64 were kept: each start took 4 off the file, and more when those were used up
  daemon_run kept
  local ok=0
  for n in {1..60}; do
    call 200 POST /oauth2/token -K "$TC_DIR/basic" -d "grant_type=client_credentials&audience=turn.test-server&subject=more$n" >/dev/null && ok=$((ok + 1))
  done
  echo "$ok of $((64 - 3 * 4)) tokens"
  [ "$ok" -ge 40 ] && [ "$ok" -le 52 ]
  call 503 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=x' && has_error temporarily_unavailable reserved
  pg_restart
  wait_for 20 delivered
  [ "$(issued 'kept%')" = 10 ]
  [ "$(issued 'more%')" = "$ok" ]
  [ "$(sql "SELECT count(DISTINCT (kind, subject)) FROM turncred.issue_log WHERE subject LIKE 'kept%'")" = 10 ]
  wait_for 10 token_again
}
kept_all() { [ -s "$TC_DIR/daemons/kept/state/callers" ] && [ -s "$TC_DIR/daemons/kept/state/reserve" ] && [ -s "$TC_DIR/daemons/kept/state/snapshot" ]; }

@test "a token that is asked for while the database restarts beside turncredd waits for the end of it" {
  local dir=$TC_DIR/daemons/soon ask
  daemon_start soon "snapshot_file = $TC_DIR/daemons/soon/state/snapshot"
  wait_for 10 test -s "$dir/state/callers" -a -s "$dir/state/snapshot"
  daemon_kill soon
  rm -f "$dir/state/reserve" # nothing is left to issue from
  PGDATABASE=postgres sql 'ALTER DATABASE turncred ALLOW_CONNECTIONS false'
  daemon_run soon
  export DAEMON=soon
  wait_for 20 undeliverable
  printf 'user = "all:%s"\n' "$(key_of all)" >"$TC_DIR/basic"
  call 200 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=soon' -v >"$TC_DIR/soon" 2>"$TC_DIR/soon.sent" &
  ask=$!
  wait_for 5 grep -q '^> POST' "$TC_DIR/soon.sent"
  PGDATABASE=postgres sql 'ALTER DATABASE turncred ALLOW_CONNECTIONS true'
  wait "$ask" || { cat "$TC_DIR/soon" && false; }
  wait_for 10 delivered
  [ "$(issued soon)" = 1 ]
  daemon_stop soon
}
token_again() { call 200 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=again' >/dev/null; }

@test "kept files of another instance, or changed ones, are refused by name, and nobody is let in by them" {
  local dir=$TC_DIR/daemons/changed
  daemon_start changed "snapshot_file = $TC_DIR/daemons/changed/state/snapshot"
  wait_for 10 kept_changed
  daemon_kill changed
  pg_stop "$TC_DIR/pg"
  cp "$dir/state/callers" "$TC_DIR/callers.kept"
  local size
  size=$(stat -c %s "$dir/state/callers")
  flip_octet "$dir/state/callers" $((size - 40))
  TC_START_LIMIT=1 daemon_run changed || true
  daemon_log_has changed 'callers that were kept cannot be used: .*damaged' 15
  DAEMON=changed wait_for 15 call_unready
  daemon_kill changed
  # a file of something else under this name
  cp "$dir/state/reserve" "$dir/state/callers"
  TC_START_LIMIT=1 daemon_run changed || true
  daemon_log_has changed 'it holds the content of another file' 15
  daemon_kill changed
  cp "$TC_DIR/callers.kept" "$dir/state/callers"
  sed -i 's/^instance = .*/instance = issuer-elsewhere/' "$dir/conf"
  TC_START_LIMIT=1 daemon_run changed || true
  daemon_log_has changed 'of another instance' 15
  pg_restart
  wait_for 20 daemon_answers changed
}
kept_changed() { [ -s "$TC_DIR/daemons/changed/state/callers" ] && [ -s "$TC_DIR/daemons/changed/state/snapshot" ] && [ -s "$TC_DIR/daemons/changed/state/reserve" ]; }
call_unready() { CALLER=all call_json 503 POST /v1/realms/turn.test/credentials '{"user": "x"}' >/dev/null; }

@test "a database that was restarted empty takes no caller away and gets nothing; the restored one gets all" {
  pg_dump -Fc turncred >"$TC_DIR/dump"
  local lines
  lines=$(wc -l <"$TC_DIR/daemons/main/log")
  PGDATABASE=postgres sql 'DROP DATABASE turncred WITH (FORCE)' 'CREATE DATABASE turncred'
  cat "$TC_TOP"/plugin/schema/[0-9]*.sql | psql -Xq1 -v ON_ERROR_STOP=1 >/dev/null
  said() { tail -n +$((lines + 1)) "$TC_DIR/daemons/main/log" | grep -q 'it holds no realm; what is loaded stays in use'; }
  wait_for 20 said
  issue blank1
  issue blank2
  monitor /readyz | jq -e '.undelivered == 2'
  [ "$(issued 'blank%')" = 0 ]
  PGDATABASE=postgres sql 'DROP DATABASE turncred WITH (FORCE)' 'CREATE DATABASE turncred'
  pg_restore -1 -d turncred "$TC_DIR/dump"
  issue blank3
  wait_for 20 delivered
  [ "$(issued 'blank%')" = 3 ]
  wait_for 20 synced
  probe main
}

@test "a full journal stops issuing, or not, as configured" {
  daemon_start full 'journal_entries = 16' 'subject_tokens = 2'
  daemon_start full2 'journal_entries = 16' 'journal_full = continue'
  local n
  pg_stop "$TC_DIR/pg"
  for n in {1..16}; do DAEMON=full issue "full$n" && DAEMON=full2 issue "full2-$n"; done
  CALLER=all DAEMON=full call_json 503 POST /v1/realms/turn.test/credentials '{"user": "toomany"}'
  has_error temporarily_unavailable journal
  # a refused issue does not count against a limit afterwards
  printf 'user = "all:%s"\n' "$(key_of all)" >"$TC_DIR/basic"
  for n in 1 2 3 4; do
    DAEMON=full call 503 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=fulltoken'
    has_error temporarily_unavailable journal
  done
  DAEMON=full2 issue unrecorded
  DAEMON=full2 monitor /metrics | grep -qx 'turncredd_unrecorded_total 1'
  DAEMON=full call 503 GET /readyz
  [ "$(value .status)" = journal_full ]
  pg_restart
  DAEMON=full wait_for 15 delivered
  DAEMON=full2 wait_for 15 delivered
  DAEMON=full issue again
  [ "$(issued 'full%')" = 32 ]
  for n in 1 2; do
    DAEMON=full call 200 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=fulltoken'
  done
  DAEMON=full call 429 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=fulltoken'
}

@test "a user revoked while its token was in the journal: the token dies on delivery" {
  printf 'user = "all:%s"\n' "$(key_of all)" >"$TC_DIR/basic"
  wait_for 5 delivered
  kill -STOP "$(daemon_pid main)"
  kill -CONT "$(daemon_pid main)"
  make_slow
  slow begin 'LOCK turncred.journal' 3>&- 4>&-
  call 200 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=quick'
  cp "$TC_DIR/answer" "$TC_DIR/quick"
  probe main
  [ "$(issued quick)" = 0 ]
  sql "SELECT turncred.revoke('user', 'turn.test', 'quick')" >/dev/null
  slow commit
  wait_for 10 delivered
  [ "$(issued quick)" = 1 ]
  [ "$(sql "SELECT count(*) FROM turncred.revocation WHERE kind = 'token' AND reason = 'user quick'")" = 1 ]
  synced
  cp "$TC_DIR/quick" "$TC_DIR/answer"
  probe main --expect-error 401
}

@test "kill -9 again and again under load: no answered credential is missing from issue_log, none is there twice" {
  local round
  daemon_start killed 'caller_rate = 0'
  : >"$TC_DIR/answered"
  for round in 1 2 3 4; do
    /usr/bin/python3 "$BATS_TEST_DIRNAME/life.py" hammer "$(<"$TC_DIR/daemons/killed/port")" "$TC_DIR/callers/all" "kill$round" "$TC_DIR/answered" 3>&- 4>&- &
    local hammer=$!
    wait_for 10 grep -q "^kill$round-.-[0-9][0-9]" "$TC_DIR/answered"
    daemon_kill killed
    wait $hammer
    daemon_run killed
  done
  DAEMON=killed wait_for 20 delivered
  [ "$(wc -l <"$TC_DIR/answered")" -gt 100 ]
  sql "SELECT subject FROM turncred.issue_log WHERE subject LIKE 'kill%'" | sort >"$TC_DIR/recorded"
  [ -z "$(uniq -d "$TC_DIR/recorded")" ]
  [ -z "$(comm -23 <(sort "$TC_DIR/answered") "$TC_DIR/recorded")" ]
  echo "# answered $(wc -l <"$TC_DIR/answered"), recorded $(wc -l <"$TC_DIR/recorded")" >&3
}

@test "a torn last line is cut off, a damaged one is named, the rest is delivered" {
  daemon_start torn
  DAEMON=torn issue torn1
  DAEMON=torn wait_for 5 delivered
  daemon_kill torn
  printf '0123456789abcdef {"t":1,"realm":"x"' >>"$(ls "$TC_DIR"/daemons/torn/state/*.log | tail -n 1)"
  daemon_run torn
  daemon_log_has torn 'are cut off'
  DAEMON=torn issue torn2
  DAEMON=torn wait_for 5 delivered
  [ "$(issued 'torn%')" = 2 ]
}

@test "an older copy of state_dir that is put back doubles nothing and loses nothing new" {
  daemon_start copy
  DAEMON=copy issue copy1
  DAEMON=copy wait_for 5 delivered
  cp -a "$TC_DIR/daemons/copy/state" "$TC_DIR/copy.state"
  DAEMON=copy issue copy2
  DAEMON=copy issue copy3
  DAEMON=copy wait_for 5 delivered
  daemon_stop copy
  rm -r "$TC_DIR/daemons/copy/state" && mv "$TC_DIR/copy.state" "$TC_DIR/daemons/copy/state"
  daemon_run copy
  daemon_log_has copy 'an older copy of state_dir'
  DAEMON=copy issue copy4
  DAEMON=copy wait_for 5 delivered
  [ "$(issued 'copy%')" = 4 ]
}

@test "no secret in the log" { no_secret_in_log; }

@test "all calls and answers are as openapi.yaml says" { openapi; }
