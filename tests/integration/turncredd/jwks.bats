#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The portal's keys by URL: fetched from a real HTTPS server that behaves well or badly.

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  realm_add turn.test "mechanisms='{token}'"
  key_add turn.test t1
  caller_add exchanger exchange turn.test
  mkdir -p "$TC_DIR/jwt" "$TC_DIR/portal" "$TC_DIR/strange"
  portal keys
  jwks_server portal server
  jwks_server strange stranger
  mode ok
  issuer portal "https://127.0.0.1:$(<"$TC_DIR/portal/port")/jwks" "jwks_ca = $TC_DIR/tls/ca.pem" 'jwks_interval = 1s'
  daemon_start main 'subject_tokens = 0' "${ISSUER[@]}"
  wait_for 10 tagged
}
tagged() { [ "$(sql "SELECT count(*) FROM turncred.key WHERE use = 'tag'")" = 1 ]; }
setup() { daemon_ready && mode ok; }
teardown() { daemon_check; }
teardown_file() {
  local name
  for name in portal strange; do [[ ! -f ${TC_DIR-/nonexistent}/$name/pid ]] || kill "$(<"$TC_DIR/$name/pid")"; done
  daemon_down
}

portal() { /usr/bin/python3 "$TC_TOP/tests/integration/turncredd/portal.py" "$1" "$TC_DIR/jwt" "${@:2}"; }
# jwks_server FOLDER CERTIFICATE
jwks_server() {
  cp "$TC_DIR/jwt/jwks.json" "$TC_DIR/$1/jwks.json"
  echo ok >"$TC_DIR/$1/mode"
  : >"$TC_DIR/$1/hits"
  /usr/bin/python3 "$TC_TOP/tests/integration/turncredd/jwks_server.py" "$TC_DIR/$1" "$TC_DIR/tls/$2.pem" "$TC_DIR/tls/$2.key" \
    >"$TC_DIR/$1/log" 2>&1 </dev/null 3>&- 4>&- &
  echo $! >"$TC_DIR/$1/pid"
  disown
  wait_for 20 test -s "$TC_DIR/$1/port"
}
mode() { echo "$1" >"$TC_DIR/portal/mode.new" && mv "$TC_DIR/portal/mode.new" "$TC_DIR/portal/mode"; }
# serve FILE: the portal's set from now on
serve() { cp "$TC_DIR/jwt/$1" "$TC_DIR/portal/new" && mv "$TC_DIR/portal/new" "$TC_DIR/portal/jwks.json"; }
hits() { wc -l <"$TC_DIR/portal/hits"; }
more_hits() { [ "$(hits)" -gt "$1" ]; }
# exchange STATUS [CLAIM=VALUE...]
exchange() {
  local want=$1
  shift
  portal token "$@" >"$TC_DIR/jwt/token"
  present "$want"
}
# present STATUS: the token that was made last
present() {
  local want=$1
  printf 'user = "exchanger:%s"\n' "$(key_of exchanger)" >"$TC_DIR/basic"
  call "$want" POST /oauth2/token -K "$TC_DIR/basic" --data-urlencode grant_type=urn:ietf:params:oauth:grant-type:token-exchange \
    --data-urlencode subject_token_type=urn:ietf:params:oauth:token-type:access_token --data-urlencode audience=turn.test-server \
    --data-urlencode "subject_token=$(<"$TC_DIR/jwt/token")"
}
old_key() { exchange 200 >/dev/null; }
new_key() { exchange 200 key=rsa2 kid=rsa2 >/dev/null; }
reload() { kill -HUP "$(daemon_pid "${DAEMON:-main}")"; }

@test "keys are fetched, and fetched again: the portal rotates, nobody touches turncredd" {
  wait_for 10 old_key
  exchange 200 key=ec kid=ec alg=ES256
  exchange 503 key=rsa2 kid=rsa2 || exchange 400 key=rsa2 kid=rsa2
  mode closing
  serve jwks2.json
  wait_for 20 new_key
  mode ok
  # the old key went with the set that named it
  exchange 400 || exchange 503
  serve jwks.json
  wait_for 20 old_key
}

@test "keys in force stay while the portal behaves badly, and each fault is named" {
  local bad text
  wait_for 20 old_key
  while read -r bad text; do
    : >"$TC_DIR/daemons/main/log"
    mode "$bad"
    daemon_log_has main "$text.*keys in force stay" 40
    exchange 200
    mode ok
    wait_for 70 daemon_log_has main 'is fetched again' 1
  done <<'FAULTS'
redirect status 302; redirects are not followed
oversized is larger than 262144 octets
endless is larger than 262144 octets
slow cannot be fetched: .*[Tt]ime
silent cannot be fetched: .*[Tt]ime
garbage is no JWK set
empty holds no RSA key
half (cannot be fetched whole|is no JWK set)
missing status 404
FAULTS
  run ! grep -q '^/elsewhere' "$TC_DIR/portal/hits"
  daemon_alive main
}

@test "a slow portal delays no request" {
  wait_for 20 old_key
  mode silent
  portal token >"$TC_DIR/jwt/token"
  answered_meanwhile 200
  portal token key=rsa2 kid=rsa2 >"$TC_DIR/jwt/token"
  answered_meanwhile 503
  mode ok
  wait_for 70 old_key
}

# Answered while a fetch hangs. Whoever waited for the fetch would be answered after its end, which the log has; an
# answer beside which one ended by chance says nothing.
answered_meanwhile() {
  local before ended try
  for try in 1 2 3 4 5; do
    before=$(hits)
    wait_for 20 more_hits "$before"
    ended=$(fetches_ended)
    present "$1"
    [ "$(fetches_ended)" != "$ended" ] || return 0
  done
  echo "an answer came $try times only after the fetch had ended"
  return 1
}

