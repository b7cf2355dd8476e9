#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck disable=SC2030,SC2031 # each test has its own TC_AS
# The likeliest mistakes of an operator: each program that can meet one names its cause and its remedy. The table of the
# database's mistakes is told by turncred.so, turncredd and turncredctl alike, the others by the program that reads the
# setting.

load ../lib
load daemon.bash

setup_file() {
  daemon_up || return 0
  realm_add turn.test
  key_add turn.test k1
  key_add turn.test d1 derived
  caller_add all token,exchange,derived,rest,push,revoke,metrics turn.test
  sql "CREATE ROLE login LOGIN PASSWORD 'the right one' IN ROLE turncred_server, turncred_issuer, turncred_admin" \
    "CREATE ROLE nogrant LOGIN PASSWORD 'the right one'" 'CREATE DATABASE empty'
  { printf 'local all %s scram-sha-256\n' login nogrant nobody_knows && cat "$TC_DIR/pg/data/pg_hba.conf"; } >"$TC_DIR/hba"
  cp "$TC_DIR/hba" "$TC_DIR/pg/data/pg_hba.conf"
  sql 'SELECT pg_reload_conf()' >/dev/null
  (umask 077 && echo '*:*:*:*:the right one' >"$TC_DIR/right" && echo '*:*:*:*:another' >"$TC_DIR/wrong" &&
    echo '*:*:*:somebody:the right one' >"$TC_DIR/elsewhere" && cp "$TC_DIR/right" "$TC_DIR/closed")
  install -m 644 "$TC_DIR/right" "$TC_DIR/open"
  install -m 400 -o nobody "$TC_DIR/kek/main" "$TC_DIR/kek.nobody"
  mkdir "$TC_DIR/key" && mv "$TC_DIR/kek.nobody" "$TC_DIR/key/main" && chown nobody "$TC_DIR/key" "$TC_DIR/closed"
}
setup() { daemon_ready; [[ $(id -u) == 0 ]] || skip "only root can be other users"; }
teardown() { turncred_check; daemon_check; }
teardown_file() { daemon_down; }

lines() { cat "$TC_DIR/told"; }
says() { grep -Eq -- "$1" "$TC_DIR/told"; }
# has WHO REGEX...: all of them stand in what the program said
has() {
  local who=$1 regex
  shift
  for regex; do says "$regex" || { echo "$who does not say: $regex" && lines && return 1; }; done
}
wrapper() { [[ -z ${TC_AS-} ]] || echo "setpriv --reuid=$TC_AS --regid=nogroup --clear-groups"; }

