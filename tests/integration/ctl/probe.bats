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
  server_start_plain "$STOCK" rest use-auth-secret static-auth-secret=north-wind-and-the-sun
  server_start_plain "$STOCK" anybody -lt-cred-mech no-auth
  printf '%s\n' '127.0.0.2 two.test' '127.0.0.1 two.test' '127.0.0.2 none.test' '127.0.0.3 none.test' \
    '::1 dual.test' '127.0.0.1 dual.test' >"$TC_DIR/hosts"
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
# with_hosts COMMAND...: knows the names of $TC_DIR/hosts, which have several addresses
with_hosts() { LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_HOSTS=$TC_DIR/hosts "$@"; }
# as_bob OPTION...: the probe as it is, in $TC_DIR/out and $TC_DIR/err
as_bob() { "$CTL" probe --user bob --password-file "$TC_DIR/right" --json "$@" >"$TC_DIR/out" 2>"$TC_DIR/err"; }
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

@test "--secret-file makes the password of a TURN REST user name, whatever its form" {
  local expiry name
  expiry=$(($(date +%s) + 600))
  printf north-wind-and-the-sun >"$TC_DIR/secret"
  for name in "$expiry:alice" "$expiry" "$expiry:" "alice:$expiry" "00$expiry:josé"; do
    "$CTL" probe --server "127.0.0.1:$(server_port rest)" --user "$name" --secret-file "$TC_DIR/secret" --allocate-only >/dev/null
  done
  printf north-wind-and-the-moon >"$TC_DIR/secret"
  fails 401 allocate 'wrong password' rest --user "$expiry:alice" --secret-file "$TC_DIR/secret"
  printf north-wind-and-the-sun >"$TC_DIR/secret"
  fails 401 allocate 'wrong password' rest --user "$expiry:alice" --secret-file "$TC_DIR/secret" --alg sha256 # coturn has SHA-1 alone
  fails 401 allocate expired rest --user "$((expiry - 1200)):alice" --secret-file "$TC_DIR/secret"
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
  local rc=0 port transport start=$SECONDS
  port=$(free_port)
  for transport in udp tcp tls dtls; do
    rc=0
    "$CTL" probe --server "127.0.0.1:$port" --transport $transport --timeout 2s --user bob --password-file "$TC_DIR/right" >/dev/null 2>"$TC_DIR/err" || rc=$?
    [ "$rc" = 4 ]
    grep -q 'step [a-z]* failed: .*Connection refused' "$TC_DIR/err"
  done
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

@test "each address of a name is tried, and the one that works is named" {
  local port transport
  port=$(server_port open)
  for transport in udp tcp; do
    with_hosts as_bob --server "two.test:$port" --transport $transport
    [ "$(value .ok)" = true ]
    [ "$(value .server)" = "127.0.0.1:$port" ]
    [ "$(value '[.steps[] | select(.passed_over) | .ok] | join(" ")')" = false ]
    grep -q "127.0.0.2:$port" "$TC_DIR/out"
    # IPv6 first, on a server that has none, on a machine that may have none
    with_hosts as_bob --server "turn:dual.test:$port?transport=$transport" --count 3
    [ "$(value .server)" = "127.0.0.1:$port" ]
    value '.steps[-1].step' | grep -qx release
  done
  with_hosts "$CTL" probe --server "two.test:$port" --user bob --password-file "$TC_DIR/right" >"$TC_DIR/out"
  grep -Eq '^(connect|challenge) +passed over ' "$TC_DIR/out"
}

@test "a name without an address that works: each one and its reason" {
  local port transport rc
  port=$(server_port open)
  for transport in udp tcp; do
    rc=0
    with_hosts as_bob --server "none.test:$port" --transport $transport --timeout 2s || rc=$?
    [ "$rc" = 4 ]
    grep -q "none of its 2 addresses answers: .*127.0.0.2:$port.*: Connection refused; .*127.0.0.3:$port.*: Connection refused" "$TC_DIR/err"
  done
}

@test "the last of many addresses has no port for the probe: each step is told" {
  for i in $(seq 2 16); do echo "127.0.0.$i many.test"; done >>"$TC_DIR/hosts"
  echo '127.0.0.1 many.test' >>"$TC_DIR/hosts"
  turn_step open the_last_of_many_addresses_has_no_port
}

@test "a wrong password is no reason to try another address" {
  printf '%s\n' '127.0.0.1 twice.test' '127.0.0.2 twice.test' >>"$TC_DIR/hosts"
  with_hosts "$CTL" probe --server "twice.test:$(server_port open)" --user bob --password-file "$TC_DIR/wrong" \
    --expect-error 401 --json >"$TC_DIR/out"
  [ "$(value '[.steps[].step] | join(" ")')" = 'connect challenge allocate' ]
}

@test "servers as they stand in iceServers" {
  local port
  port=$(server_port open)
  as_bob --server "turn:127.0.0.1:$port" && [ "$(value .transport)" = udp ]
  as_bob --server "turn:127.0.0.1:$port?transport=udp" && [ "$(value .transport)" = udp ]
  as_bob --server "turn:127.0.0.1:$port?transport=tcp" && [ "$(value .transport)" = tcp ]
  as_bob --server "TURN:127.0.0.1:$port?transport=TCP" --transport tcp && [ "$(value .transport)" = tcp ]
  as_bob --server "stun:127.0.0.1:$port" && [ "$(value .transport)" = udp ]
  as_bob --server "turn:127%2E0.0.1:$port"
  # a host that is called like a scheme
  printf '127.0.0.1 turn\n' >>"$TC_DIR/hosts"
  with_hosts as_bob --server "turn:$port"
}

@test "servers, ports and addresses that cannot be are refused before anything is sent" {
  local rc option
  for option in "--server 127.0.0.1:99999" "--server 127.0.0.1:65536" "--server 127.0.0.1:0" "--server [::1]:70000" \
    "--server turn:127.0.0.1:070000" "--server turn://127.0.0.1" "--server turn:127.0.0.1?transport=sctp" \
    "--server turn:bob@127.0.0.1" "--server turn:127.0.0.1?transport=tcp --transport udp" "--server turns:127.0.0.1 --transport dtls" \
    "--server 127.0.0.1 --peer-address 127.0.0.1:99999" "--server 127.0.0.1 --peer-address turn:127.0.0.1" \
    "--server 127.0.0.1 --local-address 127.0.0.1:65536" "--server http://127.0.0.1"; do
    rc=0
    # shellcheck disable=SC2086
    as_bob $option || rc=$?
    [ "$rc" = 2 ] || echo "exit code $rc: $option"
    [ "$rc" = 2 ]
    grep -q -- '--server\|--peer-address\|--local-address' "$TC_DIR/err"
  done
  # the port that 99999 was taken for, modulo 65536
  not as_bob --server 127.0.0.1:99999
  grep -q 'port "99999": a port is a number from 1 to 65535' "$TC_DIR/err"
}

@test "the peer has the family of the relayed address, whichever way leads to the server" {
  local port way
  if ! has_ipv6; then
    # what is left
    port=$(server_port open)
    as_bob --server "127.0.0.1:$port" --family 4 --count 3
    value .peer | grep -q '^127.0.0.1:'
    not as_bob --server "127.0.0.1:$port" --family 6
    not as_bob --server "127.0.0.1:$port" --peer-address '[::1]' --family 4
    grep -q -- '--peer-address ::1: .*--family' "$TC_DIR/err"
    return
  fi
  server_start_plain "$STOCK" both user=bob:not-a-secret listening-ip=::1 relay-ip=::1
  port=$(server_port both)
  for way in '127.0.0.1' '[::1]'; do
    as_bob --server "$way:$port"
    value .relayed | grep -q '^127.0.0.1:'
    value .peer | grep -q '^127.0.0.1:'
    as_bob --server "$way:$port" --family 4 --count 3
    as_bob --server "$way:$port" --family 6 --count 3
    value .relayed | grep -q '^\[::1\]:'
    value .peer | grep -q '^\[::1\]:'
    # a peer that is IPv6 alone asks for such a relayed address
    as_bob --server "$way:$port" --peer-address '[::1]'
    value .relayed | grep -q '^\[::1\]:'
    as_bob --server "$way:$port" --peer-address 127.0.0.1
    not as_bob --server "$way:$port" --peer-address '[::1]' --family 4
    grep -q -- '--peer-address ::1: .*--family' "$TC_DIR/err"
  done
  # both addresses of the name work: the first one is taken
  with_hosts as_bob --server "turn:dual.test:$port"
  [ "$(value .server)" = "[::1]:$port" ]
  [ "$(value '[.steps[] | select(.passed_over)] | length')" = 0 ]
}

@test "a port whose old session is not gone yet: another one is taken" {
  TC_PORT=$(server_port open) turn_step open a_port_of_an_old_session
}

@test "a server whose texts are no UTF-8: every step is told" {
  turn_step open a_server_whose_texts_are_no_utf8
}