fetches_ended() { grep -c 'cannot be fetched' "$TC_DIR/daemons/main/log" || true; }

@test "an unknown key brings a fetch before the interval is over, but only a limited number of times" {
  serve jwks.json
  local begin=$SECONDS
  issuer portal "https://127.0.0.1:$(<"$TC_DIR/portal/port")/hourly" "jwks_ca = $TC_DIR/tls/ca.pem" 'jwks_interval = 1h'
  daemon_start hourly 'subject_tokens = 0' "${ISSUER[@]}"
  export DAEMON=hourly
  wait_for 10 old_key
  serve jwks2.json
  local n
  for n in {1..20}; do
    exchange 503 key=rsa2 kid=rsa2 >/dev/null || exchange 400 key=rsa2 kid=rsa2 >/dev/null || break
  done
  [ "$(grep -c '^/hourly' "$TC_DIR/portal/hits")" -le 3 ]
  wait_for 25 new_key
  # a key that no set has is refused for ever, however often a caller sends it
  exchange 503 kid=nobody && [ -n "$(header Retry-After)" ] || exchange 400 kid=nobody
  wait_for 5 refused_for_good
  for n in {1..20}; do exchange 400 kid=nobody && has_error invalid_request 'key set'; done
  # one in ten seconds, however long the machine takes
  [ "$(grep -c '^/hourly' "$TC_DIR/portal/hits")" -le $((5 + (SECONDS - begin) / 10)) ]
  curl -s "http://127.0.0.1:$(<"$TC_DIR/daemons/hourly/monitor")/metrics" | grep -qE '^turncredd_jwks_age_seconds\{issuer="portal"\} [0-9]'
  serve jwks.json
}
refused_for_good() { exchange 400 kid=nobody >/dev/null; }

@test "a certificate of somebody else, or for another name, brings no keys" {
  issuer portal "https://127.0.0.1:$(<"$TC_DIR/strange/port")/jwks" "jwks_ca = $TC_DIR/tls/ca.pem" 'jwks_interval = 1s'
  daemon_start other "${ISSUER[@]}"
  export DAEMON=other
  daemon_log_has other 'cannot be fetched: .*certificate' 20
  exchange 503 && has_error temporarily_unavailable 'key set is being fetched'
  [ ! -s "$TC_DIR/strange/hits" ]
  sed -i "s,^jwks = .*,jwks = https://localhost:$(<"$TC_DIR/portal/port")/other," "$TC_DIR/daemons/other/conf"
  reload
  daemon_log_has other 'cannot be fetched: .*(name|localhost)' 20
  run ! grep -q '^/other' "$TC_DIR/portal/hits"
  exchange 503
  # without jwks_ca the system's authorities count, and ours is none of them
  sed -i "/^jwks_ca/d; s,^jwks = .*,jwks = https://127.0.0.1:$(<"$TC_DIR/portal/port")/other," "$TC_DIR/daemons/other/conf"
  : >"$TC_DIR/daemons/other/log"
  reload
  daemon_log_has other 'cannot be fetched: .*certificate' 20
  exchange 503
  # put right, by a reload
  echo "jwks_ca = $TC_DIR/tls/ca.pem" >>"$TC_DIR/daemons/other/conf"
  reload
  wait_for 20 old_key
  # keys of one URL do not outlive it
  sed -i "s,^jwks = .*,jwks = https://127.0.0.1:1/jwks," "$TC_DIR/daemons/other/conf"
  reload
  wait_for 20 no_keys
  # back to a file
  sed -i "s,^jwks = .*,jwks = $TC_DIR/jwt/jwks.json," "$TC_DIR/daemons/other/conf"
  reload
  wait_for 20 old_key
}
no_keys() { exchange 503 >/dev/null; }

@test "an issuer that hangs keeps no other waiting; keys of one are not those of another, whatever a reload moves" {
  serve jwks.json
  echo silent >"$TC_DIR/strange/mode"
  issuer portal "https://127.0.0.1:$(<"$TC_DIR/portal/port")/jwks" "jwks_ca = $TC_DIR/tls/ca.pem" 'jwks_interval = 1h'
  daemon_start several 'subject_tokens = 0' '[issuer hangs]' 'url = https://hangs.test' 'audience = https://issuer.test' \
    "jwks = https://127.0.0.1:$(<"$TC_DIR/strange/port")/hangs" "jwks_ca = $TC_DIR/tls/otherca.pem" 'realms = *' "${ISSUER[@]}"
  export DAEMON=several
  wait_for 4 old_key # a fetch may take 5 s
  exchange 503 iss=https://hangs.test && has_error temporarily_unavailable 'key set is being fetched'
  # the sections change places and names: what was fetched for one URL checks no tokens of another
  sed -i 's/issuer portal/issuer moved/; s/issuer hangs/issuer portal/; s/issuer moved/issuer hangs/' "$TC_DIR/daemons/several/conf"
  : >"$TC_DIR/daemons/several/log"
  reload
  daemon_log_has several 'have been read again'
  exchange 503 iss=https://hangs.test
  wait_for 10 old_key
  [ "$(grep -c '^/hangs' "$TC_DIR/strange/hits")" -gt 0 ]
}

@test "what is neither a path nor an https URL is refused" {
  local conf=$TC_DIR/try.conf value
  for value in http://127.0.0.1/jwks file:///etc/passwd jwks.json https://; do
    sed "s,^jwks = .*,jwks = $value," "$TC_DIR/daemons/main/conf" >"$conf"
    run "$TC_DAEMON" --config "$conf" --check
    [ "$status" -eq 2 ] && [[ $output == *'jwks must be the absolute path of a file, or an https URL'* ]]
  done
}

@test "all calls and answers are as openapi.yaml says" { openapi; }