# module_says LINES-OF-MODULE.CONF REGEX...
module_says() {
  local name=mistake conf=$1
  shift
  : >"$TC_DIR/told"
  server_folder $name
  local dir=$TC_DIR/servers/$name
  printf '%s\n' "kek = $TC_DIR/${TC_AS:+key}${TC_AS:-kek}/main" | sed "s,/keynobody,/key," >"$dir/module.conf"
  printf '%s\n' 'wait_at_start = 100ms' "$conf" >>"$dir/module.conf"
  { server_conf $name && printf '%s\n' "auth-module=$TC_DIR/lib/turncred.so" "auth-module-config=$dir/module.conf" auth-module-only; } >"$dir/turnserver.conf"
  [[ -z ${TC_AS-} ]] || { chmod 755 "$TC_DIR/servers" && chown -R "$TC_AS" "$dir"; }
  TC_WRAPPER=$(wrapper) server_run $name "$TC_TURNSERVER" >"$TC_DIR/run" 2>&1 || true
  module_told() { cat "$dir/log" "$dir/output" >"$TC_DIR/told" && says "$1"; }
  wait_for 15 module_told "$1" || true
  has turncred.so "$@"
  ! says 'what is loaded stays in use' || { lines && return 1; }
  [[ ! -f $dir/pid ]] || server_stop $name
}
# daemon_says LINES-OF-TURNCREDD.CONF REGEX...: a setting here takes the place of the one there
daemon_says() {
  local dir=$TC_DIR/daemons/mistake conf=$1 name pid
  shift
  mkdir -p "$dir/state" && free_port >"$dir/port" && free_port >"$dir/monitor" && : >"$dir/test"
  daemon_conf mistake >"$dir/conf"
  [[ -z ${TC_AS-} ]] || { sed -i "s,^kek = .*,kek = $TC_DIR/key/main," "$dir/conf" && chmod 644 "$TC_DIR"/tls/server.*; }
  while read -r name _; do sed -i "/^$name = /d" "$dir/conf"; done <<<"$conf"
  printf '%s\n' "$conf" >>"$dir/conf"
  [[ -z ${TC_AS-} ]] || chown -R "$TC_AS" "$dir"
  : >"$TC_DIR/told"
  # shellcheck disable=SC2046 # words
  $(wrapper) "$TC_DAEMON" --config "$dir/conf" >"$TC_DIR/told" 2>&1 </dev/null 3>&- 4>&- &
  pid=$!
  wait_for 15 says "$1" || true
  { kill -9 $pid && wait $pid; } 2>/dev/null || true
  has turncredd "$@"
}
# ctl_says CONNINFO REGEX...
ctl_says() {
  local conninfo=$1
  shift
  # shellcheck disable=SC2046 # words
  run $(wrapper) "$TC_CTL" --database "$conninfo" realm list
  [ "$status" -ne 0 ]
  printf '%s\n' "$output" >"$TC_DIR/told"
  has turncredctl "$@"
  # shellcheck disable=SC2046 # words
  run $(wrapper) "$TC_CTL" --database "$conninfo" doctor
  printf '%s\n' "$output" >"$TC_DIR/told"
  has 'turncredctl doctor' "$@"
}
# all_say CONNINFO REGEX...: cause and remedy
all_say() {
  module_says "database = $1" "${@:2}"
  daemon_says "database = $1" "${@:2}"
  ctl_says "$1" "${@:2}"
}
run_dir() { echo "host=$TC_DIR/pg/run dbname=${2:-turncred} user=$1"; }

@test "1 a wrong password: the refusal itself, whose password it was, and the file that has it" {
  all_say "$(run_dir login) passfile=$TC_DIR/wrong" 'password authentication failed for user "login"' \
    "write the password of role \"login\" into $TC_DIR/wrong"
}

@test "2 a passfile that cannot be read: the file, and the user who reads it" {
  TC_AS=nobody
  chmod 711 "$TC_DIR"
  chown root "$TC_DIR/right"
  all_say "$(run_dir login) passfile=$TC_DIR/right" 'no password supplied' \
    "passfile $TC_DIR/right: Permission denied: user nobody, as which this program runs, must be able to read it"
}

@test "3 a passfile that libpq skips: open to others, not there, without a line for this login" {
  all_say "$(run_dir login) passfile=$TC_DIR/open" 'no password supplied' "$TC_DIR/open is open to .*chmod 600 it"
  all_say "$(run_dir login) passfile=$TC_DIR/none" 'no password supplied' "passfile $TC_DIR/none: No such file"
  all_say "$(run_dir login) passfile=$TC_DIR/elsewhere" 'no password supplied' \
    "$TC_DIR/elsewhere has no line for \*:5432:turncred:login:PASSWORD"
}

@test "4 a database that is not there" {
  all_say "$(run_dir postgres nosuch)" 'database "nosuch" does not exist' 'createdb .*turncredctl schema upgrade'
}

@test "5 a database without the schema" {
  all_say "$(run_dir postgres empty)" 'turncred' 'turncredctl schema upgrade'
}

