#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Values where they enter turncredd: addresses, UTF-8, names, origins, TURN URIs.

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  realm_add turn.test "mechanisms='{token,derived,rest,pushed}'"
  realm_add bound.test "mechanisms='{derived}'" bind_address=true
  realm_add '2001:db8::1' "server_name='2001:db8::1'" "mechanisms='{derived}'"
  realm_add odd.test "server_name='a/b'" "mechanisms='{derived}'"
  key_add turn.test t1
  key_add turn.test d1 derived
  key_add turn.test r1 rest
  key_add bound.test d2 derived
  key_add 2001:db8::1 d3 derived
  key_add odd.test d4 derived
  caller_add all derived,rest,push,token,revoke '*'
  server_start main
  daemon_start main 'cors_origins = HTTPS://App.Example.org:443/ capacitor://localhost http://localhost:3000/'
  synced
  wait_for 5 tagged
}
tagged() { [ "$(sql "SELECT count(*) FROM turncred.key WHERE use = 'tag'")" = 1 ]; }
setup() { daemon_ready; }
teardown() { turncred_check; daemon_check; }
teardown_file() { daemon_down; }

base=/v1/realms/turn.test/credentials
issue() { CALLER=all call_json "$1" POST "/v1/realms/${REALM:-turn.test}/credentials" "$2"; }

@test "an IPv4 client of a dual-stack program is an IPv4 client: bound credentials let in" {
  local address
  for address in ::ffff:127.0.0.1 ::FFFF:7f00:1 127.0.0.1; do
    issue 200 "{\"user\": \"bob\", \"kind\": \"pushed\", \"client_address\": \"$address\"}"
    [ "$(sql "SELECT client_address FROM turncred.credential WHERE username = 'bob'")" = 127.0.0.1 ]
    probe main --allocate-only
  done
  REALM=bound.test issue 201 '{"user": "bob", "client_address": "::ffff:127.0.0.1"}'
  [[ $(value .username) == 'bob|127.0.0.1:'* ]]
}

@test "what is no address alone is refused with the remedy" {
  local address text
  while IFS='|' read -r address text; do
    issue 400 "{\"user\": \"bob\", \"kind\": \"pushed\", \"client_address\": \"$address\"}"
    has_error invalid_request "client_address: .*$text"
  done <<'REFUSED'
192.0.2.0/24|prefix length
fe80::1%eth0|zone id
192.0.2.7:3478|it has a port
[2001:db8::1]|without brackets
192.0.2.300|not an IPv4 or IPv6 address
 192.0.2.7|not an IPv4 or IPv6 address
REFUSED
}

@test "a client that escapes ISO 8859-1 gets 400 with the field's name, by every way in" {
  export CALLER=all
  call 400 GET '/?service=turn&realm=turn.test&username=jos%E9' && has_error invalid_request 'username is not UTF-8'
  call 400 POST / -d 'service=turn&realm=turn.test&username=jos%E9' && has_error invalid_request 'username is not UTF-8'
  call 400 GET '/?service=turn&realm=t%FFrn&username=x' && has_error invalid_request 'realm is not UTF-8'
  call 400 GET '/?service=turn&us%E9=x' && has_error invalid_request "a parameter's name is not UTF-8"
  call_json 400 PUT "$base/jos%E9" '{"password": "Vb3q-7Lm0p_Xw9Zk2RtY5u"}' && has_error invalid_request 'username is not UTF-8'
  call 400 DELETE "$base/jos%E9" && has_error invalid_request 'username is not UTF-8'
  call 400 DELETE '/v1/realms/m%FCnchen/credentials/x' && has_error invalid_request 'realm is not UTF-8'
  printf '{"user": "jos\xe9"}' >"$TC_DIR/latin"
  call 400 POST $base -H 'Content-Type: application/json' --data-binary "@$TC_DIR/latin" && has_error invalid_request 'the body is not UTF-8'
  local body text
  while IFS='|' read -r body text; do
    call_json 400 POST $base "$body" && has_error invalid_request "^$text: line 1, column" || { echo "$body" && return 1; }
  done <<'BODIES'
{"user": "bob", "user": "eve"}|the body has a member twice
{"user": "bob", "ttl": 99999999999999999999}|the body has a number that is too large
{"user": "bob"} x|the body goes on behind its JSON object
{"user": "bob",}|the body is not JSON
BODIES
  call_json 400 POST $base '{"user": "a\u0000b"}' && has_error invalid_request 'user: must be a text without NUL'
  export CALLER=
  printf 'user = "all:%s"\n' "$(key_of all)" >"$TC_DIR/basic"
  call 400 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=jos%E9'
  has_error invalid_request 'subject is not UTF-8'
  call 200 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=jos%C3%A9'
}

