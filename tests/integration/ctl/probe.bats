#!/usr/bin/env bats
# turncredctl probe against an unpatched turnserver with a static user: what works is reported step
# by step, and each way to fail names its step, its STUN error and its remedy.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  STOCK=$([ -x "$TC_STOCK" ] && echo "$TC_STOCK" || command -v turnserver || true)
  CTL=$TC_BUILD/turncredctl
  turncred_need "$CTL" "$STOCK"
  TC_DIR=$(mktemp -d /tmp/turncred-probe.XXXXXX)
  export TC_DIR STOCK CTL
  mkdir -p "$TC_DIR/servers"
  printf 'not-a-secret\n' >"$TC_DIR/right"
  printf 'wrong\n' >"$TC_DIR/wrong"
  server_start_plain "$STOCK" open user=bob:not-a-secret
  server_start_plain "$STOCK" full user=bob:not-a-secret user-quota=2
  server_start_plain "$STOCK" strict user=bob:not-a-secret -allow-loopback-peers
  server_start_plain "$STOCK" anybody -lt-cred-mech no-auth
}
teardown() { turncred_check; }
teardown_file() { turncred_down; }

# probe SERVER [OPTION...]: as bob with the right password, JSON in $TC_DIR/out
probe() {
  local server=$1
  shift
  [[ " $* " == *' --user '* || " $* " == *' --credential '* || " $* " == *' --kid '* ]] ||
    set -- "$@" --user bob --password-file "$TC_DIR/right"
  "$CTL" probe --server "127.0.0.1:$(server_port "$server")" --json "$@" >"$TC_DIR/out" 2>"$TC_DIR/err"
}
value() { jq -r "$1" "$TC_DIR/out"; }

not() { ! "$@"; } # errexit does not look at "!"

# fails CODE STEP TEXT SERVER [OPTION...]: exit code 4, that STUN error at that step, TEXT on stderr
fails() {
  local code=$1 step=$2 text=$3 rc=0
  shift 3
  probe "$@" || rc=$?
  [ "$rc" = 4 ] && [ "$(value .ok)" = false ] && [ "$(value '.error.code // 0')" = "$code" ] &&
    [ "$(value '.steps[-1].step')" = "$step" ] && grep -q "$text" "$TC_DIR/err" || {
    echo "exit code $rc"
    cat "$TC_DIR/out" "$TC_DIR/err"
    return 1
  }
}

@test "every step over UDP and TCP" {
  local transport
  for transport in udp tcp; do
    probe open --transport $transport --count 5 --data-bytes 1200
    [ "$(value .ok)" = true ]
    [ "$(value '[.steps[].step] | join(" ")')" = "connect challenge allocate peer permission indications channel-bind channel-data refresh release" ]
    [ "$(value '[.steps[].ok] | all')" = true ]
    [ "$(value .realm)" = turn.test ]
    [ "$(value .lifetime)" = 600 ]
    [ "$(value .datagrams_received)" -ge 20 ]
    [ "$(value .offers_tokens)" = false ]
  done
}

@test "the table names every step for people" {
  "$CTL" probe --server "127.0.0.1:$(server_port open)" --user bob --password-file "$TC_DIR/right" >"$TC_DIR/out"
  [ "$(grep -c ' ok ' "$TC_DIR/out")" = 10 ]
  grep -q '^STEP  *RESULT  *MS  *DETAIL$' "$TC_DIR/out"
}

@test "credentials as JSON from standard input, also in the form of iceServers" {
  probe open --credential - <<<'{"username": "bob", "password": "not-a-secret", "realm": "turn.test"}'
  probe open --credential - <<<'{"iceServers": [{"urls": ["turn:x"], "username": "bob", "credential": "not-a-secret"}]}'
}

@test "a wrong password is 401 at allocate" {
  fails 401 allocate 'wrong password' open --user bob --password-file "$TC_DIR/wrong"
  fails 401 allocate 'unknown user' open --user carol --password-file "$TC_DIR/right"
}

@test "--expect-error turns the verdict round" {
  probe open --user bob --password-file "$TC_DIR/wrong" --expect-error 401
  [ "$(value .ok)" = true ]
  not probe open --user bob --password-file "$TC_DIR/wrong" --expect-error 403
  not probe open --expect-error 401
  grep -q 'every step succeeded' "$TC_DIR/err"
}

@test "a loopback peer is 403, and the help names allow-loopback-peers" {
  fails 403 permission allow-loopback-peers strict
}

@test "an open relay is reported as an open relay" {
  fails 0 challenge 'open relay' anybody
}

@test "a full quota is 486" {
  local i pids=() held=$TC_DIR/held
  : >"$held"
  for i in 1 2; do
    "$CTL" probe --server "127.0.0.1:$(server_port full)" --user bob --password-file "$TC_DIR/right" \
      --keep 20s 3>&- 4>&- >/dev/null 2>&1 &
    pids+=($!)
  done
  both_held() { ! probe full --allocate-only; }
  wait_for 10 both_held
  fails 486 allocate quota full --allocate-only
  kill "${pids[@]}"
  wait "${pids[@]}" || true
}