@test "6 a role that lacks its grant: which, and the statement" {
  local conn
  conn="$(run_dir nogrant) passfile=$TC_DIR/right"
  module_says "database = $conn" 'permission denied .*42501' 'GRANT turncred_server TO "nogrant"'
  daemon_says "database = $conn" 'permission denied .*42501' 'GRANT turncred_issuer TO "nogrant"'
  run "$TC_CTL" --database "$conn" realm list
  [[ $status != 0 && $output == *'GRANT turncred_admin TO "nogrant"'* ]]
}

@test "7 nobody listens there; a role or a login that pg_hba.conf does not know" {
  all_say "host=127.0.0.1 port=1 dbname=turncred user=login" 'Connection refused' 'start PostgreSQL, or name the right host= and port='
  all_say "$(run_dir stranger)" '"stranger"' 'pg_hba.conf of the database says who may log in'
  all_say "host=nowhere.invalid dbname=turncred user=login" 'could not translate host name' 'name the right host=, or mend DNS'
}

@test "8 several hosts: each has its reason" {
  all_say "host=127.0.0.1,$TC_DIR/pg/run port=1,5432 dbname=turncred user=login passfile=$TC_DIR/wrong" 'Connection refused' \
    'password authentication failed' "into $TC_DIR/wrong"
}

@test "9 a key encryption key that root alone reads: which user must read it" {
  TC_AS=nobody
  mkdir -p "$TC_DIR/closed.d" && install -m 600 "$TC_DIR/kek/main" "$TC_DIR/closed.d/main"
  # a second line would be refused: the folder of the first one is closed to the server
  chmod 700 "$TC_DIR/key" && chown root "$TC_DIR/key"
  module_says "database = $TC_DATABASE" "key encryption key.*$TC_DIR/key.*Permission denied: user nobody, as which this program runs"
  chown nobody "$TC_DIR/key"
  daemon_says "kek = $TC_DIR/closed.d/main" "key encryption key $TC_DIR/closed.d/main: Permission denied: user nobody, as which this program runs"
}

@test "10 a metrics port in use does not stop a server; it gets the port when it is free" {
  local port holder
  port=$(free_port)
  /usr/bin/python3 -c "
import signal, socket
s = socket.create_server(('127.0.0.1', $port)); signal.pause()" 3>&- 4>&- &
  holder=$!
  wait_for 5 listens "$port"
  server_start metrics "module:prometheus = 127.0.0.1:$port"
  log_has metrics "prometheus = 127.0.0.1:$port: Address already in use; the server goes on without metrics"
  turn metrics <<'PY'
expect(0, token())
PY
  daemon_says "monitor = 127.0.0.1:$port" 'serves https' \
    "monitor: cannot listen on 127.0.0.1:$port: Address already in use; turncredd goes on without it"
  kill -9 $holder
  wait $holder || true
  log_has metrics 'metrics are served now' 15
  curl -sS "http://127.0.0.1:$port/metrics" | grep -q '^turncred_database_up 1'
}
listens() { [[ -n $(ss -Hltn "( sport = :$1 )") ]]; }

@test "a key past accept_until is told as expired, with its name" {
  server_start expired
  turn expired <<'PY'
expect(0, token())
expect(0, derived())
PY
  sql "UPDATE turncred.key SET state = 'retired', accept_until = now() - interval '1 s' WHERE kid IN ('k1', 'd1')"
  synced
  turn expired <<'PY'
expect(401, token())
expect(401, derived())
PY
  sql "UPDATE turncred.key SET state = 'active', accept_until = NULL WHERE kid IN ('k1', 'd1')"
  [[ $(grep -c 'reason=expired' "$TC_DIR/servers/expired/log") -ge 2 ]]
  log_has expired 'key "[kd]1" of realm "turn.test" has expired \(accept_until\)'
}

