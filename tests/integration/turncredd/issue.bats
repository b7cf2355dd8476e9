#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The eP-CSCF's side of turncredd: what it answers lets turncredctl probe into a patched turnserver.

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  realm_add turn.test "mechanisms='{token,derived,rest,pushed}'" "max_ttl=7200"
  realm_add other.test "mechanisms='{derived}'"
  realm_add bound.test "mechanisms='{derived}'" bind_address=true
  key_add turn.test t1
  key_add turn.test d1 derived
  key_add turn.test r1 rest
  key_add other.test d2 derived
  key_add bound.test d3 derived
  "$TC_CTL" realm set turn.test --uri 'turn:127.0.0.1:3478?transport=udp' --uri 'turns:turn.test:5349?transport=tcp' --json
  caller_add pcscf derived,rest,push,revoke turn.test,bound.test
  caller_add narrow derived turn.test
  caller_add all derived,rest,push,token,exchange,revoke,metrics '*'
  caller_add late derived turn.test --not-after 2020-01-01
  caller_add portal derived turn.test --certificate "$TC_DIR/tls/client.pem"
  server_start main
  daemon_start main 'push_wait = 8s'
  synced
}
setup() { daemon_ready; }
teardown() { turncred_check; daemon_check; }
teardown_file() { daemon_down; }

@test "a derived credential, straight into RTCPeerConnection's shape and into the server" {
  CALLER=pcscf call_json 201 POST /v1/realms/turn.test/credentials '{"user": "491711234567", "ttl": 600}'
  [ "$(value .kind)" = derived ]
  [ "$(value .ttl)" = 600 ]
  [[ $(value .username) =~ ^491711234567:[0-9]+$ ]]
  [ "$(value '.iceServers[0].urls | join(" ")')" = 'turn:127.0.0.1:3478?transport=udp turns:turn.test:5349?transport=tcp' ]
  [ "$(value '.iceServers[0].username')" = "$(value .username)" ]
  [ "$(value '.iceServers[0].credential')" = "$(value .password)" ]
  [ "$(value '.expires_at - now | fabs < 605')" = true ]
  [ "$(header Cache-Control)" = no-store ]
  probe main
  # another implementation computes the same password
  /usr/bin/python3 "$BATS_TEST_DIRNAME/independent.py" same_password "$(value .username)" "$(value .password)"
}

@test "rest, with the order of its key" {
  CALLER=pcscf call_json 201 POST /v1/realms/turn.test/credentials '{"user": "sip:alice@ims.example", "kind": "rest"}'
  [ "$(value .kind)" = rest ]
  probe main --transport tcp
}

