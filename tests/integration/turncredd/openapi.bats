#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Every answer that openapi.yaml documents is produced once by the real daemon.

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  realm_add turn.test "mechanisms='{token,derived,rest,pushed}'"
  key_add turn.test t1
  key_add turn.test d1 derived
  key_add turn.test r1 rest
  caller_add all derived,rest,push,token,exchange,revoke,metrics '*'
  caller_add narrow metrics turn.test
  caller_add limited derived,push,rest,token turn.test
  caller_add foreign stun-key foreign.test --certificate "$TC_DIR/tls/client.pem"
  realm_add foreign.test "mechanisms='{token}'" "foreign_caller='foreign'"
  key_add foreign.test f1 token A256GCM none "accept_until='2099-01-01'"
  server_start main
  daemon_start main 'caller_rate = 0' 'public_url = https://issuer.test'
  daemon_start tight 'subject_rate = 1' 'caller_rate = 1'
  synced
  wait_for 5 tagged
}
tagged() { [ "$(sql "SELECT count(*) FROM turncred.key WHERE use = 'tag'")" = 2 ]; }
setup() { daemon_ready; }
teardown() { turncred_check; daemon_check; }
teardown_file() { daemon_down; }
basic() { printf 'user = "%s:%s"\n' "$1" "$(key_of "$1")" >"$TC_DIR/basic"; }