@test "a reload says nothing of an interruption" {
  server_start reloaded
  daemon_start reloaded
  local i
  for i in 1 2 3 4 5; do
    kill -USR2 "$(<"$TC_DIR/servers/reloaded/pid")" && kill -HUP "$(<"$TC_DIR/daemons/reloaded/pid")"
    wait_for 5 reloads "$i"
  done
  run ! grep -h 'interrupted' "$TC_DIR/servers/reloaded/log" "$TC_DIR/daemons/reloaded/log"
}
reloads() {
  [[ $(grep -c 'reload: done' "$TC_DIR/servers/reloaded/log") -ge $1 ]] &&
    [[ $(grep -c 'have been read again' "$TC_DIR/daemons/reloaded/log") -ge $1 ]]
}

# check_says SED-SCRIPT REGEX...: turncredd --check refuses
check_says() {
  local script=$1
  sed "$script" "$TC_DIR/check.conf" >"$TC_DIR/try.conf"
  run "$TC_DAEMON" --config "$TC_DIR/try.conf" --check ${TC_AS:+--user "$TC_AS"}
  printf '%s\n' "$output" >"$TC_DIR/told"
  [ "$status" -eq 2 ] || { lines && return 1; }
  has 'turncredd --check' "${@:2}"
}

@test "turncredd --check opens what a start opens, as the user of the service" {
  local dir=$TC_DIR/daemons/checked
  mkdir -p "$dir/state" && free_port >"$dir/port" && free_port >"$dir/monitor" && : >"$dir/test"
  daemon_conf checked >"$TC_DIR/check.conf"
  run -0 "$TC_DAEMON" --config "$TC_DIR/check.conf" --check
  [[ $output == *'ok for user root'*'--user turncredd'* ]]
  check_says "s,^tls_certificate = .*,tls_certificate = $TC_DIR/none," "tls_certificate $TC_DIR/none: No such file"
  check_says "s,^tls_key = .*,tls_key = $TC_DIR/none," "tls_key $TC_DIR/none: No such file"
  check_says "s,^tls_key = .*,tls_key = $TC_DIR/tls/client.key," 'is not the key of the first certificate'
  CREDENTIALS_DIRECTORY=$TC_DIR/tls check_says "s,^tls_key = .*,tls_key = $TC_DIR/tls/client.key," 'at a restart, not at a reload'
  run ! grep 'at a reload' <<<"$(CREDENTIALS_DIRECTORY=/run/none "$TC_DAEMON" --config "$TC_DIR/try.conf" --check 2>&1)"
  check_says "s,^tls_key = .*,tls_key = $TC_DIR/tls/server.pem," 'cannot be used: .*PEM files'
  check_says "s,^state_dir = .*,state_dir = $TC_DIR/none," "state_dir $TC_DIR/none: No such file"
  check_says "s,^kek = .*,kek = $TC_DIR/none," "key encryption key $TC_DIR/none: No such file"
  check_says "\$asnapshot_file = $TC_DIR/none/snapshot" "snapshot_file: folder $TC_DIR/none"
  check_says "\$a[issuer x]\nurl = https://x\naudience = a\nrealms = x\njwks = $TC_DIR/none" "$TC_DIR/none"
  # the running daemon is in nobody's way
  daemon_start running
  run -0 "$TC_DAEMON" --config "$TC_DIR/daemons/running/conf" --check
  TC_AS=nobody
  chmod 755 "$TC_DIR" "$TC_DIR/daemons" "$dir"
  check_says 's,x,x,' "key encryption key $TC_DIR/kek/main: Permission denied: user nobody, as which"
  chmod 600 "$TC_DIR/tls/server.key"
  check_says "s,^kek = .*,kek = $TC_DIR/key/main," "tls_key $TC_DIR/tls/server.key: Permission denied: user nobody, as which"
  chmod 644 "$TC_DIR/tls/server.key"
  check_says "s,^kek = .*,kek = $TC_DIR/key/main," "state_dir $dir/state: Permission denied: user nobody, as which"
  chown nobody "$dir/state"
  sed "s,^kek = .*,kek = $TC_DIR/key/main," "$TC_DIR/check.conf" >"$TC_DIR/try.conf"
  run -0 "$TC_DAEMON" --config "$TC_DIR/try.conf" --check --user nobody
  [[ $output == *'ok for user nobody'* ]]
  # what root's hand once left there
  touch "$dir/state/lock" && chmod 600 "$dir/state/lock"
  check_says "s,^kek = .*,kek = $TC_DIR/key/main," "state_dir $dir/state: Permission denied"
  run -2 "$TC_DAEMON" --check --user nobody_here
  [[ $output == *'there is no user nobody_here'* ]]
  run -2 "$TC_DAEMON" --user nobody
  [[ $output == *'--user goes with --check'* ]]
}