@test "--keep holds the allocation with refreshes and data" {
  probe strict --allocate-only
  fails 403 permission . strict --keep 2s
  probe open --keep 4s --refresh-every 1s
  [ "$(value .refreshes)" -ge 2 ]
  [ "$(value .datagrams_received)" -ge 8 ]
  [ "$(value '[.steps[].step] | index("keep")')" != null ]
}

@test "a dead server is a time-out or a refusal, in bounded time" {
  local rc=0 port start=$SECONDS
  port=$(free_port)
  "$CTL" probe --server "127.0.0.1:$port" --timeout 2s --user bob --password-file "$TC_DIR/right" >/dev/null 2>"$TC_DIR/err" || rc=$?
  [ "$rc" = 4 ]
  rc=0
  "$CTL" probe --server "127.0.0.1:$port" --transport tcp --timeout 2s --user bob --password-file "$TC_DIR/right" >/dev/null 2>"$TC_DIR/err" || rc=$?
  [ "$rc" = 4 ]
  grep -q 'step connect failed' "$TC_DIR/err"
  # a socket that swallows everything
  /usr/bin/python3 -c 'import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", '"$port"')); time.sleep(30)' 3>&- 4>&- &
  rc=0
  "$CTL" probe --server "127.0.0.1:$port" --timeout 2s --user bob --password-file "$TC_DIR/right" --json >"$TC_DIR/out" 2>"$TC_DIR/err" || rc=$?
  kill $!
  [ "$rc" = 4 ]
  [ "$(value '.steps[-1].step')" = challenge ]
  [ $((SECONDS - start)) -lt 20 ]
}

# An unpatched server keys the HMAC with 16 octets of the token's 20: the probe must not fall for it.
@test "a token is not accepted by a server that offers none" {
  head -c 20 /dev/urandom >"$TC_DIR/mac"
  head -c 64 /dev/urandom | base64 -w0 >"$TC_DIR/token"
  fails 401 allocate . open --kid k1 --token-file "$TC_DIR/token" --key-file "$TC_DIR/mac"
  fails 401 allocate . open --eager --kid k1 --token-file "$TC_DIR/token" --key-file "$TC_DIR/mac"
}

@test "TLS and DTLS: the certificate is checked, and data relayed" {
  local port transport
  port=$(free_port)
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$TC_DIR/key.pem" -out "$TC_DIR/cert.pem" \
    -days 2 -subj /CN=turn.example -addext subjectAltName=DNS:turn.example 2>/dev/null
  chmod 644 "$TC_DIR/key.pem"
  server_start_plain "$STOCK" secure user=bob:not-a-secret -no-tls -no-dtls "tls-listening-port=$port" \
    "cert=$TC_DIR/cert.pem" "pkey=$TC_DIR/key.pem"
  tls_probe() {
    "$CTL" probe --server "127.0.0.1:$port" --user bob --password-file "$TC_DIR/right" --json "$@" >"$TC_DIR/out" 2>"$TC_DIR/err"
  }
  for transport in tls dtls; do
    tls_probe --transport $transport --ca-file "$TC_DIR/cert.pem" --tls-name turn.example --count 20 --data-bytes 1000
    [ "$(value .ok)" = true ]
    [ "$(value .transport)" = $transport ]
    value '.steps[0].detail' | grep -q 'TLSv1'
    tls_probe --transport $transport --insecure
    # an unknown issuer, and another name
    not tls_probe --transport $transport --tls-name turn.example
    grep -q 'certificate.*--ca-file' "$TC_DIR/err"
    not tls_probe --transport $transport --ca-file "$TC_DIR/cert.pem" --tls-name other.example
    grep -q 'certificate.*mismatch' "$TC_DIR/err"
    [ "$(value '.steps[-1].step')" = connect ]
  done
  # TLS to a port that speaks in clear only
  local rc=0
  "$CTL" probe --server "127.0.0.1:$(server_port open)" --transport tls --insecure --timeout 2s --user bob --password-file "$TC_DIR/right" 2>"$TC_DIR/err" >/dev/null || rc=$?
  [ "$rc" = 4 ]
}

@test "options that do not fit are refused before anything is sent" {
  local rc line
  for line in '' '--user bob' '--kid k --token-file t' '--user bob --password-file missing' \
    "--user bob --password-file $TC_DIR/right --transport sctp" \
    "--user bob --password-file $TC_DIR/right --eager" \
    "--user bob --password-file $TC_DIR/right --count 0" \
    "--user bob --password-file $TC_DIR/right --data-bytes 1401" \
    "--user bob --password-file $TC_DIR/right --expect-error 200" \
    "--user bob --password-file $TC_DIR/right --keep 5s --allocate-only"; do
    rc=0
    # shellcheck disable=SC2086
    "$CTL" probe --server 127.0.0.1:1 $line >"$TC_DIR/out" 2>"$TC_DIR/err" || rc=$?
    [ "$rc" = 2 ] || echo "exit code $rc: $line"
    [ "$rc" = 2 ]
    [ -s "$TC_DIR/err" ]
  done
  rc=0
  "$CTL" probe --server 127.0.0.1:1 --credential - <<<'{"access_token": "?"}' 2>"$TC_DIR/err" || rc=$?
  [ "$rc" = 2 ]
}