@test "every documented answer" {
  local base=/v1/realms/turn.test/credentials pass='{"password": "Vb3q-7Lm0p_Xw9Zk2RtY5u"}' token=(-d 'grant_type=client_credentials&audience=turn.test-server&subject=alice')
  export CALLER=all
  call_json 201 POST $base '{"user": "alice"}'
  call_json 200 POST $base '{"user": "alice", "kind": "pushed", "client_address": "192.0.2.1", "ttl": 60}'
  call_json 200 PUT $base/bob "$pass"
  call 200 DELETE $base/bob
  call 404 DELETE $base/bob
  call 400 DELETE "$base/bob?revoke=x"
  call 400 POST $base/bob
  call 404 POST "$base/bob?action=delete"
  call_json 200 PUT $base/bob "$pass"
  call 200 POST "$base/bob?action=delete"
  sql "INSERT INTO turncred.instance (id, kind, progress) VALUES ('asleep', 'server', '1')"
  call_json 202 PUT $base/carol "$pass"
  call_json 202 POST $base '{"user": "dora", "kind": "pushed"}'
  call 202 DELETE $base/carol
  call 202 POST "$base/dora?action=delete"
  sql "DELETE FROM turncred.instance WHERE id = 'asleep'"
  call_json 400 POST $base '{}'
  call_json 200 POST /v1/realms/turn.test/batch '{"requests": [{"user": "alice"}, {"user": "b c"}, {"user": "dora", "kind": "pushed"}]}'
  [ "$(value '[.results[].status] | join(" ")')" = '201 400 200' ]
  call_json 400 POST /v1/realms/turn.test/batch '{}'
  call_json 400 PUT $base/bob '{}'
  call_json 404 POST /v1/realms/none/credentials '{"user": "alice"}'
  call_json 404 PUT /v1/realms/none/credentials/bob "$pass"
  call 415 POST $base -d '{"user": "alice"}'
  head -c 20000 /dev/zero | tr '\0' ' ' >"$TC_DIR/big"
  call_json 413 PUT $base/bob "@$TC_DIR/big"
  call 200 GET '/?service=turn&username=alice&realm=turn.test'
  call 200 POST '/?service=turn&username=alice&realm=turn.test'
  call 400 GET '/?service=turn' && call 400 POST '/?service=turn'
  call 404 GET '/?service=turn&realm=none' && call 404 POST '/?service=turn&realm=none'
  call 200 GET /metrics && call 200 GET /healthz && call 200 GET /readyz
  call 400 GET '/healthz?%ff' && call 400 GET '/readyz?x=%ff'
  CALLER=narrow call_json 403 POST $base '{"user": "alice"}'
  CALLER=narrow call_json 403 PUT $base/bob "$pass"
  CALLER=narrow call 403 DELETE $base/bob
  CALLER=narrow call 403 POST "$base/bob?action=delete"
  CALLER=narrow call 403 GET '/?service=turn' && CALLER=narrow call 403 POST '/?service=turn'
  CALLER=limited call 403 GET /metrics
  DAEMON=tight call_json 201 POST $base '{"user": "often"}'
  DAEMON=tight call_json 429 POST $base '{"user": "often"}'
  export CALLER=
  call 200 GET /.well-known/oauth-authorization-server
  DAEMON=tight call 404 GET /.well-known/oauth-authorization-server
  local stun_key='/.well-known/stun-key?service=stun&name=foreign.test-server'
  as_foreign 200 "$stun_key"
  as_foreign 400 /.well-known/stun-key
  call 403 GET "$stun_key"
  as_foreign 404 "$stun_key&kid=x"
  DAEMON=tight as_foreign 200 "$stun_key" && DAEMON=tight as_foreign 429 "$stun_key"
  call_json 401 POST $base '{"user": "alice"}'
  call_json 401 POST /v1/realms/turn.test/batch '{"requests": [{"user": "alice"}]}'
  call_json 401 PUT $base/bob "$pass"
  call 401 DELETE $base/bob
  call 401 POST "$base/bob?action=delete"
  call 401 GET '/?service=turn' && call 401 POST '/?service=turn' && call 401 GET /metrics
  call 401 GET '/?service=turn&key=nobody' && has_error invalid_token && [ -n "$(header WWW-Authenticate)" ]
  CALLER=all call 200 POST /oauth2/introspect -d 'token=x&realm=turn.test'
  CALLER=all call 400 POST /oauth2/introspect -d token=x
  CALLER=limited call 403 POST /oauth2/introspect -d 'token=x&realm=turn.test'
  call 401 POST /oauth2/introspect -d 'token=x&realm=turn.test'
  basic all
  call 200 POST /oauth2/token -K "$TC_DIR/basic" "${token[@]}"
  call 401 POST /oauth2/token "${token[@]}"
  call 400 POST /oauth2/token -K "$TC_DIR/basic" -d grant_type=x && has_error unsupported_grant_type
  call 400 POST /oauth2/token -K "$TC_DIR/basic" "${token[@]}" -d scope=admin && has_error invalid_scope
  call 400 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=nowhere' && has_error invalid_target
  basic narrow
  call 400 POST /oauth2/token -K "$TC_DIR/basic" "${token[@]}" && has_error unauthorized_client
  basic all
  call 403 POST /oauth2/token -K "$TC_DIR/basic" -H 'Origin: https://evil.test' "${token[@]}" && has_error origin_not_allowed
  call 401 GET /metrics -H 'Authorization: Bearer nobody' && has_error invalid_token
  call 405 PATCH $base && has_error method_not_allowed
  "$TC_CTL" revoke user turn.test alice --wait 0 --json
  wait_for 5 alice_denied
  call 403 POST /oauth2/token -K "$TC_DIR/basic" "${token[@]}"
  sql "UPDATE turncred.key SET state = 'disabled' WHERE use <> 'tag'"
  wait_for 5 no_key
  call 503 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server'
  CALLER=all call 503 GET '/?service=turn&username=x&realm=turn.test'
  CALLER=all call 503 POST '/?service=turn&username=x&realm=turn.test'
  as_foreign 503 "$stun_key"
  pg_stop "$TC_DIR/pg"
  CALLER=all call_json 503 PUT $base/bob "$pass"
  CALLER=all call 503 DELETE $base/bob
  CALLER=all call 503 POST "$base/bob?action=delete"
  daemon_stop main
  # a daemon that finds no database is not ready
  : >"$TC_DIR/daemons/main/log"
  TC_START_LIMIT=1 daemon_run main || true
  wait_for 15 listens
  call 503 GET /readyz
  CALLER=all call 503 GET /metrics
  call 503 GET '/?service=turn&key=nobody' && has_error temporarily_unavailable 'not loaded yet' && [ "$(header Retry-After)" = 1 ]
  CALLER=all call_json 503 POST $base '{"user": "alice"}'
  CALLER=all call 503 POST /oauth2/introspect -d 'token=x&realm=turn.test'
  CALLER=all call_json 503 POST /v1/realms/turn.test/batch '{"requests": [{"user": "alice"}]}'
  openapi --all
}
as_foreign() { call "$1" GET "$2" --cert "$TC_DIR/tls/client.pem" --key "$TC_DIR/tls/client.key"; }
alice_denied() { CALLER=all call_json 403 POST /v1/realms/turn.test/credentials '{"user": "alice"}' >/dev/null; }
no_key() { CALLER=all call_json 503 POST /v1/realms/turn.test/credentials '{"user": "x"}' >/dev/null; }
listens() { curl -s --cacert "$TC_DIR/tls/ca.pem" -o /dev/null "$(url /healthz)"; }