@test "rest, with another separator and with either order: what is made lets in" {
  local kind
  for kind in separator either; do
    realm_add "$kind.test" "mechanisms='{rest}'" "origins='{https://$kind.test}'"
    key_add "$kind.test" r rest
  done
  sql "UPDATE turncred.key SET separator = '|', username_format = 'timestamp:user-id' WHERE realm = 'separator.test'" \
    "UPDATE turncred.key SET username_format = 'either' WHERE realm = 'either.test'"
  caller_add forms rest separator.test,either.test
  for kind in separator either; do
    CALLER=forms wait_for 10 call_json 201 POST "/v1/realms/$kind.test/credentials" '{"user": "sip:alice@ims.example", "kind": "rest"}'
    has_form "$kind" sip:alice@ims.example
    probe main --origin "https://$kind.test" --allocate-only
    CALLER=forms call 200 GET "/?service=turn&username=bob&realm=$kind.test"
    has_form "$kind" bob
    probe main --origin "https://$kind.test" --allocate-only
  done
}
# has_form KEY USER: the answer's user name is written as the key says
has_form() {
  case $1 in
  separator) [[ $(value .username) =~ ^[0-9]+\|${2//[.]/[.]}$ ]] ;;
  either) [[ $(value .username) =~ ^([0-9]+:${2//[.]/[.]}|${2//[.]/[.]}:[0-9]+)$ ]] ;;
  esac
}

@test "pushed by POST: makes a password, 200 when the live server has it" {
  CALLER=pcscf call_json 200 POST /v1/realms/turn.test/credentials '{"user": "bob", "kind": "pushed", "ttl": 300}'
  [ "$(value .in_force)" = true ]
  [ "$(value '.password | length')" = 43 ]
  probe main
}

@test "pushed by PUT with the caller's password, again, replaced, deleted" {
  local body='{"password": "Vb3q-7Lm0p_Xw9Zk2RtY5u", "ttl": 300}'
  CALLER=pcscf call_json 200 PUT /v1/realms/turn.test/credentials/carol "$body"
  [ "$(value '.iceServers[0].credential')" = Vb3q-7Lm0p_Xw9Zk2RtY5u ]
  [ "$(value .password)" = null ]
  jq '.password = .iceServers[0].credential' "$TC_DIR/answer" >"$TC_DIR/carol"
  cp "$TC_DIR/carol" "$TC_DIR/answer" && probe main
  CALLER=pcscf call_json 200 PUT /v1/realms/turn.test/credentials/carol "$body"
  cp "$TC_DIR/carol" "$TC_DIR/answer" && probe main
  [ "$(sql "SELECT count(*) FROM turncred.credential WHERE username = 'carol'")" = 1 ]
  CALLER=pcscf call_json 200 PUT /v1/realms/turn.test/credentials/carol '{"password": "another-0ne_of-22-octets"}'
  cp "$TC_DIR/carol" "$TC_DIR/answer" && probe main --expect-error 401
  CALLER=pcscf call 200 DELETE /v1/realms/turn.test/credentials/carol
  [ "$(value .in_force)" = true ]
  jq '.password = "another-0ne_of-22-octets"' "$TC_DIR/carol" >"$TC_DIR/answer" && probe main --expect-error 401
  CALLER=pcscf call 404 DELETE /v1/realms/turn.test/credentials/carol
}

@test "a push that fails in a database that is there: the log says why, once, and the answer does not say that it is away" {
  local i
  sql 'REVOKE EXECUTE ON FUNCTION turncred.credential_take_back FROM turncred_issuer'
  for i in 1 2; do
    CALLER=pcscf call 503 DELETE /v1/realms/turn.test/credentials/dora
    has_error temporarily_unavailable 'the database has failed, as'
    [ "$(header Retry-After)" = 2 ]
  done
  sql 'GRANT EXECUTE ON FUNCTION turncred.credential_take_back TO turncred_issuer'
  daemon_log_has main 'error: database: .*permission denied.*; the push is answered with 503'
  [ "$(grep -c 'permission denied' "$TC_DIR/daemons/main/log")" = 1 ]
  CALLER=pcscf call 404 DELETE /v1/realms/turn.test/credentials/dora
}

@test "devices: a username for each, one user; one goes alone, a revocation takes all" {
  local path=/v1/realms/turn.test/credentials i
  for i in 1 2; do
    CALLER=pcscf call_json 200 POST $path '{"user": "ines", "username": "ines~'$i'", "kind": "pushed", "ttl": 300}'
    [ "$(value .username)" = "ines~$i" ]
    cp "$TC_DIR/answer" "$TC_DIR/ines$i"
  done
  CALLER=pcscf call_json 200 PUT "$path/phone-of-ines" '{"user": "ines", "password": "Vb3q-7Lm0p_Xw9Zk2RtY5u", "ttl": 300}'
  jq '.password = .iceServers[0].credential' "$TC_DIR/answer" >"$TC_DIR/ines3"
  for i in 1 2 3; do cp "$TC_DIR/ines$i" "$TC_DIR/answer" && probe main; done
  # a username is one user's
  CALLER=pcscf call_json 400 POST $path '{"user": "jan", "username": "ines~1", "kind": "pushed"}'
  [[ $(value .error_description) == *"is another user's"* ]]
  CALLER=pcscf call_json 400 PUT "$path/ines~1" '{"password": "Vb3q-7Lm0p_Xw9Zk2RtY5u"}'
  CALLER=pcscf call_json 400 POST $path '{"user": "jan", "username": "jan~1"}'
  has_error invalid_request username
  for i in '"a b"' '""' '7' '"a\u0000b"'; do
    CALLER=pcscf call_json 400 POST $path "{\"user\": \"jan\", \"kind\": \"pushed\", \"username\": $i}"
    CALLER=pcscf call_json 400 PUT "$path/jan" "{\"password\": \"Vb3q-7Lm0p_Xw9Zk2RtY5u\", \"user\": $i}"
  done
  CALLER=pcscf call 200 DELETE "$path/ines~1"
  cp "$TC_DIR/ines1" "$TC_DIR/answer" && probe main --expect-error 401
  cp "$TC_DIR/ines2" "$TC_DIR/answer" && probe main
  [ "$(sql "SELECT count(*) FROM turncred.issue_log WHERE subject = 'ines' AND kind = 'pushed'")" = 3 ]
  "$TC_CTL" revoke user turn.test ines --json >/dev/null
  for i in 2 3; do cp "$TC_DIR/ines$i" "$TC_DIR/answer" && probe main --expect-error 401; done
  CALLER=pcscf call_json 403 POST $path '{"user": "ines", "username": "ines~4", "kind": "pushed"}'
  "$TC_CTL" unrevoke user turn.test ines --json >/dev/null
  # revoked by the name of a device: its user is
  until_200 POST $path '{"user": "ines", "username": "ines~5", "kind": "pushed"}'
  CALLER=pcscf call 200 DELETE "$path/ines~5?revoke=true"
  CALLER=pcscf call_json 403 POST $path '{"user": "ines", "kind": "pushed"}'
  "$TC_CTL" unrevoke user turn.test ines --json >/dev/null
  # and by hand
  "$TC_CTL" credential push turn.test tablet --user kim --json >"$TC_DIR/answer"
  [ "$(value .user_id)" = kim ]
  jq '.kind = "pushed"' "$TC_DIR/answer" >"$TC_DIR/kim" && cp "$TC_DIR/kim" "$TC_DIR/answer" && probe main
  [ "$("$TC_CTL" credential list turn.test --user kim --json | jq -r '.[].username')" = tablet ]
}
until_200() { wait_for 10 answers_200 "$@"; }
answers_200() { CALLER=pcscf call_json 200 "$@"; }

@test "a client that knows GET and POST alone deletes by POST, and by nothing else" {
  CALLER=pcscf call_json 200 POST /v1/realms/turn.test/credentials '{"user": "bruno", "kind": "pushed", "ttl": 300}'
  cp "$TC_DIR/answer" "$TC_DIR/bruno"
  probe main
  CALLER=pcscf call_json 400 POST /v1/realms/turn.test/credentials/bruno '{}'
  has_error invalid_request action
  CALLER=narrow call_json 403 POST '/v1/realms/turn.test/credentials/bruno?action=delete' '{}'
  cp "$TC_DIR/bruno" "$TC_DIR/answer" && probe main
  CALLER=pcscf call_json 200 POST '/v1/realms/turn.test/credentials/bruno?action=delete' '{}'
  cp "$TC_DIR/bruno" "$TC_DIR/answer" && probe main --expect-error 401
}

@test "DELETE with revoke ends credentials from before, and turncredd issues no new ones" {
  CALLER=pcscf call_json 201 POST /v1/realms/turn.test/credentials '{"user": "dave"}'
  cp "$TC_DIR/answer" "$TC_DIR/dave"
  probe main
  CALLER=narrow call 403 DELETE '/v1/realms/turn.test/credentials/dave?revoke=true'
  CALLER=pcscf call 400 DELETE '/v1/realms/turn.test/credentials/dave?revoke=perhaps'
  CALLER=pcscf call 200 DELETE '/v1/realms/turn.test/credentials/dave?revoke=true'
  cp "$TC_DIR/dave" "$TC_DIR/answer" && probe main --expect-error 401
  wait_for 5 denied_now
  has_error access_denied
  CALLER=pcscf call_json 403 PUT /v1/realms/turn.test/credentials/dave '{"password": "Vb3q-7Lm0p_Xw9Zk2RtY5u"}'
}
denied_now() { CALLER=pcscf call_json 403 POST /v1/realms/turn.test/credentials '{"user": "dave"}' >/dev/null; }

@test "202 when a server that lives does not report in time" {
  local progress
  for progress in 1 9223372036854775807; do # as much as another cluster has counted, from before a restore, says nothing
    sql "INSERT INTO turncred.instance (id, kind, progress) VALUES ('asleep', 'server', '$progress')"
    CALLER=pcscf call_json 202 POST /v1/realms/turn.test/credentials '{"user": "erin", "kind": "pushed"}'
    [ "$(value .in_force)" = false ]
    sql "DELETE FROM turncred.instance WHERE id = 'asleep'"
  done
}

@test "a realm that binds credentials to the client's address" {
  CALLER=pcscf call_json 400 POST /v1/realms/bound.test/credentials '{"user": "alice"}'
  has_error invalid_request client_address
  CALLER=pcscf call_json 400 POST /v1/realms/bound.test/credentials '{"user": "alice", "client_address": "192.0.2.300"}'
  CALLER=pcscf call_json 201 POST /v1/realms/bound.test/credentials '{"user": "alice", "client_address": "2001:DB8::0001"}'
  [[ $(value .username) =~ ^alice\|2001:db8::1:[0-9]+$ ]]
  CALLER=pcscf call_json 400 POST /v1/realms/turn.test/credentials '{"user": "alice", "client_address": "192.0.2.1"}'
}

@test "issue_log has it all, with caller and issuer" {
  wait_for 5 logged "kind = 'derived' AND subject = '491711234567' AND caller = 'pcscf' AND issuer = 'issuer-main' AND kid = 'd1' AND expiry > now()"
  wait_for 5 logged "kind = 'rest' AND subject = 'sip:alice@ims.example' AND kid = 'r1'"
  logged "kind = 'pushed' AND subject = 'bob' AND caller = 'pcscf' AND issuer = 'issuer-main'"
}
logged() { [ "$(sql "SELECT count(*) > 0 FROM turncred.issue_log WHERE realm = 'turn.test' AND $1")" = t ]; }

@test "which callers may ask: keys, certificates, scopes, realms, ends" {
  local path=/v1/realms/turn.test/credentials body='{"user": "alice"}'
  call_json 401 POST $path "$body"
  [[ $(header WWW-Authenticate) == Bearer* ]]
  call_json 401 POST $path "$body" -H 'Authorization: Bearer 0123456789012345678901234567890123456789012'
  has_error invalid_token
  CALLER=late call_json 401 POST $path "$body"
  CALLER=narrow call_json 201 POST $path "$body"
  CALLER=narrow call_json 403 POST /v1/realms/other.test/credentials "$body"
  has_error insufficient_scope realm
  CALLER=narrow call_json 403 POST $path '{"user": "alice", "kind": "rest"}'
  has_error insufficient_scope rest
  CALLER=narrow call_json 403 PUT $path/alice '{"password": "Vb3q-7Lm0p_Xw9Zk2RtY5u"}'
  CALLER=all call_json 201 POST /v1/realms/other.test/credentials "$body"
  CALLER=all call_json 404 POST /v1/realms/nowhere.test/credentials "$body"
  has_error unknown_realm
  call_json 201 POST $path "$body" --cert "$TC_DIR/tls/client.pem" --key "$TC_DIR/tls/client.key"
  call_json 401 POST $path "$body" --cert "$TC_DIR/tls/other.pem" --key "$TC_DIR/tls/other.key"
  call_json 401 POST $path "$body" --cert "$TC_DIR/tls/stranger.pem" --key "$TC_DIR/tls/stranger.key"
}

@test "a caller by the subject of its certificate; callers come and go within a second" {
  call_json 401 POST /v1/realms/turn.test/credentials '{"user": "x"}' --cert "$TC_DIR/tls/other.pem" --key "$TC_DIR/tls/other.key"
  caller_add other derived turn.test --certificate-subject CN=other,O=Test
  wait_for 3 other_is_in
  "$TC_CTL" caller remove other --json
  wait_for 3 other_is_out
  [ "$("$TC_CTL" caller list --json | jq -r 'map(.name) | join(" ")')" = 'all forms late narrow pcscf portal' ]
}
other_is_in() { call_json 201 POST /v1/realms/turn.test/credentials '{"user": "x"}' --cert "$TC_DIR/tls/other.pem" --key "$TC_DIR/tls/other.key" >/dev/null; }
other_is_out() { call_json 401 POST /v1/realms/turn.test/credentials '{"user": "x"}' --cert "$TC_DIR/tls/other.pem" --key "$TC_DIR/tls/other.key" >/dev/null; }

@test "bad input is named, nothing is issued, the daemon lives" {
  local path=/v1/realms/turn.test/credentials before
  wait_for 5 nothing_waits
  before=$(sql 'SELECT count(*) FROM turncred.issue_log')
  export CALLER=pcscf
  call_json 400 POST $path '{"user": "alice"' && has_error invalid_request 'not JSON'
  call_json 400 POST $path '["alice"]' && has_error invalid_request object
  call_json 400 POST $path '{"user": "alice", "user": "bob"}'
  call_json 400 POST $path '{"usr": "alice"}' && has_error invalid_request usr
  call_json 400 POST $path "{\"$(printf 'a%.0s' {1..63})é\": 1}" && has_error invalid_request '^a{63}:'
  call_json 400 POST $path '{}' && has_error invalid_request user
  call_json 400 POST $path '{"user": 7}' && has_error invalid_request user
  call_json 400 POST $path '{"user": "a\u0000b"}'
  call_json 400 POST $path '{"user": "al ice"}' && has_error invalid_request user
  call_json 400 POST $path "{\"user\": \"$(printf 'a%.0s' {1..500})\"}" && has_error invalid_request user
  call_json 400 POST $path '{"user": "alice", "ttl": 0}' && has_error invalid_request ttl
  call_json 400 POST $path '{"user": "alice", "ttl": 7201}' && has_error invalid_request ttl
  call_json 400 POST $path '{"user": "alice", "ttl": "60"}' && has_error invalid_request ttl
  call_json 400 POST $path '{"user": "alice", "kind": "token"}' && has_error invalid_request kind
  call_json 400 PUT $path/alice '{"password": "short"}' && has_error invalid_request password
  call_json 400 PUT $path/alice '{"password": "aaaaaaaaaaaaaaaaaaaaaaaa"}' && has_error invalid_request password
  call_json 400 PUT $path/alice '{}' && has_error invalid_request password
  call_json 400 PUT $path/al%20ice '{"password": "Vb3q-7Lm0p_Xw9Zk2RtY5u"}' && has_error invalid_request username
  call_json 400 PUT $path/al%00ice '{"password": "Vb3q-7Lm0p_Xw9Zk2RtY5u"}'
  call 415 POST $path --data-binary '{"user": "alice"}'
  call 405 GET $path && [ "$(header Allow)" = POST ]
  call 404 GET /v2
  head -c 20000 /dev/zero | tr '\0' ' ' >"$TC_DIR/big"
  call_json 413 POST $path "@$TC_DIR/big"
  call_json 413 POST $path "@$TC_DIR/big" -H 'Transfer-Encoding: chunked'
  daemon_alive main
  wait_for 5 nothing_waits
  [ "$(sql 'SELECT count(*) FROM turncred.issue_log')" = "$before" ]
}
nothing_waits() { [ "$(curl -s "http://127.0.0.1:$(<"$TC_DIR/daemons/main/monitor")/readyz" | jq .undelivered)" = 0 ]; }

# For realms, users and keys, and for every kind: what was issued before stays dead, what is issued afterwards is let in.
lifted() {
  local how=$1 kind
  call_json 201 POST /v1/realms/turn.test/credentials '{"user": "frank"}'
  cp "$TC_DIR/answer" "$TC_DIR/before"
  # shellcheck disable=SC2086
  "$TC_CTL" revoke $how --wait 20s --json
  [[ $how == kid* ]] || since=$EPOCHSECONDS # d1 signs no REST credential
  # shellcheck disable=SC2086
  "$TC_CTL" unrevoke $how --wait 20s --json
  for kind in derived rest; do
    wait_for 5 call_json 201 POST /v1/realms/turn.test/credentials '{"user": "frank", "kind": "'$kind'", "ttl": 60}'
    probe main
    call_json 201 POST /v1/realms/turn.test/credentials '{"user": "frank", "kind": "'$kind'"}'
    probe main
    [ "$(value '.expires_at - now <= 7201')" = true ]
  done
  call 200 GET '/?service=turn&username=frank&realm=turn.test'
  # it outlives every credential from before the lifting, however long ago that was
  [ "$(value ".username | split(\":\")[1] | tonumber > $since + 7200")" = true ]
  call_json 200 POST /v1/realms/turn.test/credentials '{"user": "frank", "kind": "pushed", "ttl": 60}'
  probe main
  printf 'user = "all:%s"\n' "$(key_of all)" >"$TC_DIR/basic"
  CALLER='' call 200 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=frank'
  probe main
  cp "$TC_DIR/before" "$TC_DIR/answer" && probe main --expect-error 401
}

@test "credentials issued after a revocation was lifted work: user, key, realm" {
  export CALLER=all
  local since
  call_json 201 POST /v1/realms/turn.test/credentials '{"user": "frank", "ttl": 60}'
  [ "$(value .ttl)" = 60 ]
  lifted 'user turn.test frank'
  lifted 'kid turn.test d1'
  lifted 'realm turn.test'
}

@test "nothing is issued with a key that is revoked" {
  export CALLER=all
  "$TC_CTL" revoke kid turn.test d1 --json
  wait_for 5 call_json 503 POST /v1/realms/turn.test/credentials '{"user": "frank"}'
  has_error temporarily_unavailable 'key rotate'
  "$TC_CTL" unrevoke kid turn.test d1 --json
}

@test "no secret in the log" {
  no_secret_in_log
  ! grep -E 'Vb3q-7Lm0p|another-0ne' "$TC_DIR/daemons/main/log"
}

@test "all calls and answers are as openapi.yaml says" { openapi; }