@test "names: one rule and one text for each kind" {
  local name text kind
  while IFS='|' read -r name text; do
    for kind in derived rest pushed; do
      issue 400 "{\"user\": \"$name\", \"kind\": \"$kind\"}" && has_error invalid_request "^user: $text"
    done
  done <<'REFUSED'
a\u0001b|it holds the control character U\+0001
a\u0085b|it holds the control character U\+0085
a\u2028b|it holds the format character U\+2028
a\u202eb|it holds the format character U\+202E
credit-union-select|it holds both "union" and "select", which coturn refuses
John Smith|it holds a blank, quote or backslash
o'brien|it holds a blank, quote or backslash
REFUSED
  CALLER=all call_json 400 PUT "$base/a%01b" '{"password": "Vb3q-7Lm0p_Xw9Zk2RtY5u"}' && has_error invalid_request '^username: it holds the control'
  CALLER=all call 400 GET '/?service=turn&realm=turn.test&username=a%20b' && has_error invalid_request '^username: it holds a blank'
  printf 'user = "all:%s"\n' "$(key_of all)" >"$TC_DIR/basic"
  local form='grant_type=client_credentials&audience=turn.test-server&subject='
  call 400 POST /oauth2/token -K "$TC_DIR/basic" -d "${form}a%0Ab%1B%5B2J" && has_error invalid_request '^subject: it holds the control character U\+000A'
  call 400 POST /oauth2/token -K "$TC_DIR/basic" -d "${form}a%E2%80%AEb" && has_error invalid_request '^subject: it holds the format character'
  # the subject of a token is not on the wire
  call 200 POST /oauth2/token -K "$TC_DIR/basic" --data-urlencode "grant_type=client_credentials" --data-urlencode audience=turn.test-server --data-urlencode 'subject=cn=Al O'\''Brien, ou="x\y"'
  probe main --allocate-only
  issue 201 '{"user": "電話📞"}'
  probe main --allocate-only
}

@test "origins: as the operator writes them, they match what browsers send; patterns and lists are refused" {
  local origin value want conf=$TC_DIR/try.conf
  for origin in https://app.example.org capacitor://localhost http://localhost:3000; do
    CALLER=all call_json 201 POST $base '{"user": "alice"}' -H "Origin: $origin"
    [ "$(header Access-Control-Allow-Origin)" = "$origin" ]
  done
  # the one spelling may be longer than what was written; the name of the file may be long
  conf=$TC_DIR/$(printf 'd%.0s' {1..200})/try.conf
  mkdir "${conf%/*}"
  for value in "$(printf 'a://[::1:2] %.0s' {1..85})|longer than 1023 octets" "$(printf 'https://a.example,%.0s' {1..55})|comma"; do
    { sed "/^cors_origins/d" "$TC_DIR/daemons/main/conf" && echo "cors_origins = ${value%|*}"; } >"$conf"
    run "$TC_DAEMON" --config "$conf" --check
    [ "$status" -eq 2 ] && [[ $output == *"$conf: cors_origins:"*"${value#*|}"* ]]
  done
  conf=$TC_DIR/try.conf
  for origin in https://app.example.org:8443 http://app.example.org null http://localhost; do
    CALLER=all call_json 403 POST $base '{"user": "alice"}' -H "Origin: $origin"
  done
  while IFS='|' read -r value want; do
    sed "/^cors_origins/d" "$TC_DIR/daemons/main/conf" >"$conf"
    echo "cors_origins = $value" >>"$conf"
    run "$TC_DAEMON" --config "$conf" --check
    [ "$status" -eq 2 ] && [[ $output == *cors_origins:*"$want"* ]] || { echo "$value: $output" && return 1; }
  done <<'REFUSED'
*|patterns are not supported
https://*.example.org|patterns are not supported
a.example|SCHEME://HOST
https://a.example,https://b.example|comma
https://a.example/app|no user, path
https://a.example null|"null"
https://a.example:99999|port
REFUSED
  sed '/^public_url/d' "$TC_DIR/daemons/main/conf" >"$conf"
  echo 'public_url = https://Issuer.test:443/' >>"$conf"
  "$TC_DAEMON" --config "$conf" --check
}

@test "a URI that browsers refuse is not handed out, and said" {
  sql 'ALTER TABLE turncred.realm DISABLE TRIGGER realm_canonical' \
    "UPDATE turncred.realm SET uris = '{turn:a.example,turn://b.example,turn:c.example:99999,turns:D.example?transport=UDP}' WHERE name = 'turn.test'" \
    'ALTER TABLE turncred.realm ENABLE TRIGGER realm_canonical'
  wait_for 10 new_uris
  issue 201 '{"user": "alice"}'
  [ "$(value '.iceServers[0].urls | join(" ")')" = 'turn:a.example turns:d.example?transport=udp' ]
  daemon_log_has main '2 URIs of realms are no TURN URIs'
  # a server name that is an IPv6 address, and one that is no host at all
  REALM=2001:db8::1 issue 201 '{"user": "alice"}'
  [ "$(value '.uris[0]')" = 'turn:[2001:db8::1]?transport=udp' ]
  REALM=odd.test issue 201 '{"user": "alice"}'
  [ "$(value '.uris | length'):$(value '.iceServers | length')" = 0:0 ]
}
new_uris() { issue 201 '{"user": "alice"}' >/dev/null && [[ $(value '.uris[0]') == turn:a.example ]]; }

@test "all calls and answers are as openapi.yaml says" { openapi; }