# answers STATUS REGEX...: what turncredd says to a caller
answers() {
  printf '%s\n' "$(<"$TC_DIR/answer")" >"$TC_DIR/told"
  has turncredd "$@"
}
form() { call "$1" POST /oauth2/token -K "$TC_DIR/basic" "${@:2}"; }
basic_of() { printf 'user = "%s:%s"\n' "$1" "$(key_of "$1")" >"$TC_DIR/basic"; }
# exchange [CLAIM=VALUE...]: presents a portal's token
exchange() {
  /usr/bin/python3 "$TC_TOP/tests/integration/turncredd/portal.py" token "$TC_DIR/jwt" "$@" >"$TC_DIR/jwt/token"
  form 400 --data-urlencode grant_type=urn:ietf:params:oauth:grant-type:token-exchange -d audience=turn.test-server \
    --data-urlencode subject_token_type=urn:ietf:params:oauth:token-type:access_token --data-urlencode "subject_token=$(<"$TC_DIR/jwt/token")"
}

@test "callers: a scope, a realm and an audience that are not theirs, a JWT of others, a clock that is wrong" {
  mkdir -p "$TC_DIR/jwt" && /usr/bin/python3 "$TC_TOP/tests/integration/turncredd/portal.py" keys "$TC_DIR/jwt"
  caller_add narrow derived turn.test
  issuer portal "$TC_DIR/jwt/jwks.json"
  daemon_start callers "${ISSUER[@]}"
  export DAEMON=callers
  basic_of narrow
  form 400 -d grant_type=client_credentials -d audience=turn.test-server -d subject=a
  answers 'lacks the scope token' 'turncredctl caller list .*caller add'
  CALLER=narrow call_json 403 POST /v1/realms/turn.test/credentials '{"user": "a", "kind": "rest"}'
  answers 'needs the scope rest' 'turncredctl caller list .*caller add'
  CALLER=narrow call_json 403 POST /v1/realms/elsewhere.test/credentials '{"user": "a"}'
  answers 'realm: this caller' 'turncredctl caller list .*caller add'
  basic_of all
  form 400 -d grant_type=client_credentials -d audience=nobody.test -d subject=a
  answers 'audience: there is no TURN server of this name' 'turncredctl realm list'
  exchange aud=https://other.test
  answers 'aud is .*other.test' 'this service wants .*issuer.test.* \(audience of \[issuer portal\]\)'
  exchange iss=https://portal.test/
  answers 'iss is .*portal.test/' 'url of .issuer portal' 'differ in the slash at the end'
  exchange key=rsa2
  answers 'signature' 'jwks'
  exchange kid=elsewhere
  answers 'key' 'jwks'
  exchange exp=-600 iat=-900
  answers 'it has expired \(exp\), 60[0-9] s ago: get a new one' "the clocks differ: run NTP here and at the token's issuer, or raise leeway"
  exchange iat=600 exp=900
  answers 'issued in the future \(iat\), (59|60)[0-9] s ahead of this machine.s clock: run NTP .*raise leeway'
  exchange nbf=600 exp=900
  answers 'not yet valid \(nbf\), (59|60)[0-9] s ahead' 'run NTP'
}
